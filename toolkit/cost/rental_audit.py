"""Judges what a claim says a machine costs: the hourly price it implies, and what hours that price leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from toolkit.cost.claims import Rental
from toolkit.cost.formulas import HOURS_PER_MONTH, SECONDS_PER_HOUR
from toolkit.errors import InputError
from toolkit.types import AuditedClaim, ClaimVerdict, GpuPrice


@dataclass(frozen=True)
class Market:
    """What one device rents for, from–to dollars per hour, how many the claim has, and who says so."""

    low: Decimal
    high: Decimal
    devices: int
    how: str


def market_of(claim: Rental, devices: int, prices: Sequence[GpuPrice]) -> Market:
    """The claim's own price range, else the dated rents; InputError when neither is there."""
    if claim.market_usd_per_hour is not None:
        return Market(*claim.market_usd_per_hour, devices, claim.market_source or "the range given with the claim")
    if not prices:
        raise InputError(
            f"no dated rental price is known for {claim.hardware}", "Give the range of prices with the claim."
        )
    low, high = min(p.usd_per_hour for p in prices), max(p.usd_per_hour for p in prices)
    read = max(p.checked for p in prices)
    return Market(low, high, devices, f"{len(prices)} dated rents, spot and on demand, read {read}")


@dataclass(frozen=True)
class _Case:
    """A claim beside the market: dollars per hour of the whole machine; what follows is collected."""

    claim: Rental
    hours: Decimal
    rate: Decimal
    low: Decimal
    high: Decimal
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


def judge_rental(claim: Rental, market: Market) -> AuditedClaim:
    """Holds when the stated money pays for all the hours at any price of the market."""
    hours = claim.hours_per_month or HOURS_PER_MONTH
    rate = claim.usd_per_month / hours if claim.usd_per_month is not None else claim.usd_per_hour or Decimal(0)
    case = _Case(claim, hours, rate, market.low * market.devices, market.high * market.devices)
    _spell_out(case, market)
    if _two_prices(claim):
        return _only_for_hours(case, claim.usd_per_hour or rate, claim.usd_per_hour or rate)
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


def _spell_out(case: _Case, market: Market) -> None:
    claim, hours = case.claim, case.hours
    around = hours == HOURS_PER_MONTH
    case.implied["usd_per_hour_around_the_clock" if around else "usd_per_hour"] = float(round(case.rate, 4))
    case.implied["market_usd_per_hour"] = (float(case.low), float(case.high))
    case.implied["market_usd_per_month"] = (float(case.low * hours), float(case.high * hours))
    if claim.usd_per_month is not None:
        case.steps.append(f"${claim.usd_per_month:,.2f} ÷ {hours:,.0f} h = ${case.rate:,.3f} per hour")
    cost = _span(case.low * hours, case.high * hours)
    case.steps.append(f"market {_usd(case)} per hour × {hours:,.0f} h = ${cost} a month ({market.how})")
    if claim.mtok is not None:
        case.implied["usd_per_mtok"] = float(round(case.rate * hours / claim.mtok, 4))
        case.implied["mean_tok_s"] = float(round(claim.mtok * 10**6 / (HOURS_PER_MONTH * SECONDS_PER_HOUR), 1))


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
        case.steps.append(f"{tokens / 10**6:,.4g}M tokens ÷ those hours = {_span(slow, fast)} tokens/s")
        text += f" at {_span(slow, fast)} tokens/s"
    return case.verdict("depends", f"{text}.")


def _usd(case: _Case) -> str:
    return f"${_prices(case.low, case.high)}"


def _prices(low: Decimal, high: Decimal) -> str:
    return f"{low:,.4g}" if low == high else f"{low:,.4g}–{high:,.4g}"


def _span(low: Decimal, high: Decimal) -> str:
    a, b = f"{low:,.0f}", f"{high:,.0f}"
    return a if a == b else f"{a}–{b}"
