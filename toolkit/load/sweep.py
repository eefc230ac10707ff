"""The sweep: users doubled until throughput stops rising or the service level breaks, then a closer look at the knee.

The knee is the load of greatest *power*, throughput ÷ latency (Kleinrock, "Power and deterministic rules of thumb",
ICC 1979; Jain, "The Art of Computer Systems Performance Analysis", section 3.3). In a closed loop it is the load from
which on a per cent more throughput costs more than a per cent of latency. Pure: levels in, next load out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from toolkit.load.judged import holds, label, limited_by_client
from toolkit.load.spec import LoadLevel, SearchPlan
from toolkit.types import Level, Search

RISE = 0.05
"""A doubling that gains less than this share of throughput ends the sweep."""
CLOSER = 2
"""Levels put between the doublings, beside the knee."""
NEAR = 1.3
"""Neighbours of the knee closer than this factor are close enough."""


def step(plan: SearchPlan, levels: Sequence[Level]) -> LoadLevel | str:
    """The next level, or why there is none."""
    users = [lv.concurrency or 0 for lv in levels]
    if not users:
        return LoadLevel(concurrency=int(plan.start))
    doubled = _doublings(plan, users)
    ended = _ended(plan, levels[:doubled])
    if ended is None:
        return LoadLevel(concurrency=int(min(2 * users[-1], plan.most)))
    if len(users) < doubled + CLOSER and (between := _beside_knee(levels)) is not None:
        return LoadLevel(concurrency=between)
    return ended


def finding(plan: SearchPlan, levels: Sequence[Level], ended_because: str) -> Search:
    """What the sweep found so far."""
    knee, best = knee_of(levels), _best(levels)
    if knee is None:
        statement = "No knee was found: no level gave a valid result."
    else:
        at = levels[knee]
        beyond = max((lv.concurrency or 0) for lv in levels) > (at.concurrency or 0)
        statement = (
            f"The knee is at {label(at)}: {at.output_tok_s:,.0f} output tokens/s, where throughput divided by latency "
            + ("is greatest." if beyond else "was still rising; it may lie higher.")
        )
    return Search(
        mode="sweep",
        by=plan.by,
        knee_level=knee,
        best_level=best,
        statement=statement,
        ended_because=ended_because,
    )


def knee_of(levels: Sequence[Level]) -> int | None:
    """Index of the level with the greatest throughput ÷ mean latency; None without a usable level."""
    powers = {i: lv.output_tok_s / lv.e2e_s.mean for i, lv in enumerate(levels) if lv.e2e_s is not None and _usable(lv)}
    return max(powers, key=lambda i: (powers[i], -(levels[i].concurrency or 0)), default=None)


def _usable(level: Level) -> bool:
    return level.completed > 0 and not limited_by_client(level) and level.failed <= level.completed


def _best(levels: Sequence[Level]) -> int | None:
    good = [i for i, lv in enumerate(levels) if lv.valid and holds(lv) and lv.slo_met is not None]
    return max(good, key=lambda i: levels[i].goodput_total_tok_s, default=None)


def _doublings(plan: SearchPlan, users: Sequence[int]) -> int:
    """How many of the first levels are the doublings."""
    count = 1
    while count < len(users) and users[count] == min(2 * users[count - 1], plan.most) > users[count - 1]:
        count += 1
    return count


def _ended(plan: SearchPlan, doubled: Sequence[Level]) -> str | None:
    last = doubled[-1]
    if limited_by_client(last):
        return f"the load generator was the limit at {label(last)}; more processes or machines can go on"
    if not holds(last):
        what = "no request completed" if not last.completed else "the service level broke"
        return f"{what} at {label(last)}"
    if len(doubled) > 1:
        before = max(lv.output_tok_s for lv in doubled[:-1])
        if last.output_tok_s < (1 + RISE) * before:
            gain = last.output_tok_s / before - 1 if before else 0.0
            return f"throughput changed by {gain:+.0%} from {label(doubled[-2])} to {label(last)}"
    if (last.concurrency or 0) >= plan.most:
        return f"{label(last)} was the most to be tried"
    return None


def _beside_knee(levels: Sequence[Level]) -> int | None:
    """A load not yet tried, in the geometric middle of the wider gap beside the knee."""
    knee = knee_of(levels)
    if knee is None:
        return None
    users = sorted({lv.concurrency or 0 for lv in levels})
    at = users.index(levels[knee].concurrency or 0)
    gaps = [(high / low, -low, high) for low, high in pairwise(users[max(0, at - 1) : at + 2])]
    ratio, low, high = max(gaps, default=(0.0, 0, 0))
    middle = round(math.sqrt(-low * high))
    return middle if ratio > NEAR and middle not in users else None
