"""Break-even is a staircase: replicas come in whole numbers, so self-hosting wins on intervals of volume.

With n serving replicas the month costs F(n) = (n + spare)·c + H whatever the volume up to n·k tokens per day, and
e·V where something is paid by the token (egress); an API costs a·V. On each stair self-hosting wins where
V > F(n)/(a − e), and a stair may lose at its start and win at its end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal

from toolkit.cost.formulas import HOURS_PER_MONTH, MTOK, Hosting, month

SEARCH_TOKENS_PER_DAY = 1_000_000_000
"""How far break-even is searched, tokens per day."""
MAX_REPLICAS = 1_000
"""Nobody plans more of one machine from a single load test; volumes beyond are refused, not extrapolated."""

Interval = tuple[int, int | None]


@dataclass(frozen=True)
class BreakEven:
    """Where self-hosting is cheaper: closed intervals of whole tokens per day; ``None`` = up to the limit."""

    wins: tuple[Interval, ...]
    searched_up_to: int
    utilisation_needed: Decimal | None
    """Utilisation at the first winning volume."""


def search_limit(hosting: Hosting) -> int:
    """Volume searched, tokens per day: 1,000M, or what 1,000 replicas carry if that is less."""
    return min(SEARCH_TOKENS_PER_DAY, math.floor(hosting.capacity_tokens_per_day * MAX_REPLICAS))


def break_even(hosting: Hosting, api_usd_per_mtok: Decimal) -> BreakEven:
    """Every volume up to the limit at which self-hosting costs less than the API."""
    limit = search_limit(hosting)
    saved = api_usd_per_mtok - hosting.other_usd_per_mtok
    wins = tuple(_intervals(hosting, saved, limit)) if saved > 0 else ()
    needed = month(hosting, wins[0][0]).utilisation if wins else None
    return BreakEven(_open_end(wins, limit), limit, needed)


def _intervals(hosting: Hosting, saved_usd_per_mtok: Decimal, limit: int) -> list[tuple[int, int]]:
    """Winning whole volumes stair by stair, neighbours joined; ``saved`` is the API's price less what a token adds."""
    found: list[tuple[int, int]] = []
    each, capacity = hosting.usd_per_replica_month, hosting.capacity_tokens_per_day
    for n in range(1, math.ceil(limit / capacity) + 1):
        fixed = (n + hosting.spare) * each + hosting.fixed_usd_per_month
        equal = fixed * 24 * MTOK / (saved_usd_per_mtok * HOURS_PER_MONTH)  # one division: a tie comes out whole
        start = max(math.floor(equal), math.floor((n - 1) * capacity)) + 1
        end = min(math.floor(n * capacity), limit)
        if start > end:
            continue
        if found and start == found[-1][1] + 1:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def _open_end(wins: tuple[tuple[int, int], ...], limit: int) -> tuple[Interval, ...]:
    """The same intervals; one that reaches the limit has no end."""
    return tuple((start, None if end >= limit else end) for start, end in wins)
