"""This machine's own devices in a ranking: what they are, and what they cost."""

from __future__ import annotations

from decimal import Decimal

from toolkit.cli.fitting import Own
from toolkit.cost import machine_price
from toolkit.cost.machine_price import MachinePrice
from toolkit.cost.quantities import parse_usd_per_hour
from toolkit.predict import here
from toolkit.types import NotJudged, Recommendation

YOURS = "already yours: $0 per hour, power and people not counted"


def own_machine(price: str | None, only: str | None) -> tuple[list[Own], list[NotJudged]]:
    """The devices of this machine (of one class, if asked), and those whose speed cannot be judged.

    Raises:
        InputError: no price per time.
    """
    cost = _price(price)
    known: list[Own] = []
    unknown: list[NotJudged] = []
    for found in here.devices():
        if found.gpu is None:
            unknown.append(NotJudged(gpu=found.name, reason=found.why_not))
        elif only is None or found.gpu.device_class == only:
            known.append(Own(found.gpu, found.count, cost))
    return known, unknown


def _price(text: str | None) -> MachinePrice:
    if text:
        return machine_price.given(parse_usd_per_hour(text))
    return MachinePrice(Decimal(0), 1, "assumed", YOURS, hardware="owned")


def told(result: Recommendation, mine: list[Own], unknown: list[NotJudged]) -> Recommendation:
    """The ranking, with what of this machine was not judged, and how the rest of it is known."""
    notes = tuple(f"{own.gpu.name}, of this machine: {own.gpu.source}; {own.price.how}" for own in mine)
    return result.model_copy(update={"not_judged": (*unknown, *result.not_judged), "notes": (*result.notes, *notes)})
