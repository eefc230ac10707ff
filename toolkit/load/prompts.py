"""Prompts of asked token lengths for a tokenizer we do not have: calibrated by the target's own counts.

Text is cut from `bench/prompts/` by lexical units (words, digits, punctuation, line starts), which follow subword
tokenizers closely: prose within 2 % per sentence, code within 9 % per function (SmolLM2's tokenizer). Two probes
tell tokens per unit and what the chat template adds; further ones correct single prompts.

A prompt is: shared part (the same for all), a gap for words that no other request has (so that no prompt cache
helps beyond the shared part), its own text, an instruction to go on.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from toolkit.errors import UnknownNameError
from toolkit.load.lengths import draw_lengths
from toolkit.load.own_prompts import OwnPrompt
from toolkit.types import Basis, EndpointKind, Workload

_NOUNS = """
    time year people way day man thing woman life child world school state family student group country problem hand
    part place case week company system program question work number night point home water room mother area money
    story fact month lot right study book eye job word business issue side kind head house service friend father power
    hour game line end member law car city name team minute idea body back face level office door health person art
    war history party result change morning reason research girl moment air teacher force education
"""
NONCE_WORDS = tuple(_NOUNS.split())
"""Common English nouns: with a space before it each is one token of the usual tokenizers."""
NONCE_LENGTH = 8
GAP = "@@gap@@"
TURNS = "@@turns@@"
TAIL = "\n\nContinue this text at length."
BANK = 64
FIXED_BANK = 16
"""Prompts prepared; requests take them in turn. Fewer suffice where all have one length."""
GUESSED_PER_UNIT = 1.1
GUESSED_OVERHEAD = 30.0
PROBE_UNITS = (40, 160, 1000)
"""Size of the first probe, and least and greatest of the second, which is about twice a typical prompt."""
CLOSE_ENOUGH = 0.005
LEARN_UNITS = 300
"""Counted units after which tokens per unit is taken from all counts rather than from the first two probes."""
_UNIT = re.compile(r"[A-Za-z]+|\d|[^\w\s]+|_|\n[ \t]*|[^\W\d_]+")

Count = Callable[[str], int | None]
"""Prompt tokens of a text as the target counts them, template included; None when it does not say."""


@dataclass(frozen=True)
class Prompt:
    """One prepared prompt: its text with the gap, and the lengths it stands for, in tokens."""

    id: int
    text: str
    asked_input_tokens: int | None
    asked_output_tokens: int
    messages: Sequence[dict[str, Any]] | None = None
    """The user's own; then the input length is not asked and ``text`` has no gap."""


@dataclass(frozen=True)
class Calibration:
    """Prompt tokens = ``overhead`` + ``per_unit`` × lexical units."""

    overhead: float
    per_unit: float
    basis: Basis

    def units(self, tokens: int) -> int:
        """How many units make a prompt of that many tokens; at least one."""
        return max(1, round((tokens - self.overhead) / self.per_unit))


class Material:
    """A text to cut prompts from, cycled for ever in an order drawn from a seed."""

    def __init__(self, name: str, folder: Path) -> None:
        """Read ``folder/name.txt``; UnknownNameError lists what there is."""
        known = sorted(file.stem for file in folder.glob("*.txt"))
        if name not in known:
            raise UnknownNameError("prompt material", name, known, f"Known: {', '.join(known)}.")
        pieces = (folder / f"{name}.txt").read_text(encoding="utf-8").strip().split("\n\n")
        self._joint = "\n\n" if any("\n" in piece for piece in pieces) else " "
        self._pieces = [(piece, len(_UNIT.findall(self._joint + piece))) for piece in pieces]

    def cut(self, units: int, seed: str) -> str:
        """A text of exactly that many lexical units."""
        draw = random.Random(seed)
        chosen: list[str] = []
        have = 0
        order: list[tuple[str, int]] = []
        while have < units + 2:
            if not order:
                order = draw.sample(self._pieces, len(self._pieces))
            piece, size = order.pop()
            chosen.append(piece)
            have += size
        text = self._joint.join(chosen)
        ends = [found.end() for found in _UNIT.finditer(text)]
        return text[: ends[min(units, len(ends)) - 1]]


def calibrate(count: Count, material: Material, typical_tokens: float) -> Calibration:
    """Ask the target about two texts of known size. Without an answer: a guess, and it says so."""
    small, least, most = PROBE_UNITS
    large = round(min(most, max(least, 2 * typical_tokens)))
    t0, t1 = (count(compose("", material.cut(units, "probe"))) for units in (small, large))
    if t0 is None or t1 is None or t1 <= t0:
        return Calibration(GUESSED_OVERHEAD, GUESSED_PER_UNIT, "assumed")
    per_unit = (t1 - t0) / (large - small)
    return Calibration(t0 - per_unit * small, per_unit, "measured")


def compose(shared: str, own: str) -> str:
    """One user message with the gap between its shared and its own part."""
    return f"{shared}\n\n{GAP} {own}{TAIL}" if shared else f"{GAP} {own}{TAIL}"


def bank(
    workload: Workload,
    material: Material,
    seed: int,
    calibration: Calibration,
    count: Count,
    in_time: Callable[[], bool],
) -> list[Prompt]:
    """The bank of prompts of a workload's lengths; see `bank_of`."""
    fixed = workload.input_tokens.shape == workload.output_tokens.shape == "fixed"
    size = FIXED_BANK if fixed else BANK
    inputs = draw_lengths(workload.input_tokens, size, f"{seed}-input")
    outputs = draw_lengths(workload.output_tokens, size, f"{seed}-output")
    lengths = list(zip(inputs, outputs, strict=True))
    return bank_of(lengths, workload.shared_prefix_share, material, seed, calibration, count, in_time)


