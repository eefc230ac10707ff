"""Are two benches different, or is it chance? Paired by load, with intervals that hold all together. Pure.

Each figure's spread within each run comes from a block bootstrap (`bootstrap.py`); the interval of B against A is
Student's t on the log ratio (Welch), widened so that with 95 % probability every interval of the comparison holds
(Bonferroni). A difference is called one when its interval leaves out zero and it is large enough to matter.
What one run cannot know, how much the machine itself changes from run to run, is in none of it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from toolkit.load import bootstrap
from toolkit.load.bootstrap import Blocks, Estimate, Weights
from toolkit.load.limits import FAILED, Limit
from toolkit.load.metrics import measured, values_of
from toolkit.load.rows import Row
from toolkit.types import BenchResult, Finding, Level, LevelChange, LimitOutcome, MetricChange

CONFIDENCE = 0.95
LEAST_CHANGE = 0.01
LEAST_SECONDS = 0.0001
LEAST_SHARE = 0.005
"""Smaller changes are not called one, however sure: 1 %, a tenth of a millisecond, half a point of failures."""
SHOWN = (
    "output_tok_s", "input_tok_s", "request_s", "ttft_p50", "ttft_p95", "ttft_p99", "itl_p50", "itl_p95", "itl_p99",
    "tpot_p50", "e2e_p50", "e2e_p95", FAILED,
)  # fmt: skip

_Latencies = Mapping[str, Mapping[str, Sequence[float]]]
"""Request id → latency → its values."""

LoadKey = tuple[int | None, float | None, int]
"""Users, rate, and which time this load was run."""


@dataclass(frozen=True)
class Side:
    """One of the two benches: its document and its rows."""

    result: BenchResult
    rows: Sequence[Row]

    def levels(self) -> dict[LoadKey, int]:
        """Where each load stands in the document; a load that ran twice has two keys."""
        seen: dict[LoadKey, int] = {}
        for index, level in enumerate(self.result.levels):
            times = sum(1 for users, rate, _ in seen if (users, rate) == (level.concurrency, level.rate))
            seen[level.concurrency, level.rate, times] = index
        return seen


@dataclass(frozen=True)
class _Pair:
    """One figure of one load on both sides, before the intervals are widened."""

    metric: str
    a: Estimate
    b: Estimate
    why: str | None


@dataclass(frozen=True)
class Compared:
    """What `compare` found: the loads that both have, those only one has, and how many intervals were made."""

    levels: tuple[LevelChange, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    intervals: int


def compare(a: Side, b: Side, seed: int = 0, more: Iterable[str] = ()) -> Compared:
    """Every shown figure, and ``more``, of every load that both ran."""
    in_a, in_b = a.levels(), b.levels()
    both = [key for key in in_a if key in in_b]
    metrics = list(dict.fromkeys([*SHOWN, *more]))
    pairs = {key: _level(a, in_a[key], b, in_b[key], metrics, seed) for key in both}
    count = sum(1 for found in pairs.values() for pair in found if _judged(pair))
    levels = tuple(
        LevelChange(
            concurrency=key[0],
            rate=key[1],
            load=load_words(a.result.levels[in_a[key]]),
            metrics=tuple(_change(pair, count) for pair in found),
        )
        for key, found in pairs.items()
    )
    return Compared(levels, _only(a, in_a, in_b), _only(b, in_b, in_a), count)


def load_words(level: Level) -> str:
    """``4 users`` or ``2.5 requests/s``."""
    if level.concurrency is not None:
        return f"{level.concurrency} user{'' if level.concurrency == 1 else 's'}"
    return f"{level.rate:g} requests/s"


def _only(side: Side, mine: Mapping[LoadKey, int], other: Mapping[LoadKey, int]) -> tuple[str, ...]:
    return tuple(load_words(side.result.levels[index]) for key, index in mine.items() if key not in other)


def _level(a: Side, at_a: int, b: Side, at_b: int, metrics: Sequence[str], seed: int) -> list[_Pair]:
    invalid = [
        f"not valid in {name}: {level.why_invalid}"
        for name, level in (("A", a.result.levels[at_a]), ("B", b.result.levels[at_b]))
        if not level.valid
    ]
    of_a, of_b = _figures(a.rows, at_a, metrics, 2 * seed), _figures(b.rows, at_b, metrics, 2 * seed + 1)
    why = "; ".join(invalid) or None
    return [_Pair(m, of_a[m], of_b[m], why) for m in metrics if of_a[m].value is not None or of_b[m].value is not None]


def _figures(rows: Sequence[Row], level: int, metrics: Sequence[str], seed: int) -> dict[str, Estimate]:
    blocks = bootstrap.cut(measured(row for row in rows if row.level == level))
    weights = bootstrap.draws(blocks, seed) if blocks.enough else []
    latencies = {row.id: values_of(row) for part in blocks.rows for row in part if row.ok}
    return {metric: _estimate(blocks, metric, weights, latencies) for metric in metrics}


def _estimate(blocks: Blocks, metric: str, weights: Sequence[Weights], latencies: _Latencies) -> Estimate:
    if metric == FAILED:
        return bootstrap.share_of(blocks, lambda row: not row.ok, weights)
    if metric in _AMOUNTS:
        return bootstrap.rate_of(blocks, _AMOUNTS[metric], weights)
    latency, _, quantile = metric.rpartition("_")

    def values(row: Row) -> Sequence[float]:
        return latencies[row.id][latency]

    if quantile == "mean":
        return bootstrap.mean_of(blocks, values, weights)
    return bootstrap.percentile_of(blocks, values, float(quantile[1:]), weights)


_AMOUNTS: dict[str, Callable[[Row], float]] = {
    "output_tok_s": lambda row: row.output_tokens,
    "input_tok_s": lambda row: row.input_tokens or 0,
    "total_tok_s": lambda row: row.output_tokens + (row.input_tokens or 0),
    "request_s": lambda _: 1.0,
}


def _judged(pair: _Pair) -> bool:
    return not pair.why and bool(pair.a.draws) and bool(pair.b.draws)


def _change(pair: _Pair, intervals: int) -> MetricChange:
    unit = "share" if pair.metric == FAILED else _unit(pair.metric)
    plain = {"metric": pair.metric, "unit": unit, "a": pair.a.value, "b": pair.b.value, "n_a": pair.a.n}
    size = _size(pair)
    if pair.why or size is None or not _judged(pair):
        finding: Finding = "not_valid" if pair.why else "too_few"
        why = pair.why or "; ".join(f"{name}: {side.why}" for name, side in (("A", pair.a), ("B", pair.b)) if side.why)
        return MetricChange(**plain, n_b=pair.b.n, change=size, finding=finding, why=why or "nothing to compare")
    low, high = _interval(pair, intervals)
    finding = _finding(pair, size, low, high)
    return MetricChange(**plain, n_b=pair.b.n, change=size, low=low, high=high, finding=finding)


def _unit(metric: str) -> str:
    return {"request_s": "requests/s"}.get(metric, "tokens/s" if metric in _AMOUNTS else "s")


def _size(pair: _Pair) -> float | None:
    a, b = pair.a.value, pair.b.value
    if a is None or b is None:
        return None
    if pair.metric == FAILED:
        return b - a
    return b / a - 1 if a > 0 else None


def _interval(pair: _Pair, intervals: int) -> tuple[float, float]:
    """Of the relative change (log ratio, back-transformed); of the difference for a share."""
    absolute = pair.metric == FAILED or min(*pair.a.draws, *pair.b.draws) <= 0
    shift = (lambda v: v) if absolute else math.log
    middle = shift(pair.b.value or 0.0) - shift(pair.a.value or 0.0)
    errors = [statistics.variance([shift(v) for v in side.draws]) for side in (pair.a, pair.b)]
    reach = _t(errors, [pair.a.blocks - 1, pair.b.blocks - 1], intervals) * math.sqrt(sum(errors))
    if pair.metric == FAILED:
        return middle - reach, middle + reach
    if absolute:  # a figure that may be zero: relative to A
        base = pair.a.value or math.inf
        return (middle - reach) / base, (middle + reach) / base
    return math.exp(middle - reach) - 1, math.exp(min(700.0, middle + reach)) - 1


def _t(errors: Sequence[float], freedom: Sequence[int], intervals: int) -> float:
    """Student's t for one of so many two-sided intervals, with Welch's degrees of freedom."""
    total = sum(errors)
    parts = sum(e * e / f for e, f in zip(errors, freedom, strict=True))
    nu = math.floor(total * total / parts) if parts > 0 else sum(freedom)
    return bootstrap.t_quantile(1 - (1 - CONFIDENCE) / 2 / max(1, intervals), max(1, nu))


def _finding(pair: _Pair, size: float, low: float, high: float) -> Finding:
    if low <= 0 <= high or _slight(pair, size):
        return "no_difference"
    if pair.metric == FAILED:
        return "higher" if size > 0 else "lower"
    more_is_better = pair.metric in _AMOUNTS
    return "faster" if (size > 0) == more_is_better else "slower"


def _slight(pair: _Pair, size: float) -> bool:
    if pair.metric == FAILED:
        return abs(size) < LEAST_SHARE
    seconds = abs((pair.b.value or 0) - (pair.a.value or 0)) if pair.metric not in _AMOUNTS else math.inf
    return abs(size) < LEAST_CHANGE or seconds < LEAST_SECONDS


def judge_limits(levels: Sequence[LevelChange], limits: Sequence[Limit]) -> tuple[LimitOutcome, ...]:
    """Each limit at each load. Broken = beyond the limit and told from chance."""
    return tuple(_outcome(level, limit) for limit in limits for level in levels)


def _outcome(level: LevelChange, limit: Limit) -> LimitOutcome:
    found = next((m for m in level.metrics if m.metric == limit.metric), None)
    if found is None or found.change is None or found.finding in ("too_few", "not_valid"):
        why = found.why if found else f"no {limit.metric} here"
        change = found.change if found else None
        return LimitOutcome(limit=limit.text, load=level.load, change=change, outcome="undecided", why=why)
    if not limit.broken_by(found.change):
        return LimitOutcome(limit=limit.text, load=level.load, change=found.change, outcome="kept")
    if found.finding == "no_difference":
        why = "no difference that can be told from chance"
        return LimitOutcome(limit=limit.text, load=level.load, change=found.change, outcome="noise", why=why)
    return LimitOutcome(limit=limit.text, load=level.load, change=found.change, outcome="broken")


def passed(outcomes: Sequence[LimitOutcome], limits: Sequence[Limit]) -> bool:
    """No limit is broken anywhere, and each was judged at one load at least."""
    judged = {o.limit for o in outcomes if o.outcome != "undecided"}
    return all(o.outcome != "broken" for o in outcomes) and all(limit.text in judged for limit in limits)
