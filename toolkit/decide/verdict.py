"""Decides: gates, then money, then what would flip the verdict. Pure: no clock, no files, no prices of its own."""

from __future__ import annotations

import calendar
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date

from toolkit.decide import article
from toolkit.decide.answers import Answers, Task, completed
from toolkit.decide.gates import GATES, MAX_GAP, OPTIONS, PLACES_BY_CLASS, SOFT, Gated, gap_of, gate
from toolkit.decide.money import WORTH_IT_USD, Api, Money, cheapest
from toolkit.types import ArticleVerdict, Licence, ServingOption, TaskVerdict, Verdict

REVIEW_MONTHS = 6
"""Prices and models move within half a year."""
CHECKED = {
    "text": "its text read",
    "maker": "as its maker's page states it,",
    "quoted": "quoted from another page, its text not read",
    "notes": "from this project's notes, its text not read",
    "recalled": "from memory, its text not read",
    None: "recorded",
}
"""How much a licence record is worth, in words."""
VOLUMES = tuple(m * 10**k for k in range(5, 10) for m in (1, 2, 5))
"""Tokens per day at which the verdict is tried for a change: 100k to 5B."""


@dataclass(frozen=True)
class _Choice:
    """An option, what was left to choose from, and the gates that had to be set aside to find any."""

    option: ServingOption
    gated: Gated
    survivors: tuple[ServingOption, ...]
    waived: tuple[str, ...]


@dataclass(frozen=True)
class _Part:
    """The whole workload (no name), or one task of several, with what was chosen for it."""

    name: str
    answers: Answers
    choice: _Choice

    def told(self, text: str) -> str:
        """A sentence about it, by its name where there are several."""
        return f"{self.name}: {text}" if self.name else text


def decide(
    answers: Answers, today: date, money: Money | None = None, licence: Licence | None = None, order: str = "gates"
) -> Verdict:
    """The document of `decide`. ``order`` is gates, or article: then its six questions give the verdict."""
    money = replace(money or Money(), peak_ratio=answers.peak_ratio)
    full, assumed = completed(answers)
    parts = [_part(task, full, money, licence) for task in full.tasks] or [
        _Part("", full, _choose(full, money, licence))
    ]
    chosen = {part.choice.option for part in parts}
    option: ServingOption = parts[0].choice.option if len(chosen) == 1 else "hybrid"
    survivors = tuple(o for o in OPTIONS if any(o in part.choice.survivors for part in parts))
    said = article.compare(full, option)
    by_article = order == "article"
    reasons = _reasons(parts, option, money, licence)
    return Verdict(
        verdict=article.ask(full)[2] if by_article else option,
        order="article" if by_article else "gates",
        reasons=tuple((_by_article(said, option) if by_article else []) + reasons),
        survivors=survivors,
        rejected=tuple(
            r.model_copy(update={"reason": part.told(r.reason)}) for part in parts for r in part.choice.gated.rejected
        ),
        flips=tuple(part.told(flip) for part in parts for flip in _flips(part.answers, part.choice, money, licence)),
        conflicts=tuple(_conflicts(full, parts, licence) + (article.collisions(full) if by_article else [])),
        review_date=_review(today, money),
        p_cheaper=_p_cheaper(money, survivors),
        tasks=tuple(_task(part, money) for part in parts) if full.tasks else (),
        article=said,
        licence=licence,
        assumed=assumed | _assumed_of(licence, full),
    )


def _by_article(said: ArticleVerdict, chosen: ServingOption) -> list[str]:
    """Which of the article's questions decided, and whether the gates come to the same."""
    which = f"question {said.question}" if said.question else "its default"
    gates = "The gates agree" if said.agrees else f"The gates choose {chosen}: {said.why}"
    return [f"By the article's six questions, {which}: {said.answer}.", f"{gates}. What they say:"]


def _choose(answers: Answers, money: Money, licence: Licence | None) -> _Choice:
    """Gates, then money; where nothing is left, the gates that can be mended are set aside one by one."""
    gated = gate(answers, licence)
    for n in range(len(SOFT) + 1):
        waived = SOFT[:n]
        left = gate(answers, licence, waived).survivors
        if left:
            return _Choice(cheapest(left, money, answers.tokens_per_day or 1), gated, left, waived)
    left = gate(answers, licence, tuple(name for name in GATES if name not in ("offline", "need"))).survivors
    return _Choice(left[-1], gated, left[-1:], (*SOFT, "data"))


def _part(task: Task, answers: Answers, money: Money, licence: Licence | None) -> _Part:
    said = {k: v for k, v in task.model_dump(exclude={"name"}).items() if v is not None}
    if "task" in said and "quality_gap" not in said:
        said["quality_gap"] = None  # the whole workload's gap was measured on another task
    own = answers.model_copy(update={**said, "tasks": ()})
    return _Part(task.name, own, _choose(own, money, licence))


