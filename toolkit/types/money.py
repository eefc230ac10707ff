"""What `cost`, `audit`, `decide` and `prices` say."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Literal

from pydantic import Field

from toolkit.types.common import Basis, Document, Frozen, Money
from toolkit.types.profiles import GpuPrice, Licence


class MonthlyUsd(Frozen):
    """Dollars per month of 730 hours."""

    compute: Money
    people: Money
    other: Money
    total: Money


class CostLine(Frozen):
    """One line of the month's bill."""

    what: str
    kind: Literal["compute", "people", "other"]
    usd: Money
    how: str


class Alternative(Frozen):
    """One API beside self-hosting, priced at the same mix. Empty intervals = never wins up to the limit."""

    name: str
    provider: str
    matched_model: str
    price_date: str
    usd_per_mtok: Money
    usd_per_month: Money | None
    self_host_wins_tokens_per_day: tuple[tuple[int, int | None], ...]
    """Volumes from…to at which self-hosting costs less; ``None`` = and on, up to the volume searched."""
    p_self_host_cheaper: float | None = None
    utilisation_needed: float | None = None
    """Utilisation at the first winning volume, 0…1; None when there is none."""
    usd_per_mtok_input: Money | None = None
    usd_per_mtok_output: Money | None = None
    usd_per_mtok_cached: Money | None = None
    """Of input tokens read from the provider's cache; None where there is no such price."""
    usd_per_mtok_cache_write: Money | None = None
    """Of input tokens written to it; None where they cost what others do."""
    terms: str | None = None
    """``batch``, ``flex``, …: the price of that kind of processing; None is the standard one."""
    deprecated: bool = False
    retires: date | None = None
    """The day the provider switches it off, as far as announced."""
    note: str | None = None


class GoodAnswer(Frozen):
    """What a right answer of one option costs, failures and retries among it; dollars."""

    name: str
    usd_per_request: Money
    usd_per_good_answer: Money
    attempts: float
    """How often a request is sent on average until its answer is valid."""
    good_share: float
    flip_failure_usd: Money | None = None
    """What a failure must cost for this option to tie with self-hosting; None: no such cost."""


class Currency(Frozen):
    """A second currency: how many of it one dollar buys, as given by the user on that day."""

    code: str = Field(pattern=r"^[A-Z]{3}$")
    per_usd: Money = Field(gt=0)
    on: date

    def of_usd(self, usd: Decimal) -> Decimal:
        """Dollars in this currency."""
        return usd * self.per_usd

    def to_usd(self, amount: Decimal) -> Decimal:
        """An amount of this currency in dollars."""
        return amount / self.per_usd


class InCurrency(Frozen):
    """The main figures of a cost in the second currency."""

    code: str
    usage_per_mtok: Money
    allocation_per_mtok: Money | None
    total_per_month: Money | None


class MoneyBand(Frozen):
    """Tenth, fiftieth and ninetieth percentile of dollars."""

    p10: Money
    p50: Money
    p90: Money


class Swing(Frozen):
    """What one uncertain input does alone: the price at its 10th and 90th percentile, the others as stated."""

    what: str
    factor_p10: float
    """The input as a factor of its stated value."""
    factor_p90: float
    usd_per_mtok_at_p10: float
    usd_per_mtok_at_p90: float
    basis: Basis
    how: str


class Uncertainty(Frozen):
    """How sure the monthly cost is: bands from seeded draws, and what matters most, widest first."""

    draws: int
    seed: int
    monthly_usd: MoneyBand
    allocation_usd_per_mtok: MoneyBand
    tornado: tuple[Swing, ...]


class CostReport(Document):
    """What a million tokens costs. Tokens are input + output together."""

    kind: Literal["cost_report"] = "cost_report"
    goodput_tok_s: float
    goodput_basis: Basis
    goodput_how: str
    gpus: int
    usd_per_gpu_hour: Money
    price_basis: Basis
    price_how: str
    usage_usd_per_mtok: Money
    allocation_usd_per_mtok: Money | None
    utilisation: float | None
    replicas: int | None
    tokens_per_day: int | None
    input_share: float
    input_share_basis: Basis
    monthly_usd: MonthlyUsd | None
    monthly_lines: tuple[CostLine, ...] = ()
    """The same month, line by line."""
    usd_per_mtok_input: Money | None = None
    usd_per_mtok_input_cached: Money | None = None
    """Of input that the prefix cache held; None where the runs do not tell it from other input."""
    usd_per_mtok_output: Money | None = None
    alternatives: tuple[Alternative, ...] = ()
    notes: tuple[str, ...] = ()
    model: str | None = None
    level: str | None = None
    """Which load level the goodput was taken from, in words."""
    peak_ratio: float = 3
    peak_ratio_basis: Basis = "assumed"
    spare: int = 0
    capacity_tokens_per_day: int | None = None
    """What one replica serves per day at that peak ratio."""
    fixed_usd_per_month: Money = Decimal(0)
    """People and whatever else does not grow with the number of replicas."""
    usd_per_replica_month: Money | None = None
    """What each replica adds: machine, power and its own storage."""
    other_usd_per_mtok: Money = Decimal(0)
    """What each million tokens adds: egress, a licence by the token."""
    hardware: Literal["rented", "owned"] = "rented"
    open_hours_per_month: float = 730
    paid_hours_per_month: float = 730
    """With cold starts and what spot interruptions waste."""
    deployed_replicas: int | None = None
    """As a deployment says; None: as many as the volume needs."""
    searched_up_to_tokens_per_day: int | None = None
    """Break-even was searched up to this volume; an empty interval list means never up to it."""
    joules_per_token: float | None = None
    """None: unknown, nobody measured or stated the power."""
    joules_basis: Basis | None = None
    energy_usd_per_mtok: Money | None = None
    good_answers: tuple[GoodAnswer, ...] = ()
    currency: Currency | None = None
    in_currency: InCurrency | None = None
    """The same money in it; None where no second currency was asked for."""
    uncertainty: Uncertainty | None = None
    """None without a volume."""


