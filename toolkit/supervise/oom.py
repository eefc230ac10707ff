"""Out of memory at load: which rung of the ladder is next, and what it changes. Pure.

Wait for memory to come back → context down to what the engine's message allows → memory share −0.05, twice →
half as many sequences → KV cache in eight bits, where allowed. Each rung once; one that cannot help against what
the engine said is left out for now. Nothing is changed silently: every step is an event and shown in the status.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from toolkit.backends.base import Knobs
from toolkit.types import GIB, MemoryPlan

MAX_STEPS = 5
"""With the first one that is six starts."""
SHARE_STEP = 0.05
LEAST_SHARE = 0.1
LEAST_CONTEXT = 512
"""Tokens a request below which a server is of no use."""
WORDS_CHARS = 500
KILLED = "the kernel killed it for lack of memory"
PRESUMED = (
    "it was killed (SIGKILL) while it loaded, as systemd-oomd, earlyoom and container runtimes do for lack of memory"
)


@dataclass(frozen=True)
class Shortage:
    """What is known about one failed allocation."""

    words: str
    """The engine's own line, or the kernel's deed."""
    cache_too_small: bool = False
    context_allowed: int | None = None
    context_helps: bool = False
    presumed: bool = False
    """Nothing says that it was memory; who kills a loading engine hardly ever has another reason."""


@dataclass(frozen=True)
class Step:
    """One rung taken: its name, what it changes in words, and the settings now in force."""

    rung: str
    change: str
    settings: tuple[tuple[str, str | int | float], ...] = ()


@dataclass(frozen=True)
class Ladder:
    """The command in force and how it came to be."""

    argv: tuple[str, ...]
    steps: tuple[Step, ...] = ()


def parse(record: Any) -> Ladder | None:
    """A ladder as `dataclasses.asdict` and JSON leave it; None when it is none."""
    try:
        steps = tuple(
            Step(str(s["rung"]), str(s["change"]), tuple((str(k), v) for k, v in s["settings"]))
            for s in record["steps"]
        )
        return Ladder(tuple(str(word) for word in record["argv"]), steps)
    except (KeyError, TypeError, ValueError):
        return None


def shortage(signum: int | None, log: str, knobs: Knobs, *, kernel_killed: bool) -> Shortage | None:
    """Whether a failed load was a lack of memory: by the engine's words, the kernel's count of kills, or SIGKILL."""
    lines = [line.strip() for line in log.splitlines() if re.search(knobs.out_of_memory, line)]
    if not lines:
        if signum != signal.SIGKILL and not re.search(r"Failed core proc.*-9", log):
            return None
        return Shortage(KILLED) if kernel_killed else Shortage(PRESUMED, presumed=True)
    allowed = re.search(knobs.context_allowed, log) if knobs.context_allowed else None
    telling = next((line for line in lines if knobs.context_allowed and re.search(knobs.context_allowed, line)), None)
    return Shortage(
        words=(telling or lines[0])[-WORDS_CHARS:],
        cache_too_small=bool(knobs.cache_too_small and re.search(knobs.cache_too_small, log)),
        context_allowed=int(allowed[1]) if allowed else None,
        context_helps=bool(knobs.context_helps and re.search(knobs.context_helps, log)),
    )


def climb(ladder: Ladder, short: Shortage, knobs: Knobs, *, allow_small_cache: bool) -> Ladder | None:
    """The ladder one rung higher; None at its end."""
    if len(ladder.steps) >= MAX_STEPS:
        return None
    taken = [step.rung for step in ladder.steps]
    for rung, times, take in _RUNGS:
        if taken.count(rung) < times and (rung != "kv_cache" or allow_small_cache):
            higher = take(ladder.argv, short, knobs)
            if higher:
                argv, step = higher
                return Ladder(argv, (*ladder.steps, step))
    return None


def reducible(ladder: Ladder, short: Shortage, knobs: Knobs) -> bool:
    """Whether something was, or can be, asked for less than at first; waiting is not."""
    taken = any(step.rung != "wait" for step in ladder.steps)
    return taken or any(take(ladder.argv, short, knobs) for take in (_context, _utilization, _sequences))


_Taken = tuple[tuple[str, ...], Step] | None


def _wait(argv: tuple[str, ...], short: Shortage, knobs: Knobs) -> _Taken:
    return argv, Step("wait", "wait until memory in use elsewhere is given back, then the same again")


def _context(argv: tuple[str, ...], short: Shortage, knobs: Knobs) -> _Taken:
    before = _number(argv, knobs.context)
    if before is None or knobs.context is None:
        return None
    sequences = (_number(argv, knobs.sequences) or 1) if knobs.context_is_total else 1
    if short.context_allowed:
        after, why = short.context_allowed * sequences, "what the engine says would fit"
    elif short.context_helps:
        after, why = before // 2, "half, as the engine does not say what would fit"
    else:
        return None
    if not LEAST_CONTEXT * sequences <= after < before:
        return None
    change = f"context {before // sequences:,} → {after // sequences:,} tokens a request: {why}"
    return _put(argv, knobs.context, after), Step("context", change, (("context", after // sequences),))


def _utilization(argv: tuple[str, ...], short: Shortage, knobs: Knobs) -> _Taken:
    before = _number(argv, knobs.utilization)
    if before is None or knobs.utilization is None or short.cache_too_small:
        return None
    after = round(before - SHARE_STEP, 4)
    if after < LEAST_SHARE:
        return None
    name = knobs.utilization.strip("-").replace("-", "_")
    return _put(argv, knobs.utilization, after), Step("utilization", f"{name} {before:g} → {after:g}", ((name, after),))


def _sequences(argv: tuple[str, ...], short: Shortage, knobs: Knobs) -> _Taken:
    before = _number(argv, knobs.sequences)
    if before is None or knobs.sequences is None or before < 2:
        return None
    after = int(before) // 2
    argv = _put(argv, knobs.sequences, after)
    total = _number(argv, knobs.context) if knobs.context_is_total else None
    if total is not None and knobs.context is not None:
        argv = _put(argv, knobs.context, int(total * after // before))
    settings = ((knobs.sequences_setting, after), ("concurrency", after))
    return argv, Step("sequences", f"{int(before)} → {after} requests at once", settings)


def _small_cache(argv: tuple[str, ...], short: Shortage, knobs: Knobs) -> _Taken:
    if not knobs.small_cache or knobs.small_cache[0] in argv:
        return None
    change = f"KV cache in {knobs.small_cache_dtype}"
    return (*argv, *knobs.small_cache), Step("kv_cache", change, (("kv_dtype", knobs.small_cache_dtype),))


_RUNGS: tuple[tuple[str, int, Callable[[tuple[str, ...], Shortage, Knobs], _Taken]], ...] = (
    ("wait", 1, _wait),
    ("context", 1, _context),
    ("utilization", 2, _utilization),
    ("sequences", 1, _sequences),
    ("kv_cache", 1, _small_cache),
)


def _number(argv: tuple[str, ...], option: str | None) -> float | int | None:
    """The value of an option; None when it is not there or no number."""
    at = _at(argv, option)
    if at is None or option is None:
        return None
    word = argv[at].removeprefix(f"{option}=")
    try:
        return int(word)
    except ValueError:
        try:
            return float(word)
        except ValueError:
            return None


def _put(argv: tuple[str, ...], option: str, value: float) -> tuple[str, ...]:
    at, said = _at(argv, option), str(int(value)) if float(value).is_integer() else f"{value:g}"
    if at is None:
        return argv
    joined = f"{option}={said}" if argv[at].startswith(f"{option}=") else said
    return (*argv[:at], joined, *argv[at + 1 :])


def _at(argv: tuple[str, ...], option: str | None) -> int | None:
    """Where an option's value stands: the word behind it, or the same word behind ``=``."""
    if option in argv[:-1]:
        return argv.index(str(option)) + 1
    return next((at for at, word in enumerate(argv) if option and word.startswith(f"{option}=")), None)


def sums(ladder: Ladder, short: Shortage, memory: MemoryPlan | None) -> str:
    """Why nothing is left to try: the steps taken, the plan's sums, and the engine's words."""
    tried = "; ".join(step.change for step in ladder.steps) or "nothing could be reduced"
    parts = [f"out of memory at load, and nothing is left to reduce (tried: {tried})"]
    for device in memory.devices if memory else ():
        lines = " + ".join(f"{line.what.replace('_', ' ')} {line.bytes / GIB:.2f}" for line in device.lines)
        parts.append(
            f"as asked, {device.name} needs {lines} = {device.total_bytes / GIB:.2f} GiB "
            f"of {device.usable_bytes / GIB:.2f} GiB"
        )
    return ". ".join((*parts, f"The engine: {short.words}"))
