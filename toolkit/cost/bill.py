"""The month's bill, line by line; the lines add up to compute, people and other."""

from __future__ import annotations

from decimal import Decimal

from toolkit.cost.formulas import HOURS_PER_MONTH, Hosting, Month, mtok_per_month
from toolkit.cost.machine_price import MachinePrice
from toolkit.cost.running import Running
from toolkit.cost.scenario import Other, People, Power, Scenario
from toolkit.types import CostLine


def bill(month: Month, hosting: Hosting, price: MachinePrice, scenario: Scenario) -> tuple[CostLine, ...]:
    """Every line that is not zero."""
    lines = [
        *_machines(month, hosting, price, scenario.running),
        *_people(scenario.people),
        *([_power(month, scenario.power, hosting)] if scenario.power else []),
        *(_other(other, month) for other in scenario.others),
    ]
    return tuple(line for line in lines if line.usd)


def _machines(month: Month, hosting: Hosting, price: MachinePrice, running: Running) -> list[CostLine]:
    """Serving and standing by apart from hours that serve nothing."""
    hourly = month.replicas * price.gpus * price.usd_per_gpu_hour
    always = running.open_hours == HOURS_PER_MONTH
    hours = f"{_plain(running.open_hours)} h" + ("" if always else " open")
    spare = min(hosting.spare, month.replicas - 1)
    each = f"{(month.replicas - spare) * price.gpus:,} × ${price.usd_per_gpu_hour:.4g}/h"
    serving = hourly * running.open_hours * (month.replicas - spare) / month.replicas
    standing = hourly * running.open_hours - serving
    name = "own machines" if price.hardware == "owned" else "machines"
    starts, lost = running.starts * running.cold_start_hours, running.interruptions * running.lost_hours
    return [
        CostLine(what=name, kind="compute", usd=serving, how=f"{each} × {hours}"),
        CostLine(what="spare machines", kind="compute", usd=standing, how=f"{spare:,} of {month.replicas:,} replicas"),
        CostLine(
            what="cold starts",
            kind="compute",
            usd=hourly * starts,
            how=f"{_plain(running.starts)} starts × {_plain(running.cold_start_hours * 60)} min",
        ),
        CostLine(
            what="interruptions",
            kind="compute",
            usd=hourly * lost,
            how=f"{_plain(running.interruptions)} × {_plain(running.lost_hours * 60)} min to restart and redo",
        ),
    ]


def _people(people: People) -> list[CostLine]:
    rate, months = people.usd_per_hour, people.horizon_months
    return [
        CostLine(
            what="setting up",
            kind="people",
            usd=people.setup_hours * rate / months,
            how=f"{_plain(people.setup_hours)} h × ${_plain(rate)} over {_plain(months)} months",
        ),
        CostLine(
            what="upkeep",
            kind="people",
            usd=people.upkeep_hours * rate,
            how=f"{_plain(people.upkeep_hours)} h × ${_plain(rate)}",
        ),
        CostLine(what="on call", kind="people", usd=people.on_call_usd_per_month, how="as stated"),
    ]


def _power(month: Month, power: Power, hosting: Hosting) -> CostLine:
    how = (
        f"{month.replicas:,} × {_plain(power.watts)} W × {_plain(hosting.paid_hours)} h "
        f"× ${_plain(power.usd_per_kwh)}/kWh × PUE {_plain(power.pue)}"
    )
    return CostLine(what="electricity", kind="other", usd=month.power_usd, how=how)


def _other(other: Other, month: Month) -> CostLine:
    times = {
        "month": (Decimal(1), "a month"),
        "replica": (Decimal(month.replicas), f"× {month.replicas:,} replicas"),
        "mtok": (mtok_per_month(month.tokens_per_day), f"× {mtok_per_month(month.tokens_per_day):,.4g}M tokens"),
    }
    factor, words = times[other.per]
    return CostLine(what=other.what, kind="other", usd=other.usd * factor, how=f"${_plain(other.usd)} {words}")


def _plain(value: Decimal) -> str:
    """Four significant digits, without idle zeros."""
    return f"{float(value):,.4g}"
