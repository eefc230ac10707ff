"""What people type for volumes, prices and currencies, read strictly: ``10M``, ``1.39/h``, ``INR=93@2026-06-24``."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal, InvalidOperation

from toolkit.cost.formulas import HOURS_PER_MONTH
from toolkit.errors import InputError, UnknownNameError
from toolkit.types import Currency

NUMBER = r"(\d+(?:[_,]\d{3})*(?:\.\d+)?|\.\d+)"
VOLUME = re.compile(rf"^{NUMBER}\s*([kmbt]?)(?:\s*(?:tok|tokens))?$", re.IGNORECASE | re.ASCII)
PRICE = re.compile(rf"^\$?\s*{NUMBER}\s*(?:/|\s+per\s+|\s+a\s+)\s*([a-z]+)$", re.IGNORECASE | re.ASCII)
MULTIPLIER = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12}
HOURS = {
    "h": Decimal(1), "hr": Decimal(1), "hour": Decimal(1),
    "d": Decimal(24), "day": Decimal(24),
    "mo": HOURS_PER_MONTH, "month": HOURS_PER_MONTH,
    "y": HOURS_PER_MONTH * 12, "yr": HOURS_PER_MONTH * 12, "year": HOURS_PER_MONTH * 12,
}  # fmt: skip
MIN_USD_PER_HOUR = Decimal("0.0001")
MAX_USD_PER_HOUR = Decimal(100)
"""A rented accelerator costs less than this per hour; more is nearly always a monthly price by mistake."""
MAX_TOKENS_PER_DAY = 10**15
LEAST_RATE, MOST_RATE = Decimal("1e-9"), Decimal("1e9")
"""Units of a currency for one dollar: no currency in use lies outside."""


def parse_volume(text: str) -> int:
    """Tokens from ``10M``, ``1.5B``, ``250k`` or a plain number; at least one."""
    match = VOLUME.match(text.strip())
    if not match:
        raise InputError(f"{text!r} is not a volume", "Write it like 250k, 10M or 1.5B tokens.")
    tokens = int(number(match[1]) * MULTIPLIER[match[2].lower()])
    if not 1 <= tokens <= MAX_TOKENS_PER_DAY:
        raise InputError(f"a volume of {text!r} is out of range", "Give between one token and 1,000T tokens.")
    return tokens


def parse_usd_per_hour(text: str) -> Decimal:
    """Dollars per hour from ``1.39/h``, ``33/day`` or ``900/month`` (a month is 730 hours)."""
    match = PRICE.match(text.strip())
    hours = HOURS.get(match[2].lower()) if match else None
    if not match or hours is None:
        raise InputError(f"{text!r} is not a price per time", "Write it like 1.39/h, 33/day or 900/month.")
    usd = number(match[1]) / hours
    if usd <= 0:
        raise InputError(f"a price of {text!r} is not above zero", "Give what the machine really costs.")
    if usd < MIN_USD_PER_HOUR:
        raise InputError(f"{text!r} is below ${MIN_USD_PER_HOUR} per hour, below any known rental")
    if usd >= MAX_USD_PER_HOUR:
        raise InputError(
            f"{text!r} is ${usd:,.2f} per hour for one device, above any known rental",
            "If that is a monthly price, write it like 900/month.",
        )
    return usd


def parse_usd(text: str) -> Decimal:
    """Dollars from ``1600``, ``$1,600`` or ``25k``; one at least."""
    match = re.match(rf"^\$?\s*{NUMBER}\s*([km]?)$", text.strip(), re.IGNORECASE | re.ASCII)
    if not match:
        raise InputError(f"{text!r} is not a price in dollars", "Write it like 1600, $1,600 or 25k.")
    usd = number(match[1]) * MULTIPLIER[match[2].lower()]
    if not 1 <= usd < 10**8:
        raise InputError(f"a price of {text!r} is not from one dollar to below a hundred million")
    return usd


def parse_currency(text: str, today: date) -> Currency:
    """A second currency from ``INR=93`` (rate as of today) or ``INR=93@2026-06-24``: units for one dollar."""
    match = re.match(rf"^\s*([A-Za-z]{{3}})\s*=\s*{NUMBER}\s*(?:@\s*(\S+))?\s*$", text, re.ASCII)
    if not match:
        raise InputError(
            f"{text!r} is not a currency with its rate",
            "Write how many of it one dollar buys, like INR=93 or INR=93@2026-06-24.",
        )
    rate = number(match[2])
    if not LEAST_RATE <= rate <= MOST_RATE:
        raise InputError(f"a rate of {match[2]} for {match[1].upper()} is not above zero and below a thousand million")
    try:
        on = date.fromisoformat(match[3]) if match[3] else today
    except ValueError:
        raise InputError(f"{match[3]!r} is not a date", "Write it like 2026-06-24.") from None
    return Currency(code=_code(match[1].upper()), per_usd=rate, on=on)


def _code(code: str) -> str:
    """An ISO 4217 code that exists; UnknownNameError otherwise."""
    from babel import Locale

    known = Locale("en").currencies
    if code not in known:
        raise UnknownNameError("currency", code, known, "Write its three-letter code, like INR or EUR.")
    return code


def number(text: str) -> Decimal:
    """A finite decimal from text with optional thousands separators."""
    try:
        value = Decimal(text.replace(",", "").replace("_", ""))
    except InvalidOperation:
        raise InputError(f"{text!r} is not a number") from None
    if not value.is_finite():
        raise InputError(f"{text!r} is not a finite number")
    return value
