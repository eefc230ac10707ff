"""Judges claims: what each implies, and whether that can hold. Pure: prices and memory come in as figures.

A claim *holds* when its figures follow, *cannot hold* when no choice it leaves open makes it true, and *depends*
when some do: the reason then says which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from math import ceil, sqrt
from statistics import NormalDist

from toolkit.cost.api_prices import Quote
from toolkit.cost.arithmetic import evaluate
from toolkit.cost.claims import (
    ApiCost,
    Arithmetic,
    BreakEvenClaim,
    Claim,
    Evaluation,
    Memory,
    Quality,
    Rental,
    WeightSize,
)
from toolkit.cost.formulas import DAYS_PER_MONTH
from toolkit.cost.goodput import TYPICAL_INPUT_SHARE
from toolkit.cost.rental_audit import Market, judge_rental
from toolkit.errors import InputError
from toolkit.types import AuditedClaim, ClaimVerdict

Implied = dict[str, float | int | str | bool | tuple[float, ...] | None]

ROUNDING = Decimal("0.01")
"""A stated amount may be off by one percent: it was rounded."""
BATCH = Decimal("0.5")
"""Batch tiers of OpenAI, Anthropic and Google charge half the list price for answers within a day."""
GB_PER_BILLION = {4: (4.25 / 8, 4.8944 / 8), 8: (1.0, 8.5008 / 8), 16: (2.0, 2.0)}
"""Bytes per weight by bits: MXFP4 (17 bytes for 32 weights, ggml-common.h) to Q4_K_M, FP8 to Q8_0 (bits/weight of
Llama-3.1-8B files, llama.cpp tools/quantize/README.md @311c2c9), FP16."""
SMALLER_QUANT = "Q4_K_M"
"""The weight format in which a claim without one is tried again: the usual one of 4 bits."""
ALPHA, POWER = 0.05, 0.8
"""Two-sided error of the first kind, and the chance to see a difference that is there: the usual choice."""


@dataclass(frozen=True)
class MemoryNeed:
    """What the memory model says of one model on one device."""

    total_bytes: int
    usable_bytes: int
    certainty: str
    fits: bool
    how: str
    smaller: MemoryNeed | None = None
    """In a smaller weight format, where the claim names none and the model's own does not fit."""


@dataclass(frozen=True)
class Figures:
    """What was looked up for the claims: quotes by API name, rents and memory by claim."""

    quotes: Mapping[str, Quote] = field(default_factory=dict)
    rents: Mapping[Rental, Market | None] = field(default_factory=dict)
    memory: Mapping[Memory, MemoryNeed] = field(default_factory=dict)


def judge(claim: Claim, figures: Figures) -> AuditedClaim:
    """The verdict on one claim, with the arithmetic behind it.

    Raises:
        InputError: an expression that is no arithmetic.
    """
    match claim:
        case Rental():
            return judge_rental(claim, figures.rents[claim])
        case Memory():
            return _memory(claim, figures.memory[claim])
        case ApiCost():
            return _api_cost(claim, [figures.quotes[name] for name in claim.apis])
        case BreakEvenClaim():
            return _break_even(claim, figures.quotes)
    return _by_itself(claim)


def _by_itself(claim: Arithmetic | WeightSize | Quality | Evaluation) -> AuditedClaim:
    """Claims that need no figure from outside."""
    match claim:
        case Arithmetic():
            return _arithmetic(claim)
        case WeightSize():
            return _weight_size(claim)
        case Quality():
            return _quality(claim)
        case Evaluation():
            return _evaluation(claim)


def _arithmetic(claim: Arithmetic) -> AuditedClaim:
    value, says = evaluate(claim.compute), evaluate(claim.says)
    if says == 0:
        raise InputError(f"the claim {claim.claim!r} says zero", "An amount of zero has no rounding to allow for.")
    off = abs(value - says) / abs(says)
    unit = f" {claim.unit}".rstrip()
    steps = (f"{claim.compute} = {_plain(value)}{unit}",)
    implied: Implied = {"value": float(value), "says": float(says)}
    if off <= Decimal(str(claim.tolerance)):
        return AuditedClaim(
            claim=claim.claim,
            verdict="holds",
            implied=implied,
            because=f"It comes to {_plain(value)}{unit}.",
            arithmetic=steps,
        )
    ratio = max(value / says, says / value) if value > 0 and says > 0 else None
    times = f", {_plain(ratio)} times off" if ratio and ratio >= 2 else ""
    because = f"It comes to {_plain(value)}{unit}, not {_plain(says)}{times}."
    return AuditedClaim(claim=claim.claim, verdict="cannot_hold", implied=implied, because=because, arithmetic=steps)


