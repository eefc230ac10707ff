"""The search for the greatest load that holds, with how sure it is. Pure: levels in, next load out.

First the load is doubled until it breaks (or halved until it holds). Then a Bayesian bisection (Horstein 1963; as
QUEST, Watson & Pelli 1983, does it for thresholds that answer with noise): every level is a yes or no that may be
wrong, each possible limit has a probability, the next level is run where the odds are even, until the limit is known
within `WIDTH` at `CONFIDENCE`. So the search returns to the boundary and repeats there by itself, and one misjudged
level is outvoted.

What it assumes, and the statement says: a level is misjudged once in thirty (`LAPSE`) anywhere, and near the limit the
answer blurs, by 1 % of the load where requests come evenly and 3 % where they come at random (`BLUR`, assumed).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

from toolkit.load.judged import amount, holds, label, limited_by_client, load_of
from toolkit.load.slo import Slo
from toolkit.load.spec import Arrival, LoadLevel, SearchPlan
from toolkit.types import Level, Search

CONFIDENCE = 0.95
WIDTH = 0.05
LAPSE = 1 / 30
BLUR = {"constant": 0.01, "poisson": 0.03}
STEP = 0.005
"""Distance of two possible rates."""
MOST_LEVELS = 40
FLOOR = 64
"""The search goes down to this fraction of its start."""
ENOUGH = 3
"""Values wanted per one that a percentile needs at all: a p95 of 60 requests, not of 20."""
LONGER = 5
"""A level is made at most so many times as long to have that many."""

Trial = tuple[float, bool]


def step(plan: SearchPlan, levels: Sequence[Level], arrival: Arrival = "constant") -> LoadLevel | str:
    """The next level, or why there is none."""
    if not levels:
        return _level(plan, plan.start)
    if holds(levels[-1]) is None:
        return _after_an_accident(plan, levels)
    if len(levels) >= MOST_LEVELS:
        return f"{MOST_LEVELS} levels were run"
    trials = _trials(levels)
    return _outwards(plan, trials) or _bisect(plan, trials, BLUR[arrival])


def _after_an_accident(plan: SearchPlan, levels: Sequence[Level]) -> LoadLevel | str:
    """A level that tells nothing is run once more, unless the load generator will be the limit again."""
    last = levels[-1]
    if limited_by_client(last):
        return f"the load generator was the limit at {label(last)}; more processes or machines can go on"
    if len(levels) > 1 and holds(levels[-2]) is None:
        return f"the server was not there all the time: {last.why_invalid}"
    return _level(plan, load_of(last))


def _outwards(plan: SearchPlan, trials: Sequence[Trial]) -> LoadLevel | str | None:
    """Twice the load while all held, half of it while none did; None once there is a load of each kind."""
    passed, failed = [x for x, ok in trials if ok], [x for x, ok in trials if not ok]
    if not failed:
        top = max(passed)
        return "it was the most to be tried" if top >= plan.most else _level(plan, min(2 * top, plan.most))
    if not passed:
        bottom = min(failed)
        least = 1 if plan.by == "concurrency" else plan.start / FLOOR
        return "it was the least to be tried" if bottom <= least else _level(plan, max(least, bottom / 2))
    return None


def _bisect(plan: SearchPlan, trials: Sequence[Trial], blur: float) -> LoadLevel | str:
    limits = _limits(plan, trials)
    odds = posterior(limits, trials, blur)
    low, high = _interval(limits, odds)
    if high - low <= WIDTH * low:
        return "the limit is known closely enough"
    if plan.by == "rate":
        return _level(plan, quantile(limits, odds, 0.5))
    above = {limit: 1 - below for limit, below in zip(limits, accumulate(odds), strict=True)}
    users = range(max(1, math.ceil(limits[0])), math.floor(limits[-1]) + 1)
    return _level(plan, min(users, key=lambda n: abs(above.get(n - 0.5, 1.0) - 0.5)))


def finding(plan: SearchPlan, levels: Sequence[Level], ended_because: str, arrival: Arrival = "constant") -> Search:
    """What the search found so far."""
    trials = _trials(levels)
    passed, failed = [x for x, ok in trials if ok], [x for x, ok in trials if not ok]
    common = {"mode": "find_max", "by": plan.by, "ended_because": ended_because}
    if not passed:
        tried = f"{amount(min(failed), plan.by)}, the least that was tried" if failed else "any load"
        return Search(**common, statement=f"The service level does not hold at {tried}.")
    if not failed:
        top = max(passed)
        return Search(
            **common,
            best_level=_best(levels, top),
            interval=(top, None),
            statement=f"The service level holds at {amount(top, plan.by)}, the most that was tried.",
        )
    limits = _limits(plan, trials)
    odds = posterior(limits, trials, BLUR[arrival])
    low, high = _interval(limits, odds)
    middle = quantile(limits, odds, 0.5)
    if plan.by == "concurrency":
        low, middle, high = (math.floor(limit) for limit in (low, middle, high))
    return Search(
        **common,
        best_level=_best(levels, middle),
        estimate=middle,
        interval=(low, high),
        confidence=CONFIDENCE,
        statement=_words(plan, trials, low, middle, high),
    )


def _words(plan: SearchPlan, trials: Sequence[Trial], low: float, middle: float, high: float) -> str:
    near = [ok for x, ok in trials if low / (1 + WIDTH) <= x <= (high + (plan.by == "concurrency")) * (1 + WIDTH)]
    where = (
        f"between {amount(low, plan.by).removesuffix(' requests/s').removesuffix(' users')} and {amount(high, plan.by)}"
    )
    if low == high:
        where = "neither less nor more"
    return (
        f"The greatest load that holds is {amount(middle, plan.by)}, with {CONFIDENCE:.0%} probability {where}: "
        f"{len(trials)} runs, {len(near)} of them near the limit ({sum(near)} held, {len(near) - sum(near)} did not), "
        f"one in {1 / LAPSE:.0f} assumed misjudged."
    )


def duration_s(load: LoadLevel, asked_s: float, slo: Slo | None) -> float:
    """Long enough for the percentiles of the service level, where the number of requests is known beforehand."""
    if load.rate is None:
        return asked_s
    high = max((b.quantile for b in (slo.bounds if slo else ()) if isinstance(b.quantile, float)), default=50.0)
    return min(LONGER * asked_s, max(asked_s, ENOUGH * 100 / (100 - high) / load.rate))


# --- the odds ---


def posterior(limits: Sequence[float], trials: Sequence[Trial], blur: float) -> list[float]:
    """Probability of each possible limit after the trials, from even odds before them."""
    logs = [math.fsum(math.log(_likelihood(limit, x, ok, blur)) for x, ok in trials) for limit in limits]
    top = max(logs)
    weights = [math.exp(value - top) for value in logs]
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def _likelihood(limit: float, load: float, ok: bool, blur: float) -> float:
    """Probability of that answer at that load, were ``limit`` the greatest load that holds."""
    beyond = max(-500.0, min(500.0, (math.log(load) - math.log(limit)) / blur))
    yes = LAPSE + (1 - 2 * LAPSE) / (1 + math.exp(beyond))
    return yes if ok else 1 - yes


def quantile(limits: Sequence[float], odds: Sequence[float], q: float) -> float:
    """The least limit up to which the probability reaches ``q``."""
    return next((limit for limit, sum_ in zip(limits, accumulate(odds), strict=True) if sum_ >= q - 1e-12), limits[-1])


def _interval(limits: Sequence[float], odds: Sequence[float]) -> tuple[float, float]:
    tail = (1 - CONFIDENCE) / 2
    return quantile(limits, odds, tail), quantile(limits, odds, 1 - tail)


def _limits(plan: SearchPlan, trials: Sequence[Trial]) -> list[float]:
    """Every limit that is possible: from half the least load tried to twice the greatest.

    Between users the limit lies half way: 6.5 means that six hold and seven do not.
    """
    low, high = min(x for x, _ in trials) / 2, min(2 * max(x for x, _ in trials), 2 * plan.most)
    if plan.by == "concurrency":
        return [n + 0.5 for n in range(math.floor(low), math.ceil(high) + 1)]
    steps = math.ceil(math.log(high / low) / STEP)
    return [low * math.exp(STEP * i) for i in range(steps + 1)]


def _trials(levels: Sequence[Level]) -> list[Trial]:
    return [(load_of(lv), held) for lv in levels if (held := holds(lv)) is not None]


def _best(levels: Sequence[Level], limit: float) -> int | None:
    """The greatest valid load that held, at most the limit."""
    good = [i for i, lv in enumerate(levels) if lv.valid and holds(lv) and load_of(lv) <= limit * (1 + 1e-9)]
    return max(good, key=lambda i: (load_of(levels[i]), levels[i].goodput_total_tok_s), default=None)


def _level(plan: SearchPlan, load: float) -> LoadLevel:
    if plan.by == "concurrency":
        return LoadLevel(concurrency=max(1, int(load)))
    return LoadLevel(rate=float(f"{load:.4g}"))
