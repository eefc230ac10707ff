"""What a careful reader must know beside the figures of a cost: what was left out, assumed or is about to end."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.cost import formulas
from toolkit.cost.formulas import Hosting
from toolkit.cost.goodput import Goodput
from toolkit.cost.machine_price import MachinePrice
from toolkit.cost.scenario import Scenario
from toolkit.types import Alternative


def notes(
    goodput: Goodput,
    price: MachinePrice,
    scenario: Scenario,
    hosting: Hosting,
    alternatives: Sequence[Alternative],
) -> list[str]:
    """One sentence each, the most particular first."""
    found, load = list(goodput.notes), scenario.load
    if scenario.people.usd_per_month + scenario.people.on_call_usd_per_month == 0:
        found.append("No people's time is counted: neither setting up nor upkeep.")
    if price.hardware == "owned" and scenario.power is None:
        found.append("Own hardware without electricity: its power is unknown and not counted.")
    if load.tokens_per_day is None:
        found.append("Without a volume only the usage price is known: what the machine could do when busy all day.")
    elif load.replicas is not None and (short := formulas.replicas(hosting, load.tokens_per_day)) > load.replicas:
        found.append(
            f"The peak needs {short:,} replicas and {load.replicas:,} are deployed: requests will wait, or be refused."
        )
    if hosting.peak_over_mean > load.peak_ratio:
        found.append(
            f"All tokens come within {hosting.open_hours:,.4g} open hours of 730, so the peak is at least "
            f"{hosting.peak_over_mean:.3g} times the mean."
        )
    found.append("API prices are for other models: compare the quality of their answers too.")
    return found + _last_days(alternatives)


def _last_days(alternatives: Sequence[Alternative]) -> list[str]:
    """When providers switch off what was compared with: from then on the price buys nothing."""
    days = [f"{a.name} on {a.retires}" for a in alternatives if a.retires is not None]
    return [f"The last day of a model at its provider, as announced: {', '.join(days)}."] if days else []
