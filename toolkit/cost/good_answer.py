"""What a good answer costs: retries until the format is valid, and what a wrong or missing answer costs.

With v the share of answers that are valid, k attempts, q right and ab abstaining among the valid ones, F the cost of a
failure, A of an abstention and λ of a second's wait, a request of price c costs

    c·E + Pv·[(1 − q − ab)·F + ab·A] + (1 − Pv)·F + λ·latency,   E = (1 − (1−v)^k)/v,   Pv = 1 − (1−v)^k

and a good answer that much over Pv·q. Two options tie where a failure costs F* = Δc/Δq.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from toolkit.cost.formulas import MTOK
from toolkit.errors import InputError, UnknownNameError
from toolkit.types import CostReport, Frozen, GoodAnswer, Money

OWN = "self-hosted"
Share = Annotated[Money, Field(ge=0, le=1)]
Usd = Annotated[Money, Field(ge=0, lt=10**9)]


class Answers(Frozen):
    """How one option answers, from an evaluation on one's own examples."""

    name: str
    """``self-hosted``, or an API as it was named in the comparison."""
    valid: Annotated[Money, Field(gt=0, le=1)] = Decimal(1)
    right: Annotated[Money, Field(gt=0, le=1)]
    """Among the valid ones."""
    abstains: Share = Decimal(0)
    latency_s: Annotated[Money, Field(ge=0, le=86_400)] = Decimal(0)

    @model_validator(mode="after")
    def _at_most_all(self) -> Answers:
        if self.right + self.abstains > 1:
            raise ValueError("right and abstains are shares of the same answers: together at most 1")
        return self


class Quality(Frozen):
    """A quality file: what failures cost, and how each option answers."""

    attempts: int = Field(default=1, ge=1, le=100)
    failure_usd: Usd = Decimal(0)
    abstain_usd: Usd = Decimal(0)
    usd_per_second: Usd = Decimal(0)
    answers: tuple[Answers, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _each_once(self) -> Quality:
        names = [row.name for row in self.answers]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"{twice} is given twice")
        return self


def read_quality(content: Mapping[str, Any]) -> Quality:
    """A parsed quality file.

    Raises:
        InputError: an unknown key (with did-you-mean), a missing one, or a share that makes no sense.
    """
    _known(content, Quality, "key of a quality file")
    for row in content.get("answers") or ():
        if isinstance(row, Mapping):
            _known(row, Answers, "key of [[answers]]")
    try:
        return Quality.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        raise InputError(f"the quality file: {f'{where}: ' if where else ''}{message}") from None


def _known(table: Mapping[str, Any], model: type[Frozen], what: str) -> None:
    unknown = next((key for key in table if key not in model.model_fields), None)
    if unknown is not None:
        raise UnknownNameError(what, unknown, model.model_fields)


def attempts(valid: Decimal, most: int) -> Decimal:
    """E: how often a request is sent until its answer is valid, at most ``most`` times: (1 − (1−v)^k)/v."""
    return (1 - (1 - valid) ** most) / valid


def usd_per_request(c: Decimal, answers: Answers, quality: Quality) -> Decimal:
    """A request with everything that follows from its answer, in dollars."""
    p = 1 - (1 - answers.valid) ** quality.attempts
    wrong = 1 - answers.right - answers.abstains
    follows = p * (wrong * quality.failure_usd + answers.abstains * quality.abstain_usd) + (1 - p) * quality.failure_usd
    return c * attempts(answers.valid, quality.attempts) + follows + quality.usd_per_second * answers.latency_s


def good_share(answers: Answers, quality: Quality) -> Decimal:
    """Share of requests that end in a right answer: Pv·q."""
    return (1 - (1 - answers.valid) ** quality.attempts) * answers.right


def flip_failure_usd(a: tuple[Decimal, Decimal], b: tuple[Decimal, Decimal]) -> Decimal | None:
    """F*: the cost of a failure at which two options tie, from (dollars without failures, share that fails) of each.

    None where no such cost exists: one is both cheaper and better, or they fail as often.
    """
    (cost_a, fails_a), (cost_b, fails_b) = a, b
    if fails_a == fails_b:
        return None
    flip = (cost_b - cost_a) / (fails_a - fails_b)
    return flip if flip > 0 else None


def with_good_answers(report: CostReport, quality: Quality, request_tokens: int) -> CostReport:
    """The report with a line for each option that the quality file knows; ``request_tokens`` in a mean request.

    Raises:
        UnknownNameError: it names an option that is not compared.
    """
    own = report.usage_usd_per_mtok if report.allocation_usd_per_mtok is None else report.allocation_usd_per_mtok
    prices = {OWN: own, **{a.name: a.usd_per_mtok for a in report.alternatives}}
    stray = next((row.name for row in quality.answers if row.name not in prices), None)
    if stray is not None:
        raise UnknownNameError("option in the quality file", stray, prices, f"Compared are {', '.join(prices)}.")
    return report.model_copy(update={"good_answers": tuple(_lines(prices, quality, request_tokens))})


def _lines(prices: Mapping[str, Decimal], quality: Quality, request_tokens: int) -> Sequence[GoodAnswer]:
    free = quality.model_copy(update={"failure_usd": Decimal(0)})
    each = {row.name: prices[row.name] * request_tokens / MTOK for row in quality.answers}
    bare = {row.name: (usd_per_request(each[row.name], row, free), _fails(row, quality)) for row in quality.answers}
    return [
        GoodAnswer(
            name=row.name,
            usd_per_request=(usd := usd_per_request(each[row.name], row, quality)),
            usd_per_good_answer=usd / good_share(row, quality),
            attempts=float(attempts(row.valid, quality.attempts)),
            good_share=float(good_share(row, quality)),
            flip_failure_usd=flip_failure_usd(bare[OWN], bare[row.name]) if OWN in bare and row.name != OWN else None,
        )
        for row in quality.answers
    ]


def _fails(answers: Answers, quality: Quality) -> Decimal:
    """Share of requests that fail: wrong, or never valid; an abstention is no failure."""
    p = 1 - (1 - answers.valid) ** quality.attempts
    return p * (1 - answers.right - answers.abstains) + 1 - p
