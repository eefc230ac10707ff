"""How sure a cost is: seeded Monte Carlo over what is not known exactly, and which of that matters most.

Each uncertain input is a factor around its stated value, given by five numbers: its least, lower quartile, median,
upper quartile and greatest. Between them the quantile function is straight. The median is always 1, so the point
estimate is the middle of what goes in.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from random import Random

from toolkit.cost.formulas import HOURS_PER_MONTH, SECONDS_PER_DAY, Hosting, mtok_per_month
from toolkit.cost.goodput import Goodput
from toolkit.cost.machine_price import MachinePrice
from toolkit.types import Basis, MoneyBand, Swing, Uncertainty

DRAWS = 10_000
FiveNumbers = tuple[float, float, float, float, float]

SPEED_MEASURED: FiveNumbers = (0.9, 0.97, 1, 1.03, 1.1)
"""One load test against another on the same machine: an assumption until runs are repeated."""
SPEED_STATED: FiveNumbers = (0.5, 0.8, 1, 1.1, 1.3)
"""A speed nobody measured: more often too high than too low."""
PEOPLE: FiveNumbers = (0.5, 0.8, 1, 1.5, 3)
"""Hours of work as estimated beforehand: overruns are longer than savings."""
PEAK_ASSUMED: FiveNumbers = (0.4, 0.7, 1, 1.4, 2)
"""A peak ratio without a log: 3 may be 1.2 or 6."""
PEAK_GIVEN: FiveNumbers = (0.8, 0.95, 1, 1.05, 1.2)
"""A peak ratio from a log: the next months resemble the last. One that the user states counts as assumed."""


@dataclass(frozen=True)
class Factor:
    """One uncertain input: which, its five numbers, and where those come from."""

    what: str
    points: FiveNumbers
    basis: Basis
    how: str

    def quantile(self, share: float) -> float:
        """The value below which that share (0…1) lies."""
        place = share * 4
        i = min(3, int(place))
        return self.points[i] + (self.points[i + 1] - self.points[i]) * (place - i)

    def percentile(self, share: float) -> float:
        """The same to nine digits, as it is told: 2.4 and not 2.4000000000000004."""
        return round(self.quantile(share), 9)


@dataclass(frozen=True)
class Factors:
    """The four things that move a cost."""

    speed: Factor
    price: Factor
    people: Factor
    peak: Factor


def factors(goodput: Goodput, price: MachinePrice, peak_basis: Basis) -> Factors:
    """What is uncertain, by how each input is known."""
    return Factors(
        _speed(goodput),
        Factor("machine price", price.spread, price.basis, price.how),
        Factor("people's hours", PEOPLE, "assumed", "estimated beforehand"),
        Factor(
            "peak ratio",
            PEAK_ASSUMED if peak_basis == "assumed" else PEAK_GIVEN,
            "assumed",
            "no log was read" if peak_basis == "assumed" else "from what was observed",
        ),
    )


def _speed(goodput: Goodput) -> Factor:
    """From runs that were repeated where there are some, else as the speed is known."""
    if goodput.spread is not None:
        return Factor("speed", goodput.spread, "measured", goodput.how)
    points = SPEED_STATED if goodput.basis == "assumed" else SPEED_MEASURED
    return Factor("speed", points, "assumed", f"tokens/s are {goodput.basis}")


def simulate(
    hosting: Hosting,
    tokens_per_day: int,
    uncertain: Factors,
    api_usd_per_mtok: Sequence[Decimal],
    draws: int = DRAWS,
    seed: int = 0,
    deployed: int | None = None,
) -> tuple[Uncertainty, list[float]]:
    """Bands and tornado, and for each API the probability that self-hosting costs less. The same seed, the same.

    ``deployed`` replicas whatever the load; None: as many as it needs.
    """
    model = _Model.of(hosting, tokens_per_day, deployed)
    random = Random(seed).random
    quantiles = [f.quantile for f in (uncertain.speed, uncertain.price, uncertain.people, uncertain.peak)]
    drawn = sorted(model.usd_per_month(*(quantile(random()) for quantile in quantiles)) for _ in range(draws))
    mtok = float(mtok_per_month(tokens_per_day))
    cheaper = [_share_below(drawn, float(usd) * mtok) for usd in api_usd_per_mtok]
    return (
        Uncertainty(
            draws=draws,
            seed=seed,
            monthly_usd=_band(drawn),
            allocation_usd_per_mtok=_band([usd / mtok for usd in drawn]),
            tornado=tuple(_tornado(model, uncertain, mtok)),
        ),
        cheaper,
    )


@dataclass(frozen=True)
class _Model:
    """The month's cost in plain floats: 10,000 draws must take a moment, and exactness is not what is asked here."""

    peak_tok_s: float
    goodput_tok_s: float
    compute_usd: float
    replica_usd: float
    """What a replica costs besides its machine."""
    people_usd: float
    other_usd: float
    spare: int
    flattest: float
    """The least factor on the peak ratio: a peak is never below the mean of the open hours."""
    deployed: int | None = None

    @classmethod
    def of(cls, hosting: Hosting, tokens_per_day: int, deployed: int | None) -> _Model:
        by_token = hosting.other_usd_per_mtok * mtok_per_month(tokens_per_day)
        return cls(
            peak_tok_s=float(Decimal(tokens_per_day) / SECONDS_PER_DAY * hosting.peak_over_mean),
            goodput_tok_s=float(hosting.goodput_tok_s),
            compute_usd=float(hosting.compute_usd_per_replica_month),
            replica_usd=float(hosting.usd_per_replica_month - hosting.compute_usd_per_replica_month),
            people_usd=float(hosting.people_usd_per_month),
            other_usd=float(hosting.on_call_usd_per_month + hosting.other_usd_per_month + by_token),
            spare=hosting.spare,
            flattest=float(HOURS_PER_MONTH / hosting.open_hours / hosting.peak_over_mean),
            deployed=deployed,
        )

    def usd_per_month(self, speed: float = 1, price: float = 1, people: float = 1, peak: float = 1) -> float:
        """C + H + O with each input at that factor."""
        load = self.peak_tok_s * max(peak, self.flattest) / (self.goodput_tok_s * speed)
        replicas = self.deployed or max(1, math.ceil(load - 1e-9)) + self.spare
        return replicas * (self.compute_usd * price + self.replica_usd) + self.people_usd * people + self.other_usd


