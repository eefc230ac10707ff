"""The arithmetic of self-hosting, in exact decimals. Nothing here reads, prints or knows today's date.

Tokens are input + output together. A month is 730 hours = 30.4167 days (a year of 8,760 hours / 12).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal

HOURS_PER_MONTH = Decimal(730)
HOURS_PER_YEAR = HOURS_PER_MONTH * 12
DAYS_PER_MONTH = HOURS_PER_MONTH / 24
SECONDS_PER_DAY = 86_400
SECONDS_PER_HOUR = 3_600
MTOK = Decimal(1_000_000)


@dataclass(frozen=True)
class Hosting:
    """What self-hosting is made of, before a volume is known.

    ``goodput_tok_s`` is what one replica serves within its service level; a replica is ``gpus`` devices at
    ``usd_per_gpu_hour``, open for ``open_hours`` of the month and paid for ``paid_hours``. ``peak_ratio`` is peak
    load over the mean of all hours; ``spare`` replicas stand by. Money that grows with the replicas, with the tokens,
    or with neither is kept apart.
    """

    goodput_tok_s: Decimal
    gpus: int
    usd_per_gpu_hour: Decimal
    peak_ratio: Decimal = Decimal(1)
    spare: int = 0
    people_usd_per_month: Decimal = Decimal(0)
    on_call_usd_per_month: Decimal = Decimal(0)
    power_usd_per_replica_month: Decimal = Decimal(0)
    other_usd_per_replica_month: Decimal = Decimal(0)
    other_usd_per_month: Decimal = Decimal(0)
    other_usd_per_mtok: Decimal = Decimal(0)
    open_hours: Decimal = HOURS_PER_MONTH
    paid_hours: Decimal = HOURS_PER_MONTH

    @property
    def compute_usd_per_replica_month(self) -> Decimal:
        """The machine of one replica for the hours that are paid."""
        return compute_usd_per_month(1, self.gpus, self.usd_per_gpu_hour, self.paid_hours)

    @property
    def usd_per_replica_month(self) -> Decimal:
        """Everything that one more replica adds."""
        return self.compute_usd_per_replica_month + self.power_usd_per_replica_month + self.other_usd_per_replica_month

    @property
    def fixed_usd_per_month(self) -> Decimal:
        """What neither replicas nor tokens move: people, and monthly amounts."""
        return self.people_usd_per_month + self.on_call_usd_per_month + self.other_usd_per_month

    @property
    def peak_over_mean(self) -> Decimal:
        """Peak load over the mean of all 730 hours: never below what the opening hours alone make of it."""
        return max(self.peak_ratio, HOURS_PER_MONTH / self.open_hours)

    @property
    def capacity_tokens_per_day(self) -> Decimal:
        """Daily volume one replica carries when the day has that peak: 86,400·g / peak over mean."""
        return SECONDS_PER_DAY * self.goodput_tok_s / self.peak_over_mean


@dataclass(frozen=True)
class Month:
    """One month of serving a volume: dollars by kind, replicas, and the share of the open hours used (0…1)."""

    tokens_per_day: int
    replicas: int
    utilisation: Decimal
    compute_usd: Decimal
    people_usd: Decimal
    power_usd: Decimal
    other_usd: Decimal
    """All but machines and people, electricity among it."""

    @property
    def total_usd(self) -> Decimal:
        """Everything: C + H + O."""
        return self.compute_usd + self.people_usd + self.other_usd

    @property
    def allocation_usd_per_mtok(self) -> Decimal:
        """(C + H + O) / million tokens served in the month: the figure to hold against an API's price."""
        return self.total_usd / mtok_per_month(self.tokens_per_day)