def _api_cost(claim: ApiCost, quotes: Sequence[Quote]) -> AuditedClaim:
    parts = [_one_api(claim, quote) for quote in quotes]
    possible = [part for part in parts if part.verdict != "cannot_hold"]
    if len(parts) == 1:
        return parts[0]
    return AuditedClaim(
        claim=claim.claim,
        verdict="depends" if possible else "cannot_hold",
        implied={key: value for part in parts for key, value in part.implied.items()},
        because=("It depends on the model and the mix: " if possible else "")
        + " ".join(part.because for part in parts),
        arithmetic=tuple(step for part in parts for step in part.arithmetic),
    )


@dataclass(frozen=True)
class _Bill:
    """A month through one API: all input, all output, and three input tokens to one output token."""

    into: Decimal
    out: Decimal
    typical: Decimal

    @property
    def least(self) -> Decimal:
        return min(self.into, self.out)

    @property
    def most(self) -> Decimal:
        return max(self.into, self.out)

    def input_share(self, usd: Decimal) -> Decimal | None:
        """The share of input tokens at which it comes to that amount; None where the mix does not matter."""
        return None if self.into == self.out else (self.out - usd) / (self.out - self.into)

    def at(self, input_share: Decimal) -> Decimal:
        return self.into * input_share + self.out * (1 - input_share)


def _one_api(claim: ApiCost, quote: Quote) -> AuditedClaim:
    price, mtok = quote.price, claim.mtok or Decimal(0)
    bill = _Bill(
        quote.usd_per_mtok(Decimal(1)) * mtok,
        quote.usd_per_mtok(Decimal(0)) * mtok,
        quote.usd_per_mtok(TYPICAL_INPUT_SHARE) * mtok,
    )
    matched = f"{price.provider}:{price.model}"
    of = "" if price.name in (matched, price.model) else f" ({matched})"
    step = (
        f"{price.name}{of}: {_plain(mtok)}M tokens × ${_plain(price.usd_per_mtok_input)} (all input) "
        f"= ${bill.into:,.2f}; "
        f"× ${_plain(price.usd_per_mtok_output)} (all output) = ${bill.out:,.2f}; "
        f"3:1 = ${bill.typical:,.2f} ({price.price_date})"
    )
    several = len(claim.apis) > 1
    key = f"{price.name} " if several else ""
    verdict, because = _mix(claim, bill)
    implied: Implied = {
        f"{key}matched_model": matched,
        f"{key}usd_per_mtok": float(round(claim.usd_per_month / mtok, 4)),
        f"{key}least_usd_per_month": float(bill.least),
        f"{key}usd_per_month_3_to_1": float(bill.typical),
        f"{key}most_usd_per_month": float(bill.most),
    }
    share = bill.input_share(claim.usd_per_month)
    if verdict == "depends" and share is not None:
        implied[f"{key}input_share_needed"] = float(share)
    words = f"{price.name}: {because}" if several else because
    return AuditedClaim(claim=claim.claim, verdict=verdict, implied=implied, because=words, arithmetic=(step,))


def _mix(claim: ApiCost, bill: _Bill) -> tuple[ClaimVerdict, str]:
    """Whether some share of input tokens gives the stated amount."""
    said = claim.usd_per_month
    if said < bill.least * (1 - ROUNDING):
        return "cannot_hold", (
            f"${said:,.2f} is below the least possible at list price, uncached: ${bill.least:,.2f} if every token were "
            f"the cheaper kind, ${bill.typical:,.2f} at 3:1; {_batch(said, bill)}."
        )
    if said > bill.most * (1 + ROUNDING):
        return "cannot_hold", f"${said:,.2f} is above the most possible: ${bill.most:,.2f} if every token were output."
    if claim.input_share is not None:
        exact, share = bill.at(claim.input_share), _share(claim.input_share)
        if abs(said - exact) <= exact * ROUNDING:
            return "holds", f"At {share} input it is ${exact:,.2f}."
        return "cannot_hold", f"At {share} input it is ${exact:,.2f}, not ${said:,.2f}."
    if abs(said - bill.typical) <= bill.typical * ROUNDING:
        return "holds", f"At three input tokens to one output token it is ${bill.typical:,.2f}."
    needed = bill.input_share(said)
    where = "" if needed is None else f" at {_share(needed)} input"
    return "depends", f"${said:,.2f} is the price{where}; at 3:1 it is ${bill.typical:,.2f}."