def _task(part: _Part, money: Money) -> TaskVerdict:
    gap, measured = gap_of(part.answers)
    how = "measured" if measured else "assumed"
    reason = f"open models are {gap:g} points behind ({how}); " + _why_chosen(part.choice, part.answers, money)
    return TaskVerdict(task=part.name, verdict=part.choice.option, reason=reason)


def _reasons(parts: Sequence[_Part], option: ServingOption, money: Money, licence: Licence | None) -> list[str]:
    reasons = ["The tasks come out differently: route each to its own."] if option == "hybrid" else []
    for part in parts:
        if part.name:
            told = _task(part, money)
            reasons.append(f"{told.task}: {told.verdict}, for {told.reason}")
        else:
            reasons.append(_why_chosen(part.choice, part.answers, money))
    reasons += dict.fromkeys(part.told(line) for part in parts for line in _prices(part, money))
    if option != "closed" and licence is not None:
        reasons += _duties(licence)
    return reasons


def _prices(part: _Part, money: Money) -> Iterator[str]:
    """What each option that is left costs a month, as far as it is known."""
    volume = part.answers.tokens_per_day or 1
    for survivor in part.choice.survivors:
        usd = money.usd_per_month(survivor, volume)
        if usd is None:
            yield f"{survivor}: its cost is not known here; measure, and give a cost report."
            continue
        api = {"closed": money.closed, "hosted-open": money.hosted_open}.get(survivor)
        by = f" ({api.name}, {api.price_date}{_last_day(api)})" if api else " (cost report)"
        yield f"{survivor}: ${usd:,.2f} a month at {volume:,} tokens a day{by}."


def _assumed_of(licence: Licence | None, answers: Answers) -> dict[str, str]:
    """What the licence turns on and nobody said."""
    if licence is None:
        return {}
    found = {}
    if licence.region_exclusion and answers.region is None:
        found["region"] = f"not in the {', '.join(licence.region_exclusion)}, where {licence.name} gives no rights"
    if licence.mau_limit is not None and answers.mau is None:
        found["mau"] = f"at most the {licence.mau_limit:,} monthly users of {licence.name}"
    return found


def _last_day(api: Api) -> str:
    return f"; its last day is {api.retires}" if api.retires else ""


def _why_chosen(choice: _Choice, answers: Answers, money: Money) -> str:
    usd = {o: money.usd_per_month(o, answers.tokens_per_day or 1) for o in choice.survivors}
    if len(choice.survivors) == 1:
        mended = f" once this is mended: {', '.join(choice.waived)}" if choice.waived else ""
        return f"{choice.option} is the only option that is left{mended}."
    if choice.option == choice.survivors[0]:
        return (
            f"{choice.option} takes the least effort, and no option of known cost saves ${WORTH_IT_USD:,.0f} a month."
        )
    first = usd[choice.survivors[0]]
    mine = usd[choice.option]
    if first is not None and mine is not None:
        return f"{choice.option} saves ${first - mine:,.2f} a month against {choice.survivors[0]}."
    return f"{choice.option} is the cheapest option of known cost."


def _duties(licence: Licence) -> list[str]:
    how = CHECKED[licence.checked_how]
    told = [f"Licence of {licence.name}: {licence.licence}, {how} on {licence.checked} ({licence.source})."]
    if licence.attribution:
        told.append(f"It asks for: {licence.attribution}.")
    if licence.name_prefix:
        told.append(f"A model made from it must have a name that begins with {licence.name_prefix}.")
    if licence.output_training == "not_allowed":
        told.append("Its outputs may not train other language models.")
    return told


def _conflicts(answers: Answers, parts: Sequence[_Part], licence: Licence | None) -> list[str]:
    """What contradicts: reported, never settled in silence."""
    found = []
    for part in parts:
        choice = part.choice
        if choice.waived:
            failing = sorted({r.gate for r in choice.gated.rejected}, key=list(GATES).index)
            found.append(
                part.told(f"No option passes every gate ({', '.join(failing)}): {choice.option} does once this is ")
                + f"mended: {', '.join(choice.waived)}."
            )
    permitted = PLACES_BY_CLASS[answers.data_class or "internal"]
    beyond = [place for place in answers.allowed_places or () if place not in permitted]
    if beyond:
        how = "an agreement must cover it" if answers.data_class == "health" else "the stricter rule was used"
        found.append(f"{answers.data_class} data and the allowed place {', '.join(beyond)} contradict: {how}.")
    if answers.model and licence is None:
        found.append(f"The licence of {answers.model} is not on record: read it before you decide.")
    if (answers.engineers or 0) > 0 and not answers.hours_per_month:
        found.append("There are engineers, but no hours a month for this.")
    return found


