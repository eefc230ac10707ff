"""Which load the words of `selfhost bench` ask for: users, a rate, a sweep, a search, a ramp, a trace."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from toolkit.load.spec import LoadLevel, SearchPlan
    from toolkit.types import Workload

DEFAULT_CONCURRENCY = "1,2,4,8"
SWEEP_MOST = 1024


def seconds(text: str, what: str) -> float:
    """``30``, ``30s``, ``500ms``, ``2m``, ``1h`` → seconds. Raises InputError."""
    from toolkit.errors import InputError

    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(ms|s|m|min|h)?\s*", text)
    if found is None:
        raise InputError(f"{what} {text!r} is not a length of time", "Write it like 30s, 2m or 500ms.")
    return float(found[1]) * {"ms": 1e-3, "s": 1, "m": 60, "min": 60, "h": 3600}[found[2] or "s"]


@dataclass(frozen=True)
class Words:
    """What the user wrote about the load."""

    concurrency: str | None
    rate: str | None
    sweep: bool
    find_max: bool
    search_time: str
    ramp: str | None
    trace: Path | None
    trace_speed: float
    duration: str | None
    warmup: str | None


def load(said: Words, workload: Workload) -> dict[str, Any]:
    """Fields of a `BenchSpec` about the load, and the workload (a trace has lengths of its own). Raises InputError."""
    from toolkit.errors import InputError

    kinds = [said.sweep, said.find_max, said.ramp is not None, said.trace is not None]
    if said.concurrency is not None and said.rate is not None:
        raise InputError("a load is given by users or by a rate, not by both", "Leave one of them out.")
    if sum(kinds) > 1:
        raise InputError("a sweep, a search, a ramp and a trace are four loads", "Leave all but one out.")
    if any(kinds[2:]) and (said.concurrency is not None or said.rate is not None):
        raise InputError("a ramp or a trace says itself when to send", "Leave users and rates out.")
    if said.sweep and said.rate is not None:
        raise InputError("a sweep is over users, not over rates", "Give users, or search for the greatest rate.")
    times = {
        "duration_s": seconds(said.duration or "30s", "duration"),
        "warmup_s": seconds(said.warmup or ("0" if said.trace else "5s"), "warm-up"),
    }
    if said.trace is not None:
        return _trace(said, times, workload)
    fields = {**times, "workload": workload}
    if said.ramp is not None:
        return {**fields, "levels": (_ramp(said.ramp),)}
    if said.sweep or said.find_max:
        mode: Literal["sweep", "find_max"] = "sweep" if said.sweep else "find_max"
        return {**fields, "search": _search(mode, said.concurrency, said.rate, said.search_time)}
    return {**fields, "levels": _levels(said.concurrency, said.rate)}


def _ramp(text: str) -> LoadLevel:
    from toolkit.errors import InputError
    from toolkit.load.spec import MAX_RATE, LoadLevel

    hint = "Write it like 1:20:60: from 1 to 20 requests per second in 60 seconds."
    parts = text.split(":")
    try:
        begin, end = float(parts[0]), float(parts[1])
        took_s = seconds(parts[2], "ramp time")
    except (ValueError, IndexError):
        raise InputError(f"ramp {text!r} is not FROM:TO:SECONDS", hint) from None
    if len(parts) != 3 or not (0 <= begin <= MAX_RATE and 0 <= end <= MAX_RATE and begin + end > 0 and took_s > 0):
        raise InputError(f"ramp {text!r} is no load", hint)
    return LoadLevel(rate=(begin + end) / 2, ramp=(begin, end), duration_s=took_s)


def _trace(said: Words, times: dict[str, float], workload: Workload) -> dict[str, Any]:
    from toolkit.errors import InputError
    from toolkit.load.lengths import listed_workload
    from toolkit.load.spec import MAX_RATE, LoadLevel
    from toolkit.load.trace import read_trace

    trace = read_trace(said.trace, said.trace_speed) if said.trace else None
    if trace is None:
        raise InputError("there is no trace")
    span_s = max(trace.seconds - times["warmup_s"], 0.0) + 0.001
    if said.duration is None:
        times = {**times, "duration_s": span_s}
    rate = len(trace.at_s) / max(trace.seconds, 1e-3)
    if rate > MAX_RATE:
        raise InputError(f"the trace has {rate:,.0f} requests per second; at most {MAX_RATE:,.0f} can be sent")
    name = trace.name if trace.speed == 1 else f"{trace.name} at {trace.speed:g}×"
    return {
        **times,
        "trace": trace,
        "levels": (LoadLevel(rate=rate, replay=name, duration_s=times["duration_s"]),),
        "workload": listed_workload(workload, trace.lengths) if trace.lengths else workload,
    }


def _search(mode: Literal["sweep", "find_max"], concurrency: str | None, rate: str | None, time: str) -> SearchPlan:
    """From the first number given to the last: ``8`` starts there, ``8,64`` ends there too."""
    from pydantic import ValidationError

    from toolkit.errors import InputError
    from toolkit.load.spec import MAX_RATE, MAX_USERS, SearchPlan

    users = mode == "sweep" or concurrency is not None
    text = (concurrency if users else rate) or "1"
    bounds = _numbers(text, int, "concurrency", MAX_USERS) if users else _numbers(text, float, "rate", MAX_RATE)
    most = bounds[-1] if len(bounds) > 1 else (SWEEP_MOST if mode == "sweep" else MAX_USERS) if users else MAX_RATE
    try:
        return SearchPlan(
            mode=mode,
            by="concurrency" if users else "rate",
            start=bounds[0],
            most=max(most, bounds[0]) if len(bounds) == 1 else most,
            longest_s=seconds(time, "search time"),
        )
    except ValidationError as error:
        raise InputError(f"the search {text!r}: {error.errors()[0]['msg']}", "Write it like 8 or 8,64.") from None


def _levels(concurrency: str | None, rate: str | None) -> tuple[LoadLevel, ...]:
    from toolkit.load.spec import MAX_RATE, MAX_USERS, LoadLevel

    if rate is not None:
        return tuple(LoadLevel(rate=r) for r in _numbers(rate, float, "rate", MAX_RATE))
    users = _numbers(concurrency if concurrency is not None else DEFAULT_CONCURRENCY, int, "concurrency", MAX_USERS)
    return tuple(LoadLevel(concurrency=int(n)) for n in users)


def _numbers(text: str, kind: Callable[[str], float], what: str, most: float) -> list[float]:
    from toolkit.errors import InputError

    try:
        numbers = [kind(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise InputError(f"{what} {text!r} is not a list of numbers", "Write it like 1,2,4.") from None
    wrong = [n for n in numbers if not 0 < n <= most]
    if wrong or not numbers:
        shown = f"{wrong[0]:g}" if wrong else "nothing"
        raise InputError(f"{what} {shown} is not above zero and at most {most:g}", "Write it like 1,2,4.")
    return numbers
