"""What a claim about money, memory or quality says, by kind: the tables of a claims file, read strictly.

::

    [[claim]]
    claim = "a 70B model on an A100 spot instance costs $180 a month"    # the words, shown as they are
    kind = "rental"                                                      # which of the kinds below
    hardware = "A100-SXM-80GB"
    usd_per_month = 180
    tokens_per_day = "10M"
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError, model_validator

from toolkit.cost.formulas import DAYS_PER_MONTH
from toolkit.cost.quantities import parse_volume
from toolkit.errors import InputError, UnknownNameError
from toolkit.types import Frozen, Money


def _tokens(value: object) -> object:
    """Tokens per day from ``10M``, ``10M/day`` or ``5M/month``; a number is left as it is."""
    if not isinstance(value, str):
        return value
    amount, slash, period = value.partition("/")
    if slash and period.strip() not in ("day", "month"):
        raise ValueError(f"{value!r} is not a volume per day or per month")
    tokens = Decimal(parse_volume(amount))
    return round(tokens / DAYS_PER_MONTH) if period.strip() == "month" else int(tokens)


TokensPerDay = Annotated[int, BeforeValidator(_tokens), Field(gt=0, le=10**15)]
TokensPerMonth = Annotated[
    int, BeforeValidator(lambda v: parse_volume(v) if isinstance(v, str) else v), Field(gt=0, le=10**16)
]
Usd = Annotated[Money, Field(gt=0, lt=10**9)]
Share = Annotated[Decimal, BeforeValidator(lambda v: Decimal(str(v)) if isinstance(v, float) else v), Field(ge=0, le=1)]


class _Claim(Frozen):
    claim: str = Field(min_length=1)


class Arithmetic(_Claim):
    """``compute`` (numbers with + − × ÷, k, M, B) comes to ``says``, within ``tolerance`` (a share)."""

    kind: Literal["arithmetic"]
    compute: str
    says: str
    unit: str = ""
    tolerance: float = Field(default=0.02, ge=0, le=1)
    """Two percent: what rounding a stated figure to two digits may move it."""


class _WithVolume(_Claim):
    tokens_per_month: TokensPerMonth | None = None
    tokens_per_day: TokensPerDay | None = None

    @property
    def mtok(self) -> Decimal | None:
        """Million tokens a month (of 30.4167 days, unless the claim itself counts by the month)."""
        if self.tokens_per_month is not None:
            return Decimal(self.tokens_per_month) / 10**6
        return None if self.tokens_per_day is None else Decimal(self.tokens_per_day) * DAYS_PER_MONTH / 10**6

    @model_validator(mode="after")
    def _at_most_one(self) -> Self:
        if self.tokens_per_month is not None and self.tokens_per_day is not None:
            raise ValueError("give tokens_per_day or tokens_per_month, not both")
        return self


class ApiCost(_WithVolume):
    """A volume through an API costs so much. Several ``apis``: the claim does not say which of them."""

    kind: Literal["api_cost"]
    apis: tuple[str, ...] = Field(min_length=1)
    usd_per_month: Usd
    input_share: Share | None = None

    @model_validator(mode="after")
    def _some_volume(self) -> ApiCost:
        if self.mtok is None:
            raise ValueError("give tokens_per_day or tokens_per_month")
        return self


class Rental(_WithVolume):
    """A machine costs so much. ``market_usd_per_hour``: from–to per device, else dated rentals are looked up.

    ``hours_per_month`` is said only where the claim says it, or where the service must run all the time (730).
    """

    kind: Literal["rental"]
    hardware: str | None = None
    """None: the claim does not say, so no market price can speak against it."""
    usd_per_month: Usd | None = None
    usd_per_hour: Usd | None = None
    """For all devices together, as ``usd_per_month`` is."""
    hours_per_month: Annotated[Decimal, Field(gt=0, le=730)] | None = None
    market_usd_per_hour: tuple[Usd, Usd] | None = None
    market_source: str | None = None

    @model_validator(mode="after")
    def _money(self) -> Rental:
        if self.usd_per_month is None and self.usd_per_hour is None:
            raise ValueError("give usd_per_month or usd_per_hour")
        if self.market_usd_per_hour and self.market_usd_per_hour[0] > self.market_usd_per_hour[1]:
            raise ValueError("market_usd_per_hour is from–to, the lower price first")
        return self


class Memory(_Claim):
    """A model runs on a device: one request of ``context`` tokens unless more are said."""

    kind: Literal["memory"]
    model: str
    hardware: str | None = None
    vram_gib: float | None = Field(default=None, gt=0)
    quant: str | None = None
    context: int = Field(default=4096, ge=1)
    concurrency: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _device(self) -> Memory:
        if self.hardware is None and self.vram_gib is None:
            raise ValueError("give the hardware or vram_gib")
        return self


class WeightSize(_Claim):
    """A billion weights takes so many GB (10^9 bytes) in a format of that many bits."""

    kind: Literal["weight_size"]
    gb_per_billion: float = Field(gt=0)
    bits: Literal[4, 8, 16]


class BreakEvenClaim(_Claim):
    """Self-hosting at a fixed cost pays from a volume on, against what each API is said to cost at a volume."""

    kind: Literal["break_even"]
    tokens_per_day: TokensPerDay
    self_host_usd_per_month: Usd
    bars: dict[str, Usd] = {}
    """Dollars per month of each alternative at ``bars_tokens_per_day``, as the claim's author gives them."""
    bars_tokens_per_day: TokensPerDay | None = None
    apis: tuple[str, ...] = ()
    """Alternatives at their list price, three input tokens to one output token."""

    @model_validator(mode="after")
    def _alternatives(self) -> BreakEvenClaim:
        if not self.bars and not self.apis:
            raise ValueError("give bars or apis to break even with")
        if bool(self.bars) != (self.bars_tokens_per_day is not None):
            raise ValueError("bars and bars_tokens_per_day belong together")
        return self


