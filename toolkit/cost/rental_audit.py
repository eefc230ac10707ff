"""Judges what a claim says a machine costs: the hourly price it implies, and what hours that price leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from toolkit.cost.claims import Rental
from toolkit.cost.formulas import HOURS_PER_MONTH, SECONDS_PER_HOUR
from toolkit.types import AuditedClaim, ClaimVerdict, GpuPrice


@dataclass(frozen=True)
class Market:
    """What one device rents for, from–to dollars per hour, how many the claim has, and who says so."""

    low: Decimal
    high: Decimal
    devices: int
    how: str


def market_of(claim: Rental, devices: int, prices: Sequence[GpuPrice]) -> Market | None:
    """The claim's own price range, else the dated rents; None when neither is there."""
    if claim.market_usd_per_hour is not None:
        return Market(*claim.market_usd_per_hour, devices, claim.market_source or "the range given with the claim")
    if not prices:
        return None
    low, high = min(p.usd_per_hour for p in prices), max(p.usd_per_hour for p in prices)
    read = max(p.checked for p in prices)
    return Market(low, high, devices, f"{len(prices)} dated rents, spot and on demand, read {read}")


@dataclass(frozen=True)
class _Case:
    """A claim beside the market: dollars per hour of the whole machine; what follows is collected."""

    claim: Rental
    hours: Decimal
    rate: Decimal
    low: Decimal = Decimal(0)
    high: Decimal = Decimal(0)
    implied: dict[str, float | int | str | bool | tuple[float, ...] | None] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)

    def verdict(self, verdict: ClaimVerdict, because: str) -> AuditedClaim:
        return AuditedClaim(
            claim=self.claim.claim,
            verdict=verdict,
            implied=self.implied,
            because=because,
            arithmetic=tuple(self.steps),
        )


def judge_rental(claim: Rental, market: Market | None) -> AuditedClaim:
    """Holds when the stated money pays for all the hours at any price of the market; without one it depends on it."""
    hours = claim.hours_per_month or HOURS_PER_MONTH
    rate = claim.usd_per_month / hours if claim.usd_per_month is not None else claim.usd_per_hour or Decimal(0)
    devices = market.devices if market else 1
    case = _Case(claim, hours, rate, *((market.low * devices, market.high * devices) if market else ()))
    _spell_out(case)
    if market:
        _add_market(case, market)
    if _two_prices(claim):
        return _only_for_hours(case, claim.usd_per_hour or rate, claim.usd_per_hour or rate)
    if market is None:
        of = (
            f"no dated rent of {claim.hardware} is known" if claim.hardware else "the claim does not say what is rented"
        )
        return case.verdict("depends", f"It depends on what such a machine rents for: {of}. {_told(case)}.")
    if rate >= case.high:
        return case.verdict("holds", f"${rate:,.3f} per hour is not below what it rents for, {_usd(case)} per hour.")
    if rate >= case.low:
        because = f"It depends on where you rent: ${rate:,.3f} per hour is within {_usd(case)}."
        return case.verdict("depends", because)
    if claim.usd_per_month is None or claim.hours_per_month is not None:
        cost = _span(case.low * hours, case.high * hours)
        because = f"${rate:,.3f} per hour is below what it rents for, {_usd(case)}: {hours:,.0f} h cost ${cost}."
        return case.verdict("cannot_hold", because)
    return _only_for_hours(case, case.low, case.high)


def _spell_out(case: _Case) -> None:
    """What follows from the claim alone: dollars per hour, per month and per million tokens, tokens per second."""
    claim, hours = case.claim, case.hours
    around = hours == HOURS_PER_MONTH
    month = claim.usd_per_month if claim.usd_per_month is not None else case.rate * hours
    case.implied["usd_per_hour_around_the_clock" if around else "usd_per_hour"] = float(round(case.rate, 4))
    case.implied["usd_per_month"] = float(round(month, 2))
    if claim.usd_per_month is not None:
        case.steps.append(f"${month:,.2f} ÷ {hours:,.0f} h = ${case.rate:,.3f} per hour")
    if claim.mtok is not None:
        usd = month / claim.mtok
        mean = claim.mtok * 10**6 / (HOURS_PER_MONTH * SECONDS_PER_HOUR)
        case.implied["usd_per_mtok"] = float(round(usd, 4))
        case.implied["mean_tok_s"] = float(round(mean, 1))
        case.steps.append(
            f"${month:,.2f} ÷ {_amount(claim.mtok)}M tokens = ${usd:,.4g} per million; "
            f"{_amount(mean)} tokens/s on average"
        )


def _add_market(case: _Case, market: Market) -> None:
    case.implied["market_usd_per_hour"] = (float(case.low), float(case.high))
    case.implied["market_usd_per_month"] = (float(case.low * case.hours), float(case.high * case.hours))
    cost = _span(case.low * case.hours, case.high * case.hours)
    case.steps.append(f"market {_usd(case)} per hour × {case.hours:,.0f} h = ${cost} a month ({market.how})")


def _told(case: _Case) -> str:
    """The claim's own figures in a sentence."""
    told = f"It implies ${case.rate:,.3f} per hour"
    per_million = case.implied.get("usd_per_mtok")
    return told if per_million is None else f"{told} and ${per_million:,.4g} per million tokens"


def _two_prices(claim: Rental) -> bool:
    """Whether the stated month does not pay for all its hours at the stated hourly price."""
    month, hour = claim.usd_per_month, claim.usd_per_hour
    return month is not None and hour is not None and month < hour * (claim.hours_per_month or HOURS_PER_MONTH)


def _only_for_hours(case: _Case, low: Decimal, high: Decimal) -> AuditedClaim:
    """The money pays for part of the month: how many hours, and how fast those must be."""
    usd = case.claim.usd_per_month or Decimal(0)
    least, most = usd / high, usd / low
    case.implied["hours_per_month"] = (float(round(least, 1)), float(round(most, 1)))
    case.steps.append(f"${usd:,.2f} ÷ ${_prices(low, high)} per hour = {_span(least, most)} h a month")
    month = _span(low * HOURS_PER_MONTH, high * HOURS_PER_MONTH)
    text = f"${case.rate:,.3f} per hour around the clock, where it costs ${month}"
    text += f" a month: it holds only for {_span(least, most)} h a month"
    if case.claim.mtok is not None:
        tokens = case.claim.mtok * 10**6
        slow, fast = tokens / (most * SECONDS_PER_HOUR), tokens / (least * SECONDS_PER_HOUR)
        case.implied["tok_s_needed"] = (float(round(slow, 1)), float(round(fast, 1)))
        case.steps.append(f"{_amount(tokens / 10**6)}M tokens ÷ those hours = {_span(slow, fast)} tokens/s")
        text += f" at {_span(slow, fast)} tokens/s"
    return case.verdict("depends", f"{text}.")


def _amount(value: Decimal) -> str:
    """Four significant digits, and no exponent."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def _usd(case: _Case) -> str:
    return f"${_prices(case.low, case.high)}"


def _prices(low: Decimal, high: Decimal) -> str:
    return f"{low:,.4g}" if low == high else f"{low:,.4g}–{high:,.4g}"


def _span(low: Decimal, high: Decimal) -> str:
    a, b = f"{low:,.0f}", f"{high:,.0f}"
    return a if a == b else f"{a}–{b}"
