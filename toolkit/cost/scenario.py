"""What stands around a speed and a price: the load, the hours, people, electricity and other money."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from toolkit.cost import formulas
from toolkit.cost.formulas import Hosting
from toolkit.cost.goodput import Goodput
from toolkit.cost.machine_price import MachinePrice
from toolkit.cost.running import ALWAYS, Running
from toolkit.types import Basis

PEAK_RATIO = Decimal(3)
"""Peak over mean load when no log tells: office-hours traffic; an assumption."""

Per = Literal["month", "replica", "mtok"]


@dataclass(frozen=True)
class Load:
    """The volume to serve, input + output tokens per day, and how uneven the day is."""

    tokens_per_day: int | None = None
    peak_ratio: Decimal = PEAK_RATIO
    peak_ratio_basis: Basis = "assumed"
    spare: int = 0
    replicas: int | None = None
    """Replicas that are deployed whatever the load; None: as many as the peak needs, and the spare ones."""


@dataclass(frozen=True)
class People:
    """Hours people spend, and what an hour costs. Zero hours are said in the report, not hidden."""

    setup_hours: Decimal = Decimal(0)
    horizon_months: Decimal = Decimal(24)
    upkeep_hours: Decimal = Decimal(0)
    usd_per_hour: Decimal = Decimal(0)
    on_call_usd_per_month: Decimal = Decimal(0)

    @property
    def usd_per_month(self) -> Decimal:
        """Set-up spread over the horizon, and upkeep; on-call pay is apart: it is agreed, not estimated."""
        return formulas.people_usd_per_month(
            self.setup_hours, self.horizon_months, self.upkeep_hours, self.usd_per_hour
        )


@dataclass(frozen=True)
class Power:
    """Electricity that is not in the machine's price: watts of one replica at the wall, $/kWh, PUE (≥ 1)."""

    watts: Decimal
    usd_per_kwh: Decimal
    pue: Decimal = Decimal(1)
    basis: Basis = "assumed"
    how: str = "as stated"


@dataclass(frozen=True)
class Other:
    """Money besides machines, people and power: storage, egress, a licence. ``per`` says what it grows with."""

    what: str
    usd: Decimal
    per: Per = "month"


ANY, NOBODY = Load(), People()


@dataclass(frozen=True)
class Scenario:
    """All of it. The default is a machine that runs all the time, nobody's work and no volume."""

    load: Load = ANY
    running: Running = ALWAYS
    people: People = NOBODY
    power: Power | None = None
    others: tuple[Other, ...] = ()


def hosting_of(goodput: Goodput, price: MachinePrice, scenario: Scenario) -> Hosting:
    """The pieces as one thing that formulas and break-even take."""
    power, running = scenario.power, scenario.running
    return Hosting(
        goodput_tok_s=goodput.tok_s,
        gpus=price.gpus,
        usd_per_gpu_hour=price.usd_per_gpu_hour,
        peak_ratio=scenario.load.peak_ratio,
        spare=scenario.load.spare,
        people_usd_per_month=scenario.people.usd_per_month,
        on_call_usd_per_month=scenario.people.on_call_usd_per_month,
        power_usd_per_replica_month=(
            formulas.power_usd_per_month(power.watts, power.usd_per_kwh, power.pue, running.paid_hours)
            if power
            else Decimal(0)
        ),
        other_usd_per_replica_month=_sum(scenario.others, "replica"),
        other_usd_per_month=_sum(scenario.others, "month"),
        other_usd_per_mtok=_sum(scenario.others, "mtok"),
        open_hours=running.open_hours,
        paid_hours=running.paid_hours,
    )


def _sum(others: tuple[Other, ...], per: Per) -> Decimal:
    return sum((other.usd for other in others if other.per == per), Decimal(0))
