"""The gates every option must pass, hard ones first: offline, need, data, licence, quality, people. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from toolkit.decide.answers import ASSUMED_GAP, Answers
from toolkit.types import Licence, RejectedOption, ServingOption

OPTIONS: tuple[ServingOption, ...] = ("closed", "hosted-open", "dedicated", "rented", "owned", "on-device")
"""In the order of the effort they take."""
OPEN: frozenset[ServingOption] = frozenset(OPTIONS) - {"closed"}
PLACE = {
    "closed": "api", "hosted-open": "host", "dedicated": "dedicated", "rented": "cloud", "owned": "premises",
    "on-device": "device",
}  # fmt: skip
PLACES_BY_CLASS: dict[str, frozenset[str]] = {
    "public": frozenset(PLACE.values()),
    "internal": frozenset(PLACE.values()),
    "personal": frozenset(PLACE.values()),
    "health": frozenset(("dedicated", "cloud", "premises", "device")),
    "may-not-leave": frozenset(("premises", "device")),
}
"""Where data of a class may go unless the user says more. Health data stays with one tenant; a signed agreement
can allow an API, which the user states as an allowed place."""
MAX_GAP = 10.0
"""Points of accuracy an open model may lie behind before it is no substitute: a judgement, stated as such."""
EU = frozenset((
    "EU", "AT", "BE", "BG", "HR", "CY", "CZ", "DK", "EE", "FI", "FR", "DE", "GR", "HU", "IE", "IT", "LV", "LT", "LU",
    "MT", "NL", "PL", "PT", "RO", "SK", "SI", "ES", "SE",
))  # fmt: skip
PEOPLE: dict[ServingOption, tuple[float, float]] = {
    "closed": (0, 0),
    "hosted-open": (0, 0),
    "dedicated": (0, 2),
    "rented": (1, 8),
    "owned": (1, 16),
    "on-device": (1, 8),
}
"""Engineers and hours a month that each option needs at least: assumptions; 8 h is the upkeep of a rented server in
the cost examples."""

Gate = Callable[[ServingOption, Answers, Licence | None], str | None]


@dataclass(frozen=True)
class Gated:
    """What is left, and what was rejected by its first failing gate."""

    survivors: tuple[ServingOption, ...]
    rejected: tuple[RejectedOption, ...]


def gap_of(answers: Answers) -> tuple[float, bool]:
    """Points behind the closed model, and whether they were measured."""
    if answers.quality_gap is not None:
        return answers.quality_gap, True
    return float(ASSUMED_GAP[answers.task or "chat"]), False


def offline(option: ServingOption, answers: Answers, licence: Licence | None) -> str | None:
    """Without a network only what stands on site or in the hand works."""
    if answers.offline and option not in ("owned", "on-device"):
        return "it must work without a network"
    return None


def need(option: ServingOption, answers: Answers, licence: Licence | None) -> str | None:
    """A model on every device is for those who must have one."""
    device_only = answers.allowed_places is not None and set(answers.allowed_places) == {"device"}
    if option == "on-device" and not answers.offline and not device_only:
        return "nothing asks for a model on each device"
    return None


def data(option: ServingOption, answers: Answers, licence: Licence | None) -> str | None:
    """The class of the data and the places allowed; the stricter of the two counts."""
    place = PLACE[option]
    if answers.allowed_places is not None and place not in answers.allowed_places:
        return f"{place} is not among the allowed places"
    stated = answers.allowed_places is not None and answers.data_class == "health"
    if not stated and place not in PLACES_BY_CLASS[answers.data_class or "internal"]:
        return f"{answers.data_class} data may not go to {place}"
    return None


def permitted(option: ServingOption, answers: Answers, licence: Licence | None) -> str | None:
    """The licence of that model and version."""
    if option not in OPEN or licence is None:
        return None
    if licence.commercial == "no":
        return f"the licence of {licence.name} ({licence.licence}) does not allow commercial use"
    if licence.mau_limit is not None and (answers.mau or 0) > licence.mau_limit:
        counted = f", counted {licence.mau_counted}" if licence.mau_counted else ""
        return f"the licence of {licence.name} ends at {licence.mau_limit:,} monthly users{counted}"
    region = (answers.region or "").upper()
    for excluded in licence.region_exclusion:
        if region == excluded or (excluded == "EU" and region in EU):
            return f"the licence of {licence.name} gives no rights to those domiciled in the {excluded}"
    return None


def quality(option: ServingOption, answers: Answers, licence: Licence | None) -> str | None:
    """An open model must come close enough on the user's own examples."""
    gap, measured = gap_of(answers)
    if option not in OPEN or gap <= MAX_GAP or (answers.narrow_task and not measured):
        return None
    how = "on your examples" if measured else f"as assumed for {answers.task}: measure it on your own examples"
    return f"open models are {gap:g} points behind, {how}"


def people(option: ServingOption, answers: Answers, licence: Licence | None) -> str | None:
    """Somebody must set it up and look after it."""
    engineers, hours = PEOPLE[option]
    if (answers.engineers or 0) < engineers:
        return f"it needs {engineers:g} engineer to run it, and there are {answers.engineers or 0:g}"
    if (answers.hours_per_month or 0) < hours:
        return f"it needs {hours:g} hours a month, and there are {answers.hours_per_month or 0:g}"
    return None


GATES: dict[str, Gate] = {
    "offline": offline,
    "need": need,
    "data": data,
    "licence": permitted,
    "quality": quality,
    "people": people,
}
SOFT = ("people", "quality", "licence")
"""What can be mended, easiest first: hire, train a model, choose another model. Data and offline cannot."""


def gate(answers: Answers, licence: Licence | None, without: tuple[str, ...] = ()) -> Gated:
    """Every option through every gate but those left out; the first that fails it is named."""
    rejected: list[RejectedOption] = []
    survivors: list[ServingOption] = []
    for option in OPTIONS:
        failed = next(
            ((n, why) for n, g in GATES.items() if n not in without and (why := g(option, answers, licence))), None
        )
        if failed:
            rejected.append(RejectedOption(option=option, gate=failed[0], reason=failed[1]))
        else:
            survivors.append(option)
    return Gated(tuple(survivors), tuple(rejected))