def _batch(said: Decimal, bill: _Bill) -> str:
    """Whether half price, as batch tiers charge, would come to the stated amount."""
    needed = bill.input_share(said / BATCH)
    if said < bill.least * BATCH or needed is None:
        return f"even batch at half price is at least ${bill.least * BATCH:,.2f}"
    return f"only batch at half price could come near it, at {_share(needed)} input"


def _memory(claim: Memory, need: MemoryNeed) -> AuditedClaim:
    if need.smaller is not None and need.smaller.fits:
        return _memory_by_quant(claim, need, need.smaller)
    total, usable = need.total_bytes / 2**30, need.usable_bytes / 2**30
    verdict: ClaimVerdict = "cannot_hold" if not need.fits else "depends" if need.certainty == "close" else "holds"
    words = {
        "holds": f"It takes {total:.1f} GiB of the {usable:.1f} GiB there are.",
        "depends": f"It takes {total:.1f} GiB of {usable:.1f} GiB: closer than the estimate is exact; try it.",
        "cannot_hold": f"It takes {total:.1f} GiB, and there are {_room(total, usable)}.",
    }
    return AuditedClaim(
        claim=claim.claim,
        verdict=verdict,
        implied={"total_gib": round(total, 2), "usable_gib": round(usable, 2), "certainty": need.certainty},
        because=words[verdict],
        arithmetic=(need.how,),
    )


def _room(total_gib: float, usable_gib: float) -> str:
    """The memory there is; where it looks enough and is not, why."""
    less = ", of which the engine takes a part" if total_gib <= usable_gib else ""
    return f"{usable_gib:.1f} GiB{less}"


def _memory_by_quant(claim: Memory, need: MemoryNeed, smaller: MemoryNeed) -> AuditedClaim:
    """A claim that leaves the weight format open, and holds in a smaller one."""
    total, usable, less = (n / 2**30 for n in (need.total_bytes, need.usable_bytes, smaller.total_bytes))
    return AuditedClaim(
        claim=claim.claim,
        verdict="depends",
        implied={
            "total_gib": round(total, 2),
            "usable_gib": round(usable, 2),
            "certainty": need.certainty,
            f"total_gib_in_{SMALLER_QUANT}": round(less, 2),
        },
        because=f"It depends on the weight format: in the model's own it takes {total:.1f} GiB, and there are "
        f"{_room(total, usable)}; in {SMALLER_QUANT}, {less:.1f} GiB.",
        arithmetic=(need.how, smaller.how),
    )


def _weight_size(claim: WeightSize) -> AuditedClaim:
    low, high = GB_PER_BILLION[claim.bits]
    span = f"{low:.2f}–{high:.2f}" if low != high else f"{low:.2f}"
    within = low * 0.98 <= claim.gb_per_billion <= high * 1.02
    other = next((b for b, (lo, hi) in GB_PER_BILLION.items() if lo * 0.98 <= claim.gb_per_billion <= hi * 1.02), None)
    hint = f"; {claim.gb_per_billion:g} is {'FP16' if other == 16 else f'{other}-bit'}" if other else ""
    return AuditedClaim(
        claim=claim.claim,
        verdict="holds" if within else "cannot_hold",
        implied={"gb_per_billion": (round(low, 4), round(high, 4))},
        because=f"{claim.bits}-bit weights take {span} GB per billion" + ("." if within else f"{hint}."),
        arithmetic=(
            f"{claim.bits} bits and their scales: {low * 8:.2f}–{high * 8:.2f} bits ÷ 8 = {span} bytes a weight",
        ),
    )


