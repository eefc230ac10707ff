"""Block bootstrap of one level's rows: how far each figure could have come out otherwise. Pure, seeded, stdlib.

Requests that ran together are not independent: one slow batch delays all of them. So whole blocks are drawn, each a
stretch of requests in the order in which they ended, one or more "rounds" long (a round is as many requests as were
in flight on average). The times between ends add up to the wall time exactly, so throughput is drawn with them, and
each gap between tokens stays with its request.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from operator import mul

from toolkit.load.rows import Row

MOST_BLOCKS = 50
LEAST_BLOCKS = 5
RESAMPLES = 800
"""The standard error of a figure is then known to 1/√1600 = 2.5 %."""
GRID = 128
"""Values at which a resampled percentile is looked up, spread over ±5 standard errors of its rank."""
TAIL = 5
"""Values that must lie beyond a percentile before anything is said about it."""

Weights = Sequence[int]
Values = Callable[[Row], Sequence[float]]


@dataclass(frozen=True)
class Blocks:
    """The rows of one level cut into blocks, with the wall seconds of each."""

    rows: tuple[tuple[Row, ...], ...]
    seconds: tuple[float, ...]

    @property
    def enough(self) -> bool:
        """Whether there are blocks enough to speak of a spread."""
        return len(self.rows) >= LEAST_BLOCKS


@dataclass(frozen=True)
class Estimate:
    """A figure, the ``n`` values it rests on, and its resampled self: one value a resample. ``draws`` empty: unsure."""

    value: float | None
    n: int
    draws: tuple[float, ...]
    blocks: int
    why: str | None = None


def cut(rows: Sequence[Row]) -> Blocks:
    """Blocks of the measured rows of one level."""
    ordered = sorted(rows, key=lambda row: row.end_s)
    if not ordered:
        return Blocks((), ())
    start = min(row.sent_s for row in ordered)
    wall = ordered[-1].end_s - start
    in_flight = math.fsum(row.end_s - row.sent_s for row in ordered) / wall if wall > 0 else 1.0
    round_size = max(1, round(in_flight))
    rounds = max(1, len(ordered) // round_size)
    count = min(MOST_BLOCKS, rounds)
    edges = [i * rounds // count * round_size for i in range(count)] + [len(ordered)]
    parts = [tuple(ordered[a:b]) for a, b in pairwise(edges)]
    ends = [start, *(part[-1].end_s for part in parts)]
    return Blocks(tuple(parts), tuple(b - a for a, b in pairwise(ends)))


def draws(blocks: Blocks, seed: int, resamples: int = RESAMPLES) -> list[Weights]:
    """How often each block is taken, per resample."""
    draw = random.Random(seed)
    n = len(blocks.rows)
    found: list[Weights] = []
    for _ in range(resamples):
        weights = [0] * n
        for i in draw.choices(range(n), k=n):
            weights[i] += 1
        found.append(weights)
    return found


def percentile_of(blocks: Blocks, values: Values, p: float, weights: Sequence[Weights]) -> Estimate:
    """The nearest-rank percentile of a flat list of values of completed requests."""
    each = [sorted(v for row in part if row.ok for v in values(row)) for part in blocks.rows]
    everything = sorted(v for part in each for v in part)
    n = len(everything)
    if not n:
        return Estimate(None, 0, (), len(each), "no values")
    value = everything[_rank(p / 100, n)]
    needed = math.ceil(round(TAIL / min(1 - p / 100, p / 100), 6))
    if n < needed:
        return Estimate(value, n, (), len(each), f"{n} values, {needed} are needed")
    grid = _grid(everything, p / 100, len(each))
    counts = [[bisect_right(part, v) for part in each] for v in grid]
    sizes = [len(part) for part in each]
    return _estimate(value, n, blocks, [_lookup(grid, counts, sizes, p / 100, w) for w in weights])


def mean_of(blocks: Blocks, values: Values, weights: Sequence[Weights]) -> Estimate:
    """The mean of a flat list of values of completed requests."""
    each = [[v for row in part if row.ok for v in values(row)] for part in blocks.rows]
    return _ratio(blocks, [math.fsum(part) for part in each], [len(part) for part in each], weights)


def rate_of(blocks: Blocks, amount: Callable[[Row], float], weights: Sequence[Weights]) -> Estimate:
    """The sum of an amount over completed requests, per second of wall time."""
    sums = [math.fsum(amount(row) for row in part if row.ok) for part in blocks.rows]
    found = _ratio(blocks, sums, blocks.seconds, weights)
    return replace(found, n=sum(row.ok for part in blocks.rows for row in part))


def share_of(blocks: Blocks, is_one: Callable[[Row], bool], weights: Sequence[Weights]) -> Estimate:
    """The share of all requests for which something holds."""
    ones = [sum(map(is_one, part)) for part in blocks.rows]
    return _ratio(blocks, ones, [len(part) for part in blocks.rows], weights)


def _ratio(blocks: Blocks, above: Sequence[float], below: Sequence[float], weights: Sequence[Weights]) -> Estimate:
    total = math.fsum(below)
    if not total:
        return Estimate(None, 0, (), len(above), "no values")
    resampled = [math.fsum(map(mul, w, above)) / under for w in weights if (under := math.fsum(map(mul, w, below))) > 0]
    return _estimate(math.fsum(above) / total, round(total), blocks, resampled)


def _estimate(value: float, n: int, blocks: Blocks, resampled: Sequence[float]) -> Estimate:
    if not blocks.enough:
        why = f"{len(blocks.rows)} rounds of requests, {LEAST_BLOCKS} are needed"
        return Estimate(value, n, (), len(blocks.rows), why)
    return Estimate(value, n, tuple(resampled), len(blocks.rows))


def _rank(share: float, n: int) -> int:
    return max(0, min(n - 1, math.ceil(round(share * n, 9)) - 1))


def _grid(ordered: Sequence[float], share: float, blocks: int) -> list[float]:
    """Candidate values around a percentile, ascending, wide enough for every resample."""
    reach = 5 * math.sqrt(share * (1 - share) / blocks)
    lo, hi = _rank(max(0.0, share - reach), len(ordered)), _rank(min(1.0, share + reach), len(ordered))
    steps = min(GRID, hi - lo)
    ranks = [lo + round(i * (hi - lo) / steps) for i in range(steps + 1)] if steps else [lo]
    return sorted({ordered[r] for r in ranks})


def _lookup(
    grid: Sequence[float], counts: Sequence[Sequence[int]], sizes: Sequence[int], share: float, weights: Weights
) -> float:
    """The least candidate that the wanted share of the resampled values does not exceed."""
    wanted = share * sum(map(mul, weights, sizes)) - 1e-9
    lo, hi = 0, len(grid) - 1
    while lo < hi:
        middle = (lo + hi) // 2
        if sum(map(mul, weights, counts[middle])) >= wanted:
            hi = middle
        else:
            lo = middle + 1
    return grid[lo]


def t_quantile(probability: float, freedom: int) -> float:
    """Quantile (above one half) of Student's t for whole degrees of freedom, by bisection of its exact CDF."""
    lo, hi = 0.0, 1.0
    while t_cdf(hi, freedom) < probability and hi < 1e12:
        hi *= 2
    for _ in range(80):
        middle = (lo + hi) / 2
        lo, hi = (middle, hi) if t_cdf(middle, freedom) < probability else (lo, middle)
    return (lo + hi) / 2


def t_cdf(t: float, freedom: int) -> float:
    """Student's t below ``t`` ≥ 0: the finite series of Abramowitz and Stegun, 26.7.3 and 26.7.4."""
    angle = math.atan(t / math.sqrt(freedom))
    sine, square = math.sin(angle), math.cos(angle) ** 2
    if freedom % 2:
        terms = accumulate(range(1, (freedom - 1) // 2), lambda a, k: a * square * 2 * k / (2 * k + 1), initial=1.0)
        tail = sine * math.cos(angle) * math.fsum(terms) if freedom > 1 else 0.0
        inside = 2 / math.pi * (angle + tail)
    else:
        terms = accumulate(range(1, freedom // 2), lambda a, k: a * square * (2 * k - 1) / (2 * k), initial=1.0)
        inside = sine * math.fsum(terms)
    return (1 + inside) / 2
