"""Which load the words of `selfhost bench` ask for: users, a rate, a sweep, a search, a ramp, a trace."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from toolkit.load.spec import LoadLevel, SearchPlan

DEFAULT_CONCURRENCY = "1,2,4,8"
SWEEP_MOST = 1024


def seconds(text: str, what: str) -> float:
    """``30``, ``30s``, ``500ms``, ``2m``, ``1h`` → seconds. Raises InputError."""
    from toolkit.errors import InputError

    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(ms|s|m|min|h)?\s*", text)
    if found is None:
        raise InputError(f"{what} {text!r} is not a length of time", "Write it like 30s, 2m or 500ms.")
    return float(found[1]) * {"ms": 1e-3, "s": 1, "m": 60, "min": 60, "h": 3600}[found[2] or "s"]


def load(*, concurrency: str | None, rate: str | None, sweep: bool, find_max: bool, search_time: str) -> dict[str, Any]:
    """The fields ``levels`` and ``search`` of a `BenchSpec`. Raises InputError."""
    from toolkit.errors import InputError

    if concurrency is not None and rate is not None:
        raise InputError("a load is given by users or by a rate, not by both", "Leave one of them out.")
    if sweep and find_max:
        raise InputError("a sweep and the search for the greatest load are two things", "Leave one of them out.")
    if sweep and rate is not None:
        raise InputError("a sweep is over users, not over rates", "Give users, or search for the greatest rate.")
    if sweep:
        return {"search": _search("sweep", concurrency, rate, search_time)}
    if find_max:
        return {"search": _search("find_max", concurrency, rate, search_time)}
    return {"levels": _levels(concurrency, rate)}


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