def _break_even(claim: BreakEvenClaim, quotes: Mapping[str, Quote]) -> AuditedClaim:
    own = claim.self_host_usd_per_month
    day = Decimal(claim.bars_tokens_per_day or 0)
    found = {name: own / (usd / day) for name, usd in claim.bars.items()}
    steps = [
        f"{name}: ${own:,.2f} ÷ (${usd:,.2f} / {_million(day)}) = {_million(found[name])} a day"
        for name, usd in claim.bars.items()
    ]
    for name in claim.apis:
        usd = quotes[name].usd_per_mtok(TYPICAL_INPUT_SHARE)
        found[name] = own / usd * 10**6 / DAYS_PER_MONTH
        steps.append(f"{name}: ${own:,.2f} ÷ ${_plain(usd)} per million = {_million(found[name])} a day")
    verdict: ClaimVerdict
    said = Decimal(claim.tokens_per_day)
    low, high = min(found.values()), max(found.values())
    each = ", ".join(f"{_million(v)} against {name}" for name, v in sorted(found.items(), key=lambda item: item[1]))
    if said < low * (1 - ROUNDING):
        verdict = "cannot_hold"
        because = f"{_million(said)} a day is below every break-even at ${own:,.2f} a month: {each}."
    elif low >= high * (1 - ROUNDING) and said <= high * (1 + ROUNDING):
        verdict, because = "holds", f"At ${own:,.2f} a month it pays from there: {each}."
    elif said >= high:
        verdict, because = "holds", f"At {_million(said)} a day ${own:,.2f} a month is below every alternative: {each}."
    else:
        verdict = "depends"
        because = f"There is no single threshold, it depends on the alternative: {each}."
    return AuditedClaim(
        claim=claim.claim,
        verdict=verdict,
        implied={f"tokens_per_day {name}": float(round(v)) for name, v in found.items()},
        because=because,
        arithmetic=tuple(steps),
    )


def _quality(claim: Quality) -> AuditedClaim:
    gap = Decimal(str(claim.dear_accuracy)) - Decimal(str(claim.cheap_accuracy))
    more = Decimal(str(claim.cost_ratio)) - 1
    flip = more / gap
    return AuditedClaim(
        claim=claim.claim,
        verdict="depends",
        implied={"flip_failure_cost_in_cheap_requests": float(flip)},
        because=f"It depends on what a failure costs: the dearer model wins once one costs more than {_plain(flip)}× "
        "the cheap model's request.",
        arithmetic=(f"extra cost {_plain(more)} requests ÷ extra accuracy {_plain(gap)} = {_plain(flip)} requests",),
    )


def _evaluation(claim: Evaluation) -> AuditedClaim:
    z = NormalDist().inv_cdf(1 - ALPHA / 2)
    half = z * sqrt(claim.accuracy * (1 - claim.accuracy) / claim.examples)
    points = f"± {half * 100:.1f} points"
    implied: Implied = {"half_width_points": round(half * 100, 2)}
    steps = [f"{z:.2f} × √({claim.accuracy:g} × {1 - claim.accuracy:.2g} / {claim.examples:,}) = {points}"]
    text = f"{claim.examples:,} examples give {points} at {_points(claim.accuracy)} (normal, 95 %)"
    if claim.better_accuracy is None:
        return AuditedClaim(
            claim=claim.claim,
            verdict="depends",
            implied=implied,
            because=f"It depends on how close a call it is: {text}.",
            arithmetic=tuple(steps),
        )
    gap = claim.better_accuracy - claim.accuracy
    low, high = (pairs_needed(gap, share) for share in claim.discordance)
    verdict: ClaimVerdict = "holds" if claim.examples >= high else "cannot_hold" if claim.examples < low else "depends"
    implied["pairs_needed"] = (float(low), float(high))
    steps.append(
        f"McNemar, α {ALPHA}, power {POWER}, {_points(claim.discordance[0])} to {_points(claim.discordance[1])} "
        f"answered differently: {low:,}–{high:,} pairs"
    )
    because = (
        f"{text}; telling {_points(claim.accuracy)} from {_points(claim.better_accuracy)} "
        f"takes {low:,}–{high:,} examples answered by both models."
    )
    return AuditedClaim(claim=claim.claim, verdict=verdict, implied=implied, because=because, arithmetic=tuple(steps))


def pairs_needed(gap: float, discordance: float) -> int:
    """Examples answered by both models to see that accuracy gap with McNemar's test.

    n = (z_α/2·√ψ + z_β·√(ψ − d²))² / d², with ψ the share answered differently (Connor 1987, Biometrics 43:207).
    """
    z_alpha, z_beta = NormalDist().inv_cdf(1 - ALPHA / 2), NormalDist().inv_cdf(POWER)
    return ceil((z_alpha * sqrt(discordance) + z_beta * sqrt(discordance - gap**2)) ** 2 / gap**2)


def _million(tokens: Decimal) -> str:
    return f"{_plain(tokens / 10**6)}M"


def _share(share: Decimal) -> str:
    return f"{_plain(share * 100)} %"


def _points(share: float) -> str:
    return f"{share * 100:.3g} %"


def _plain(value: Decimal) -> str:
    """Four significant digits without an exponent; whole numbers above that in full."""
    if abs(value) >= 10_000 or value == value.to_integral_value():
        return f"{value:,.0f}"
    return f"{float(value):.4g}"