def month(hosting: Hosting, tokens_per_day: int, n: int | None = None) -> Month:
    """What a month costs at that volume: L = V/86,400, n = ⌈L·peak/g⌉ + spare, U = L·730/(n·g·open hours).

    ``n`` replicas where their number is given and not computed.
    """
    n = replicas(hosting, tokens_per_day) if n is None else n
    used = mean_load_tok_s(tokens_per_day) * HOURS_PER_MONTH / hosting.open_hours
    power = n * hosting.power_usd_per_replica_month
    return Month(
        tokens_per_day=tokens_per_day,
        replicas=n,
        utilisation=used / (n * hosting.goodput_tok_s),
        compute_usd=n * hosting.compute_usd_per_replica_month,
        people_usd=hosting.people_usd_per_month + hosting.on_call_usd_per_month,
        power_usd=power,
        other_usd=power
        + n * hosting.other_usd_per_replica_month
        + hosting.other_usd_per_month
        + hosting.other_usd_per_mtok * mtok_per_month(tokens_per_day),
    )


def mean_load_tok_s(tokens_per_day: int) -> Decimal:
    """L: tokens per second when the day's volume is spread evenly."""
    return Decimal(tokens_per_day) / SECONDS_PER_DAY


def replicas(hosting: Hosting, tokens_per_day: int) -> int:
    """n: enough replicas for the peak, plus the spare ones; at least one serves."""
    return max(1, math.ceil(Decimal(tokens_per_day) / hosting.capacity_tokens_per_day)) + hosting.spare


def compute_usd_per_month(n: int, gpus: int, usd_per_gpu_hour: Decimal, hours: Decimal = HOURS_PER_MONTH) -> Decimal:
    """C: n replicas × devices × hours × price."""
    return n * gpus * hours * usd_per_gpu_hour


def spot_usd_per_hour(on_demand: Decimal, spot: Decimal, share: Decimal) -> Decimal:
    """The mixed price when that share of the hours is spot: s·spot + (1 − s)·on demand."""
    return share * spot + (1 - share) * on_demand


def capex_usd_per_hour(usd: Decimal, residual: Decimal, years: Decimal, utilisation: Decimal) -> Decimal:
    """Own hardware per hour it runs: price·(1 − residual)/(years·8760·utilisation); residual is what is left, 0…1."""
    return usd * (1 - residual) / (years * HOURS_PER_YEAR * utilisation)


def people_usd_per_month(
    setup_hours: Decimal, horizon_months: Decimal, upkeep_hours: Decimal, usd_per_hour: Decimal
) -> Decimal:
    """H without on-call pay: the set-up spread over the horizon, plus the hours of every month."""
    return setup_hours * usd_per_hour / horizon_months + upkeep_hours * usd_per_hour


def power_usd_per_month(
    watts: Decimal, usd_per_kwh: Decimal, pue: Decimal, hours: Decimal = HOURS_PER_MONTH
) -> Decimal:
    """Electricity of one replica drawing ``watts`` for those hours; PUE is what the building adds (≥ 1)."""
    return watts / 1000 * hours * usd_per_kwh * pue


def usage_usd_per_mtok(gpus: int, usd_per_gpu_hour: Decimal, goodput_tok_s: Decimal) -> Decimal:
    """What a million tokens costs on hardware that is busy all the time: gpus·price/(3600·g)·1e6."""
    return gpus * usd_per_gpu_hour / (SECONDS_PER_HOUR * goodput_tok_s) * MTOK


def joules_per_token(watts: Decimal, goodput_tok_s: Decimal) -> Decimal:
    """Watts of one replica over its tokens per second."""
    return watts / goodput_tok_s


def energy_usd_per_mtok(joules: Decimal, usd_per_kwh: Decimal, pue: Decimal) -> Decimal:
    """J/token × $/kWh × PUE / 3.6: 1 kWh is 3.6 MJ, and a million tokens are as many megajoules as J/token."""
    return joules * usd_per_kwh * pue / Decimal("3.6")


def mtok_per_month(tokens_per_day: int) -> Decimal:
    """Millions of tokens in a month of 730 hours."""
    return tokens_per_day * DAYS_PER_MONTH / MTOK
