"""What an input token and an output token each cost, from runs of different shapes.

Serving time is taken as additive: each second of a run was spent on its new input, on input that its prefix cache
held, and on its output, 1 = a·(new input/s) + c·(cached input/s) + b·(output/s). Non-negative least squares over at
least four shapes, every run with equal weight, gives seconds per token of each kind. Where the runs do not tell how
much the cache held, or all held as much, cached input counts as input and there is no c.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations
from typing import NamedTuple

from toolkit.cost.formulas import MTOK, SECONDS_PER_HOUR
from toolkit.errors import DeclinedError

MIN_SHAPES = 4
SAME_SHARE = Decimal("0.02")
"""Runs whose input shares differ by less than this are one shape."""
CACHE_SPREAD = Decimal("0.1")
"""Cached shares of the input must differ by this much for the cost of a cached token to be told apart: a choice."""


@dataclass(frozen=True)
class Run:
    """One saturated run: input and output tokens per second of wall time, and the share of the input from the cache."""

    input_tok_s: Decimal
    output_tok_s: Decimal
    cached_share: Decimal = Decimal(0)

    @property
    def input_share(self) -> Decimal:
        """Share of input among all tokens, 0…1."""
        return self.input_tok_s / (self.input_tok_s + self.output_tok_s)


class Kinds(NamedTuple):
    """Dollars per million tokens of each kind; ``cached`` is None where it is not told from ``input``."""

    input: Decimal
    output: Decimal
    cached: Decimal | None


@dataclass(frozen=True)
class Split:
    """Seconds of one replica per token of each kind; worst misfit of a run as a share of its time.

    ``s_per_cached_token`` is None where it was not told apart; ``cached_share`` is that of all input of the runs.
    """

    s_per_input_token: Decimal
    s_per_output_token: Decimal
    worst_residual: Decimal
    s_per_cached_token: Decimal | None = None
    cached_share: Decimal = Decimal(0)

    def goodput_tok_s(self, input_share: Decimal) -> Decimal:
        """Tokens per second a replica would serve at that share of input, with the cache as the runs had it."""
        cached = self.s_per_input_token if self.s_per_cached_token is None else self.s_per_cached_token
        into = (1 - self.cached_share) * self.s_per_input_token + self.cached_share * cached
        s_per_token = input_share * into + (1 - input_share) * self.s_per_output_token
        if s_per_token <= 0:
            raise DeclinedError(f"the runs put no time on a mix with {input_share:.0%} input, so it has no cost")
        return 1 / s_per_token

    def usd_per_mtok(self, usd_per_replica_hour: Decimal) -> Kinds:
        """Dollars per million tokens of each kind, hardware busy all the time."""
        per_second = usd_per_replica_hour / SECONDS_PER_HOUR * MTOK
        cached = None if self.s_per_cached_token is None else self.s_per_cached_token * per_second
        return Kinds(self.s_per_input_token * per_second, self.s_per_output_token * per_second, cached)


def fit(runs: Sequence[Run]) -> Split:
    """Least squares with every cost at least zero.

    Raises:
        DeclinedError: fewer than four shapes, so the two costs cannot be told apart.
    """
    if shapes(runs) < MIN_SHAPES:
        raise DeclinedError(
            f"{len(runs)} results with {shapes(runs)} different input shares cannot tell input from output cost",
            f"Measure at least {MIN_SHAPES} mixes, from long prompts with short answers to the opposite.",
        )
    held = [r.cached_share for r in runs]
    apart = max(held) - min(held) >= CACHE_SPREAD and len(runs) > MIN_SHAPES
    cached = [r.input_tok_s * r.cached_share if apart else Decimal(0) for r in runs]
    fresh = [r.input_tok_s - c for r, c in zip(runs, cached, strict=True)]
    columns = [fresh, [r.output_tok_s for r in runs], *([cached] if apart else [])]
    costs = _non_negative(columns)
    return Split(
        s_per_input_token=costs[0],
        s_per_output_token=costs[1],
        worst_residual=max(abs(left) for left in _left(columns, costs)),
        s_per_cached_token=costs[2] if apart else None,
        cached_share=sum(cached, Decimal(0)) / sum((r.input_tok_s for r in runs), Decimal(0)),
    )


def shapes(runs: Sequence[Run]) -> int:
    """How many clearly different input shares the runs have."""
    count, last = 0, Decimal(-1)
    for share in sorted(r.input_share for r in runs):
        if share - last >= SAME_SHARE:
            count, last = count + 1, share
    return count


def _non_negative(columns: Sequence[Sequence[Decimal]]) -> tuple[Decimal, ...]:
    """Minimise Σ(1 − Σ cost·column)² over costs ≥ 0: with so few, every set of costs above zero is tried."""
    every = range(len(columns))
    tried = []
    for size in range(1, len(columns) + 1):
        for chosen in combinations(every, size):
            found = _solved([columns[i] for i in chosen])
            if found is not None and min(found) >= 0:
                costs = dict(zip(chosen, found, strict=True))
                tried.append(tuple(costs.get(i, Decimal(0)) for i in every))
    return min(tried, key=lambda costs: sum(left * left for left in _left(columns, costs)))


def _left(columns: Sequence[Sequence[Decimal]], costs: Sequence[Decimal]) -> list[Decimal]:
    """What of each run's second the costs do not explain."""
    return [1 - _dot(costs, row) for row in zip(*columns, strict=True)]


def _solved(columns: Sequence[Sequence[Decimal]]) -> list[Decimal] | None:
    """Least squares without a bound, by elimination in the normal equations; None where they do not tell."""
    rows = [[*(_dot(one, other) for other in columns), sum(one, Decimal(0))] for one in columns]
    for i, pivot in enumerate(rows):
        if pivot[i] == 0:
            return None
        rows[i] = [value / pivot[i] for value in pivot]
        for j, row in enumerate(rows):
            if j != i:
                rows[j] = [value - row[i] * of_pivot for value, of_pivot in zip(row, rows[i], strict=True)]
    return [row[-1] for row in rows]


def _dot(xs: Sequence[Decimal], ys: Sequence[Decimal]) -> Decimal:
    return sum((x * y for x, y in zip(xs, ys, strict=True)), Decimal(0))
