"""Prompts of asked token lengths for a tokenizer we do not have: calibrated by the target's own counts.

Text is cut from `bench/prompts/` by lexical units (words, digits, punctuation, line starts), which follow subword
tokenizers closely: prose within 2 % per sentence, code within 9 % per function (SmolLM2's tokenizer). Two probes
tell tokens per unit and what the chat template adds; further ones correct single prompts.

A prompt is: shared part (the same for all), a gap for words that no other request has (so that no prompt cache
helps beyond the shared part), its own text, an instruction to go on.
"""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import NormalDist
from typing import Any

from toolkit.errors import InputError, UnknownNameError
from toolkit.types import Basis, EndpointKind, Lengths, Workload

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
MAX_TOKENS = 1_000_000
_UNIT = re.compile(r"[A-Za-z]+|\d|[^\w\s]+|_|\n[ \t]*|[^\W\d_]+")

Count = Callable[[str], int | None]
"""Prompt tokens of a text as the target counts them, template included; None when it does not say."""


@dataclass(frozen=True)
class Prompt:
    """One prepared prompt: its text with the gap, and the lengths it stands for, in tokens."""

    id: int
    text: str
    asked_input_tokens: int
    asked_output_tokens: int


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
    """The bank of prompts. Each is corrected by the target's own count while ``in_time()`` holds.

    What the counts teach about tokens per unit serves the prompts after them.
    """
    fixed = workload.input_tokens.shape == workload.output_tokens.shape == "fixed"
    size = FIXED_BANK if fixed else BANK
    inputs = draw_lengths(workload.input_tokens, size, f"{seed}-input")
    outputs = draw_lengths(workload.output_tokens, size, f"{seed}-output")
    prompts = []
    seen_tokens = seen_units = 0.0
    for number, (given, made) in enumerate(zip(inputs, outputs, strict=True)):
        units = calibration.units(given)
        text = _text(material, workload.shared_prefix_share, units, seed, number)
        for _ in range(2):
            counted = count(text) if calibration.basis == "measured" and in_time() else None
            if counted is None:
                break
            seen_tokens, seen_units = seen_tokens + counted - calibration.overhead, seen_units + units
            if abs(counted - given) <= max(0.5, CLOSE_ENOUGH * given):
                break
            units = max(1, units + round((given - counted) / calibration.per_unit))
            text = _text(material, workload.shared_prefix_share, units, seed, number)
        if seen_units > LEARN_UNITS and seen_tokens > 0:
            calibration = replace(calibration, per_unit=seen_tokens / seen_units)
        prompts.append(Prompt(number, text, given, made))
    return prompts


def _text(material: Material, shared_share: float, units: int, seed: int, number: int) -> str:
    shared = round(units * shared_share)
    common = material.cut(shared, f"{seed}-shared") if shared else ""
    return compose(common, material.cut(max(1, units - shared), f"{seed}-{number}"))


def draw_lengths(lengths: Lengths, n: int, seed: str) -> list[int]:
    """``n`` token counts of a distribution, one from each of its n equal slices, in an order drawn from ``seed``.

    Slices instead of free draws: the mean of a short run is then the distribution's own. ``mean`` and ``stdev`` are
    those of the distribution before clamping.
    """
    values = [_quantile(lengths, (i + 0.5) / n) for i in range(n)]
    random.Random(seed).shuffle(values)
    most = lengths.max if lengths.max is not None else max(lengths.min, 1 << 20)
    return [min(max(round(v), lengths.min), most) for v in values]


def _quantile(lengths: Lengths, q: float) -> float:
    mean, stdev = lengths.mean, lengths.stdev
    if lengths.shape == "fixed" or (stdev == 0 and lengths.shape != "uniform"):
        return mean
    if lengths.shape == "uniform":
        low, high = mean - 3**0.5 * stdev, mean + 3**0.5 * stdev
        if stdev == 0 and lengths.max is not None:
            low, high = lengths.min, lengths.max
        return low + q * (high - low)
    if lengths.shape == "normal":
        return NormalDist(mean, stdev).inv_cdf(q)
    # lognormal with that mean and standard deviation: sigma² = ln(1 + (s/m)²), mu = ln m − sigma²/2
    variance = math.log(1 + (stdev / mean) ** 2)
    return math.exp(NormalDist(math.log(mean) - variance / 2, math.sqrt(variance)).inv_cdf(q))


def bodies(
    prompts: Sequence[Prompt], model: str, extra: dict[str, Any], kind: EndpointKind = "chat"
) -> list[dict[str, Any]]:
    """What the load processes need of each prompt: the JSON body before and after the gap, and its lengths."""
    found = []
    for prompt in prompts:
        before, after = json.dumps(body(prompt.text, model, prompt.asked_output_tokens, extra, kind)).split(GAP)
        asked = 0 if kind == "embeddings" else prompt.asked_output_tokens
        found.append({"id": prompt.id, "before": before, "after": after, "asked_output_tokens": asked})
    return found


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


def with_lengths(workload: Workload, input_tokens: int | None, output_tokens: int | None) -> Workload:
    """The same workload with fixed lengths where given."""
    changes: dict[str, Any] = {}
    for name, tokens in (("input_tokens", input_tokens), ("output_tokens", output_tokens)):
        if tokens is not None:
            if not 1 <= tokens <= MAX_TOKENS:
                raise InputError(f"a length of {tokens} tokens is not between 1 and {MAX_TOKENS:,}")
            changes[name] = Lengths(mean=tokens)
    return workload.model_copy(update=changes)
