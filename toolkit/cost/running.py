"""When a machine runs and is paid for: opening hours, cold starts, and what spot interruptions waste."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from toolkit.cost.formulas import HOURS_PER_MONTH
from toolkit.errors import InputError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MIN = 24 * 60
WEEK_MIN = 7 * DAY_MIN
WEEKS_PER_MONTH = HOURS_PER_MONTH / 168
OPENING = re.compile(
    r"^(?:(?P<all>daily)|(?P<first>[a-z]{3})[a-z]*(?:\s*-\s*(?P<last>[a-z]{3})[a-z]*)?)\s+"
    r"(?P<from>\d{1,2})(?::(?P<from_min>[0-5]\d))?\s*-\s*(?P<to>\d{1,2})(?::(?P<to_min>[0-5]\d))?$"
)
WRITE_IT = "Write it like mon-fri 8-20, daily 22-6 or mon-fri 8-20, sat 9:30-14."


@dataclass(frozen=True)
class Running:
    """Hours of a replica in a month of 730: open, and paid beyond that.

    A start (from zero, or in the morning) takes ``cold_start_hours`` before the first answer; an interruption of a
    spot machine wastes ``lost_hours``: restarting, and redoing what was cut off. Both are paid and serve nothing.
    """

    open_hours: Decimal = HOURS_PER_MONTH
    starts: Decimal = Decimal(0)
    cold_start_hours: Decimal = Decimal(0)
    interruptions: Decimal = Decimal(0)
    lost_hours: Decimal = Decimal(0)

    @property
    def extra_hours(self) -> Decimal:
        """Hours that are paid and serve nothing."""
        return self.starts * self.cold_start_hours + self.interruptions * self.lost_hours

    @property
    def paid_hours(self) -> Decimal:
        """What the bill counts."""
        return self.open_hours + self.extra_hours


ALWAYS = Running()


def checked(running: Running) -> Running:
    """The same; InputError when a replica would be open and starting for longer than the month."""
    if not 0 < running.open_hours <= HOURS_PER_MONTH:
        raise InputError(f"{running.open_hours:,.4g} hours a month are not above 0 and at most {HOURS_PER_MONTH}")
    busy = running.open_hours + running.starts * running.cold_start_hours
    if busy > HOURS_PER_MONTH:
        raise InputError(
            f"{running.open_hours:,.4g} open hours and {busy - running.open_hours:,.4g} hours of starting are more "
            f"than a month of {HOURS_PER_MONTH}",
            "Fewer or shorter starts, or leave it running.",
        )
    if running.interruptions * running.lost_hours > running.open_hours:
        raise InputError(
            f"{float(running.interruptions):,g} interruptions of {running.lost_hours * 60:,.0f} minutes are longer "
            f"than the {running.open_hours:,.4g} hours it runs",
        )
    return running


def schedule(text: str) -> tuple[Decimal, Decimal]:
    """(open hours, openings) a month of weekly opening hours: ``mon-fri 8-20, sat 9:30-14``; past midnight is fine.

    Raises:
        InputError: no such day or time, or nothing is open.
    """
    open_at = bytearray(WEEK_MIN)
    for part in text.lower().split(","):
        match = OPENING.match(part.strip())
        if not match:
            raise InputError(f"{part.strip()!r} is not opening hours", WRITE_IT)
        start, length = _span(match, part.strip())
        for day in _days(match, part.strip()):
            for minute in range(start, start + length):
                open_at[(day * DAY_MIN + minute) % WEEK_MIN] = 1
    openings = sum(open_at[i] and not open_at[i - 1] for i in range(WEEK_MIN))
    hours = Decimal(sum(open_at)) / 60
    return hours * WEEKS_PER_MONTH, Decimal(openings) * WEEKS_PER_MONTH


def _days(match: re.Match[str], part: str) -> list[int]:
    if match["all"]:
        return list(range(7))
    first, last = match["first"], match["last"] or match["first"]
    if first not in DAYS or last not in DAYS:
        raise InputError(f"{part!r} names no day of the week", WRITE_IT)
    a, b = DAYS.index(first), DAYS.index(last)
    return [(a + i) % 7 for i in range((b - a) % 7 + 1)]


def _span(match: re.Match[str], part: str) -> tuple[int, int]:
    """(minute of the day it opens, minutes it stays open)."""
    start, end = (int(match[key]) * 60 + int(match[f"{key}_min"] or 0) for key in ("from", "to"))
    if max(start, end) > DAY_MIN or start == end:
        raise InputError(f"{part!r} is not from one time of the day to another", WRITE_IT)
    return start, (end - start) % DAY_MIN or DAY_MIN