def _tornado(model: _Model, uncertain: Factors, mtok: float) -> list[Swing]:
    """Each factor at its tenth and ninetieth percentile, the others at 1; widest first, those without effect out."""
    found = []
    for key in ("speed", "price", "people", "peak"):
        factor: Factor = getattr(uncertain, key)
        ends = [model.usd_per_month(**{key: factor.quantile(share)}) / mtok for share in (0.1, 0.9)]
        if ends[0] != ends[1]:
            found.append(
                Swing(
                    what=factor.what,
                    factor_p10=factor.percentile(0.1),
                    factor_p90=factor.percentile(0.9),
                    usd_per_mtok_at_p10=round(ends[0], 9),
                    usd_per_mtok_at_p90=round(ends[1], 9),
                    basis=factor.basis,
                    how=factor.how,
                )
            )
    return sorted(found, key=lambda swing: -abs(swing.usd_per_mtok_at_p90 - swing.usd_per_mtok_at_p10))


def _share_below(ascending: Sequence[float], limit: float) -> float:
    """Share of the draws below that amount; an equal amount is not cheaper."""
    return bisect_left(ascending, limit * (1 - 1e-12)) / len(ascending)


def _band(ascending: Sequence[float]) -> MoneyBand:
    """Nearest-rank percentiles."""
    n = len(ascending)
    p10, p50, p90 = (Decimal(repr(round(ascending[math.ceil(share * n) - 1], 9))) for share in (0.1, 0.5, 0.9))
    return MoneyBand(p10=p10, p50=p50, p90=p90)
