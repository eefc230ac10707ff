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
    devices = month.replicas * price.gpus
    hourly = devices * price.usd_per_gpu_hour
    each = f"{devices:,} × ${price.usd_per_gpu_hour:.4g}/h"
    always = running.open_hours == HOURS_PER_MONTH
    hours = f"{running.open_hours:,.4g} h" + ("" if always else " open")
    spare = min(hosting.spare, month.replicas - 1)
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
            how=f"{running.starts:,.3g} starts × {running.cold_start_hours * 60:,.3g} min",
        ),
        CostLine(
            what="interruptions",
            kind="compute",
            usd=hourly * lost,
            how=f"{running.interruptions:,.3g} × {running.lost_hours * 60:,.3g} min to restart and redo",
        ),
    ]


def _people(people: People) -> list[CostLine]:
    rate, months = people.usd_per_hour, people.horizon_months
    return [
        CostLine(
            what="setting up",
            kind="people",
            usd=people.setup_hours * rate / months,
            how=f"{people.setup_hours:g} h × ${rate:g} over {months:g} months",
        ),
        CostLine(
            what="upkeep", kind="people", usd=people.upkeep_hours * rate, how=f"{people.upkeep_hours:g} h × ${rate:g}"
        ),
        CostLine(what="on call", kind="people", usd=people.on_call_usd_per_month, how="as stated"),
    ]


def _power(month: Month, power: Power, hosting: Hosting) -> CostLine:
    how = (
        f"{month.replicas:,} × {power.watts:,.4g} W × {hosting.paid_hours:,.4g} h × ${power.usd_per_kwh:g}/kWh"
        f" × PUE {power.pue:g}"
    )
    return CostLine(what="electricity", kind="other", usd=month.power_usd, how=how)


def _other(other: Other, month: Month) -> CostLine:
    times = {
        "month": (Decimal(1), "a month"),
        "replica": (Decimal(month.replicas), f"× {month.replicas:,} replicas"),
        "mtok": (mtok_per_month(month.tokens_per_day), f"× {mtok_per_month(month.tokens_per_day):,.4g}M tokens"),
    }
    factor, words = times[other.per]
    return CostLine(what=other.what, kind="other", usd=other.usd * factor, how=f"${other.usd:,.4g} {words}")
