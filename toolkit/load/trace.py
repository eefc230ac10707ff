"""A trace: when real requests came, and how long they were, to be sent again at their own times.

Read from JSONL or CSV. Times are seconds from the first one; they may be written as numbers (seconds; ``timestamp_ms``
and Mooncake's traces, known by their ``hash_ids``, in milliseconds) or as ISO dates (Azure's traces).
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import Field

from toolkit.errors import InputError
from toolkit.load.lengths import Pair, pair_of
from toolkit.load.table import number_of, read_table
from toolkit.types import Frozen

MOST_ROWS = 200_000
TIME_NAMES = ("timestamp", "Timestamp", "TIMESTAMP", "time", "at", "at_s", "arrival", "arrival_time", "timestamp_ms")


class Trace(Frozen):
    """``at_s`` begins at 0 and never falls; ``lengths`` beside it, or empty where the file has none."""

    name: str
    at_s: tuple[float, ...] = Field(min_length=1)
    lengths: tuple[Pair, ...] = ()
    speed: float = Field(default=1.0, gt=0, le=10_000)
    """2 means twice as fast as it happened."""

    @property
    def seconds(self) -> float:
        """From the first request to the last, as it will be sent."""
        return self.at_s[-1] / self.speed


def read_trace(file: Path, speed: float = 1.0) -> Trace:
    """Read a trace, sorted by time. Raises InputError."""
    rows = read_table(file, MOST_ROWS)
    name = next((name for name in TIME_NAMES if name in rows[0]), None)
    if name is None:
        raise InputError(
            f"{file} has no column of times; it has {', '.join(map(str, rows[0]))[:200]}",
            f"Name it {TIME_NAMES[0]}, in seconds.",
        )
    unit_s = 1e-3 if name.endswith("_ms") or "hash_ids" in rows[0] else 1.0
    found: list[tuple[float, Pair]] = []
    for i, row in enumerate(rows, 1):
        found.append((_seconds(row.get(name), unit_s, f"{file}, row {i}"), pair_of(row, f"{file}, row {i}")))
    found.sort(key=lambda each: each[0])
    begin = found[0][0]
    has_lengths = any(a is not None or b is not None for _, (a, b) in found)
    if not 0 < speed <= 10_000:
        raise InputError(f"a speed of {speed:g} is not above 0 and at most 10,000")
    return Trace(
        name=file.name,
        at_s=tuple(at - begin for at, _ in found),
        lengths=tuple(pair for _, pair in found) if has_lengths else (),
        speed=speed,
    )


def _seconds(value: Any, unit_s: float, where: str) -> float:
    number = number_of(value)
    if number is not None:
        return number * unit_s
    try:
        # Azure writes seven digits of a second; Python reads six
        date, _, rest = str(value).strip().partition(".")
        digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
        zone = rest[len(digits) :]
        moment = datetime.fromisoformat(f"{date}.{digits[:6]:0<6}{zone}" if rest else date)
    except ValueError:
        raise InputError(f"{where}: {value!r} is neither a number of seconds nor a date") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