class Quality(_Claim):
    """A dear model answers better than a cheap one: accuracies, and how many times the cost of a request."""

    kind: Literal["quality"]
    cheap_accuracy: float = Field(ge=0, lt=1)
    dear_accuracy: float = Field(gt=0, le=1)
    cost_ratio: float = Field(gt=1)

    @model_validator(mode="after")
    def _order(self) -> Quality:
        if self.dear_accuracy <= self.cheap_accuracy:
            raise ValueError("dear_accuracy must be above cheap_accuracy")
        return self


class Evaluation(_Claim):
    """So many examples are enough to measure an accuracy, and to tell two models apart."""

    kind: Literal["evaluation"]
    examples: int = Field(ge=2, le=10**7)
    accuracy: float = Field(gt=0, lt=1)
    better_accuracy: float | None = Field(default=None, gt=0, lt=1)
    discordance: tuple[float, float] = (0.11, 0.20)
    """Least and most share of examples on which the two models differ."""

    @model_validator(mode="after")
    def _possible(self) -> Evaluation:
        if self.better_accuracy is None:
            return self
        gap = self.better_accuracy - self.accuracy
        low, high = self.discordance
        if gap <= 0 or not gap < low <= high <= 1:
            raise ValueError("better_accuracy must be above accuracy by less than the discordance, which is at most 1")
        return self


Claim = Arithmetic | ApiCost | Rental | Memory | WeightSize | BreakEvenClaim | Quality | Evaluation
KINDS: dict[str, type[Any]] = {get_args(t.model_fields["kind"].annotation)[0]: t for t in get_args(Claim)}
"""Kind → its record, in the order of the documentation."""


class ClaimsFile(Frozen):
    """A file of claims: who makes them, when, and the day whose API prices they are held against."""

    source: str
    checked: date | None = None
    prices_on: date | None = None
    claim: tuple[dict[str, Any], ...] = Field(min_length=1)


def read_claims(content: Mapping[str, Any]) -> tuple[ClaimsFile, tuple[Claim, ...]]:
    """A parsed claims file.

    Raises:
        InputError: an unknown key or kind (with did-you-mean), a missing one, or a value that makes no sense.
    """
    file: ClaimsFile = _validated("the claims file", ClaimsFile, content)
    return file, tuple(read_claim(table, place) for place, table in enumerate(file.claim, 1))


def read_claim(table: Mapping[str, Any], place: int = 1) -> Claim:
    """One claim from its keys. Raises as `read_claims` does."""
    kind = table.get("kind")
    if kind is None:
        raise InputError(f"claim {place} has no kind", f"Write one of {', '.join(KINDS)}.")
    if kind not in KINDS:
        raise UnknownNameError("kind of claim", str(kind), KINDS, f"Kinds are {', '.join(KINDS)}.")
    claim: Claim = _validated(f"claim {place} ({kind})", KINDS[kind], table)
    return claim


def _validated(what: str, model: type[Frozen], table: Mapping[str, Any]) -> Any:
    unknown = next((key for key in table if key not in model.model_fields), None)
    if unknown is not None:
        raise UnknownNameError(f"key of {what}", unknown, model.model_fields)
    try:
        return TypeAdapter(model).validate_python(table)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(
            f"{what}: {f'{where}: ' if where else ''}{first['msg'].removeprefix('Value error, ')}"
        ) from None