def bank_of(
    lengths: Sequence[tuple[int, int]],
    shared_share: float,
    material: Material,
    seed: int,
    calibration: Calibration,
    count: Count,
    in_time: Callable[[], bool],
) -> list[Prompt]:
    """A prompt for each pair of lengths. Each is corrected by the target's own count while ``in_time()`` holds.

    What the counts teach about tokens per unit serves the prompts after them.
    """
    prompts = []
    seen_tokens = seen_units = 0.0
    for number, (given, made) in enumerate(lengths):
        units = calibration.units(given)
        text = _text(material, shared_share, units, seed, number)
        for _ in range(2):
            counted = count(text) if calibration.basis == "measured" and in_time() else None
            if counted is None:
                break
            seen_tokens, seen_units = seen_tokens + counted - calibration.overhead, seen_units + units
            if abs(counted - given) <= max(0.5, CLOSE_ENOUGH * given):
                break
            units = max(1, units + round((given - counted) / calibration.per_unit))
            text = _text(material, shared_share, units, seed, number)
        if seen_units > LEARN_UNITS and seen_tokens > 0:
            calibration = replace(calibration, per_unit=seen_tokens / seen_units)
        prompts.append(Prompt(number, text, given, made))
    return prompts


def own(prompts: Sequence[OwnPrompt], workload: Workload, seed: int) -> list[Prompt]:
    """The user's own prompts as they are; answers as long as they say, else as the workload has them."""
    outputs = draw_lengths(workload.output_tokens, BANK, f"{seed}-output")
    return [
        Prompt(i, prompt.text, None, prompt.max_tokens or outputs[i % BANK], prompt.messages)
        for i, prompt in enumerate(prompts)
    ]


def _text(material: Material, shared_share: float, units: int, seed: int, number: int) -> str:
    shared = round(units * shared_share)
    common = material.cut(shared, f"{seed}-shared") if shared else ""
    return compose(common, material.cut(max(1, units - shared), f"{seed}-{number}"))


def bodies(
    prompts: Sequence[Prompt],
    model: str,
    extra: dict[str, Any],
    kind: EndpointKind = "chat",
    *,
    unique: bool = True,
    turns: int = 1,
) -> list[dict[str, Any]]:
    """What the load processes need of each prompt: its JSON body in pieces, and its lengths.

    The gap for the words that make it ``unique`` lies between ``before`` and ``after``, that for the ``turns`` of a
    conversation between ``after`` and ``rest``, which holds the limit of the answer.
    """
    return [_pieces(prompt, model, extra, kind, unique=unique, turns=turns) for prompt in prompts]


def _pieces(
    prompt: Prompt, model: str, extra: dict[str, Any], kind: EndpointKind, *, unique: bool, turns: int
) -> dict[str, Any]:
    document = body(prompt.text, model, prompt.asked_output_tokens, extra, kind)
    if kind == "chat":
        messages = list(prompt.messages or document["messages"])
        document["messages"] = [*(_with_gap(messages) if prompt.messages and unique else messages), TURNS]
    elif prompt.messages and unique:
        document["input" if kind == "embeddings" else "prompt"] = f"{GAP} {prompt.text}"
    text = json.dumps(document)
    first, mark, rest = text.rpartition(f', "{TURNS}"' if kind == "chat" else ', "max_tokens": ')
    if not mark:  # an embedding has no limit
        first, rest = text, ""
    before, gap, after = first.partition(GAP)
    record = {
        "id": prompt.id,
        "before": before,
        "gap": bool(gap),
        "after": after,
        "rest": rest if kind == "chat" else mark + rest,
        "asked_output_tokens": 0 if kind == "embeddings" else prompt.asked_output_tokens,
    }
    return {**record, "say": _last_words(prompt)} if turns > 1 else record


def _with_gap(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Room for the nonce at the very beginning: a prefix cache compares from the first token."""
    first = messages[0]
    if not isinstance(first["content"], str):
        return [{"role": "system", "content": GAP}, *messages]
    return [{**first, "content": f"{GAP} {first['content']}"}, *messages[1:]]


def _last_words(prompt: Prompt) -> str:
    """What its user says, as a later turn of a conversation."""
    if prompt.messages is None:
        return " ".join(prompt.text.replace(GAP, " ").split())
    said = [m["content"] for m in prompt.messages if m["role"] == "user" and isinstance(m["content"], str)]
    return said[-1] if said else prompt.text


def body(text: str, model: str, max_tokens: int, extra: dict[str, Any], kind: EndpointKind = "chat") -> dict[str, Any]:
    """A streaming request, or one for an embedding; ``extra`` holds what only some engines take."""
    if kind == "embeddings":
        return {"model": model, "input": text, **extra}
    said = {"prompt": text} if kind == "completions" else {"messages": [{"role": "user", "content": text}]}
    return {
        "model": model,
        **said,
        "max_tokens": max_tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
        **extra,
    }


def nonce(draw: random.Random) -> str:
    """Words for the gap of a probe."""
    return " ".join(draw.choices(NONCE_WORDS, k=NONCE_LENGTH))