def _flips(answers: Answers, choice: _Choice, money: Money, licence: Licence | None) -> list[str]:
    """Single changes that lead to another option, each tried through the same gates."""
    gap, _ = gap_of(answers)
    tries: list[tuple[str, dict[str, object]]] = [
        ("it had to work offline", {"offline": True}),
        ("it need not work offline", {"offline": False}),
        ("the data might not leave your premises", {"data_class": "may-not-leave", "allowed_places": None}),
        ("the data were public", {"data_class": "public", "allowed_places": None}),
        (f"open models came within {MAX_GAP:g} points on your own examples", {"quality_gap": min(gap, MAX_GAP)}),
        (f"open models were more than {MAX_GAP:g} points behind on your own examples", {"quality_gap": MAX_GAP + 1}),
        ("one engineer had 16 hours a month for it", {"engineers": 1, "hours_per_month": 16}),
        ("nobody could look after it", {"engineers": 0, "hours_per_month": 0}),
    ]
    found = []
    for words, change in tries:
        other = _choose(answers.model_copy(update=change), money, licence).option
        if other != choice.option:
            found.append(f"{other}, if {words}.")
    if licence is not None and any(r.gate == "licence" for r in choice.gated.rejected):
        other = _choose(answers, money, None).option
        if other != choice.option:
            found.append(f"{other}, with a model whose licence allows it.")
    return found + _volume_flips(answers, choice, money, licence) + _price_flips(answers, choice, money)


def _volume_flips(answers: Answers, choice: _Choice, money: Money, licence: Licence | None) -> list[str]:
    """The nearest volumes above and below at which money chooses something else."""
    now = answers.tokens_per_day or 1

    def option(volume: int) -> ServingOption:
        return cheapest(choice.survivors, money, volume)

    found = []
    above = next((v for v in VOLUMES if v > now and option(v) != choice.option), None)
    if above is not None:
        low, high = now, above
        while high - low > max(1, high // 1000):
            middle = (low + high) // 2
            low, high = (low, middle) if option(middle) != choice.option else (middle, high)
        found.append(f"{option(high)}, above about {_about(high)} tokens a day.")
    below = next((v for v in reversed(VOLUMES) if v < now and option(v) != choice.option), None)
    if below is not None:
        low, high = below, now
        while high - low > max(1, high // 1000):
            middle = (low + high) // 2
            low, high = (middle, high) if option(middle) != choice.option else (low, middle)
        found.append(f"{option(low)}, below about {_about(low)} tokens a day.")
    return found


def _about(tokens: int) -> str:
    """Two significant digits in millions: ``0.94M``, ``120M``."""
    return f"{float(f'{tokens / 1e6:.2g}'):,g}M"


def _price_flips(answers: Answers, choice: _Choice, money: Money) -> list[str]:
    """The price per million at which self-hosting of known cost would tie with the chosen API, or the other way."""
    volume = answers.tokens_per_day or 1
    rented = money.usd_per_month("rented", volume)
    api = {"closed": money.closed, "hosted-open": money.hosted_open}.get(choice.option)
    if rented is None or api is None or "rented" not in choice.survivors:
        return []
    usd = money.usd_per_month(choice.option, volume)
    if usd is None or usd == 0:
        return []
    tie = api.usd_per_mtok * rented / usd
    return [f"rented, if {api.name} cost more than ${tie:,.2f} per million tokens (now ${api.usd_per_mtok:,.2f})."]


def _p_cheaper(money: Money, survivors: tuple[ServingOption, ...]) -> float | None:
    """Probability that self-hosting beats the cheapest API that is left, from the cost report."""
    if money.own is None:
        return None
    names = [
        api.name for api, o in ((money.closed, "closed"), (money.hosted_open, "hosted-open")) if api and o in survivors
    ]
    found = [a for a in money.own.alternatives if a.name in names] or list(money.own.alternatives)
    known = [a for a in found if a.p_self_host_cheaper is not None]
    return min(known, key=lambda a: a.usd_per_mtok).p_self_host_cheaper if known else None


def _review(today: date, money: Money) -> date:
    """In six months, or on the last day of a model that was priced; today where that day is past or not known."""
    priced = [api for api in (money.closed, money.hosted_open) if api is not None]
    last_days = [api.retires or today for api in priced if api.retires or api.deprecated]
    return max(today, min((_half_a_year_on(today), *last_days)))


def _half_a_year_on(today: date) -> date:
    years, month = divmod(today.month - 1 + REVIEW_MONTHS, 12)
    year = today.year + years
    return date(year, month + 1, min(today.day, calendar.monthrange(year, month + 1)[1]))