ServingOption = Literal["closed", "hosted-open", "dedicated", "rented", "owned", "on-device", "hybrid"]
"""From an API of a closed model to a model on the user's device; hybrid is two of them, by task."""

ClaimVerdict = Literal["holds", "cannot_hold", "depends"]


class AuditedClaim(Frozen):
    """One claim, judged. ``implied`` has the figures that follow from it, units in the names."""

    claim: str
    verdict: ClaimVerdict
    implied: dict[str, float | int | str | bool | tuple[float, ...] | None]
    because: str
    arithmetic: tuple[str, ...] = ()
    """The steps, as a reader can repeat them."""


class Audit(Document):
    """The document of `audit`. ``source`` says whose claims these are."""

    kind: Literal["audit"] = "audit"
    source: str
    claims: tuple[AuditedClaim, ...]


class RejectedOption(Frozen):
    """A way of serving that a gate ruled out."""

    option: ServingOption
    gate: str
    reason: str


class TaskVerdict(Frozen):
    """What one task of several should run on."""

    task: str
    verdict: ServingOption
    reason: str


class ArticleQuestion(Frozen):
    """One of the article's six questions, what these answers say to it, and where that leads."""

    number: int
    question: str
    yes: bool
    leads_to: str | None
    """What the article concludes from that answer; None: it goes on to the next question."""


class ArticleVerdict(Frozen):
    """What the source article's six questions say: the first that triggers decides."""

    verdict: str
    question: int | None
    """Number of the deciding question, 1…6; None when none triggered."""
    answer: str
    agrees: bool
    """Whether the gates come to the same kind of hosting."""
    why: str
    questions: tuple[ArticleQuestion, ...] = ()
    """All six, in the article's order; the first that leads somewhere decides."""


class Verdict(Document):
    """The document of `decide`: what to run the workload on, why, and what would change that."""

    kind: Literal["verdict"] = "verdict"
    verdict: ServingOption
    order: Literal["gates", "article"] = "gates"
    reasons: tuple[str, ...]
    survivors: tuple[ServingOption, ...] = ()
    """Every option that no gate ruled out, the chosen one among them."""
    rejected: tuple[RejectedOption, ...]
    flips: tuple[str, ...]
    conflicts: tuple[str, ...]
    review_date: date
    p_cheaper: float | None = None
    """Probability that self-hosting is cheaper than the API it was compared with; None without a cost report."""
    tasks: tuple[TaskVerdict, ...] = ()
    article: ArticleVerdict | None = None
    licence: Licence | None = None
    assumed: dict[str, str] = {}
    """Answers nobody gave, and what was taken for them."""


class ApiPrice(Frozen):
    """An API's list price in dollars per million tokens, with its date."""

    name: str
    provider: str
    model: str
    usd_per_mtok_input: Money
    usd_per_mtok_output: Money
    usd_per_mtok_cached: Money | None = None
    """Of input tokens read from the provider's cache; None where there is no such price."""
    usd_per_mtok_cache_write: Money | None = None
    """Of input tokens written to it; None where they cost what others do."""
    terms: str | None = None
    """``batch``, ``flex``, …: the price of that kind of processing; None is the standard one."""
    price_date: str
    source: str
    age_days: int | None = None
    deprecated: bool = False
    retires: date | None = None
    """The day the provider switches it off, as far as announced."""
    note: str | None = None


class GpuPriceAge(GpuPrice):
    """A rental price with the days since it was read."""

    age_days: int


class PriceList(Document):
    """The document of `prices`: rentals and API list prices."""

    kind: Literal["price_list"] = "price_list"
    gpus: tuple[GpuPriceAge, ...]
    apis: tuple[ApiPrice, ...]


class PriceDifference(Frozen):
    """One thing that two sources price differently."""

    name: str
    unit: Literal["usd_per_mtok", "usd_per_hour"]
    a_input: Money
    a_output: Money
    """Equal to the input price where there is one price, as for a rent."""
    b_input: Money
    b_output: Money
    ratio: float
    """The dearer over the cheaper, for the kind of token on which they differ more."""


class PriceDiff(Document):
    """The document of `prices diff`."""

    kind: Literal["price_diff"] = "price_diff"
    a: str
    b: str
    rows: tuple[PriceDifference, ...]
    same: int
    only_a: int
    only_b: int
