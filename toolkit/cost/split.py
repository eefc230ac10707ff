"""What an input token and an output token each cost, from runs of different shapes.

Serving time is taken as additive: each second of a run was spent on its input and on its output tokens,
1 = a·(input tokens/s) + b·(output tokens/s). Non-negative least squares over at least four shapes, every run with
equal weight, gives seconds per token of each kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from toolkit.cost.formulas import MTOK, SECONDS_PER_HOUR
from toolkit.errors import DeclinedError

MIN_SHAPES = 4
SAME_SHARE = Decimal("0.02")
"""Runs whose input shares differ by less than this are one shape."""


@dataclass(frozen=True)
class Run:
    """One saturated run: new-prompt and output tokens per second of wall time."""

    input_tok_s: Decimal
    output_tok_s: Decimal

    @property
    def input_share(self) -> Decimal:
        """Share of input among all tokens, 0…1."""
        return self.input_tok_s / (self.input_tok_s + self.output_tok_s)


@dataclass(frozen=True)
class Split:
    """Seconds of one replica per input token and per output token; worst misfit of a run as a share of its time."""

    s_per_input_token: Decimal
    s_per_output_token: Decimal
    worst_residual: Decimal

    def goodput_tok_s(self, input_share: Decimal) -> Decimal:
        """Tokens per second a replica would serve at that share of input."""
        s_per_token = input_share * self.s_per_input_token + (1 - input_share) * self.s_per_output_token
        if s_per_token <= 0:
            raise DeclinedError(f"the runs put no time on a mix with {input_share:.0%} input, so it has no cost")
        return 1 / s_per_token

    def usd_per_mtok(self, usd_per_replica_hour: Decimal) -> tuple[Decimal, Decimal]:
        """Dollars per million input tokens and per million output tokens, hardware busy all the time."""
        per_second = usd_per_replica_hour / SECONDS_PER_HOUR * MTOK
        return self.s_per_input_token * per_second, self.s_per_output_token * per_second


def fit(runs: Sequence[Run]) -> Split:
    """Least squares with a, b ≥ 0.

    Raises:
        DeclinedError: fewer than four shapes, so the two costs cannot be told apart.
    """
    if shapes(runs) < MIN_SHAPES:
        raise DeclinedError(
            f"{len(runs)} results with {shapes(runs)} different input shares cannot tell input from output cost",
            f"Measure at least {MIN_SHAPES} mixes, from long prompts with short answers to the opposite.",
        )
    a, b = _non_negative(runs)
    worst = max(abs(1 - a * r.input_tok_s - b * r.output_tok_s) for r in runs)
    return Split(a, b, worst)


def shapes(runs: Sequence[Run]) -> int:
    """How many clearly different input shares the runs have."""
    count, last = 0, Decimal(-1)
    for share in sorted(r.input_share for r in runs):
        if share - last >= SAME_SHARE:
            count, last = count + 1, share
    return count


def _non_negative(runs: Sequence[Run]) -> tuple[Decimal, Decimal]:
    """Minimise Σ(1 − a·x − b·y)² over a, b ≥ 0; with two unknowns the edges are the only other candidates."""
    xs, ys = [r.input_tok_s for r in runs], [r.output_tok_s for r in runs]
    xx, yy, xy = _dot(xs, xs), _dot(ys, ys), _dot(xs, ys)
    x, y = sum(xs, Decimal(0)), sum(ys, Decimal(0))
    det = xx * yy - xy * xy
    a, b = (x * yy - y * xy) / det, (y * xx - x * xy) / det
    if a < 0:
        return Decimal(0), y / yy
    if b < 0:
        return x / xx, Decimal(0)
    return a, b


def _dot(xs: Sequence[Decimal], ys: Sequence[Decimal]) -> Decimal:
    return sum((x * y for x, y in zip(xs, ys, strict=True)), Decimal(0))
