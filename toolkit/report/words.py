"""Numbers as people read them: ``180 ms``, ``$0.41``, ``10M tokens``. Pure; every renderer uses these."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

UNKNOWN = "–"


def seconds(value: float | None, pad: bool = False) -> str:
    """A duration with three significant digits: ``0.42 ms``, ``180 ms``, ``1.23 s``, ``2 min 5 s``.

    ``pad`` keeps trailing zeros, so that a column reads evenly.
    """
    if value is None:
        return UNKNOWN
    if value < 0.9995:
        return f"{significant(value * 1000, pad=pad)} ms"
    if value < 120:
        return f"{significant(value, pad=pad)} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def significant(value: float, digits: int = 3, pad: bool = False) -> str:
    """A plain number with that many significant digits, thousands separated, no exponent: ``1,234``, ``0.0521``."""
    if value == 0:
        return "0"
    if abs(value) >= 10**digits:
        return f"{value:,.0f}"
    text = f"{value:#.{digits}g}" if pad else f"{value:.{digits}g}"
    return f"{Decimal(text):,f}".rstrip(".") if "e" in text else text.rstrip(".")


def usd(value: Decimal | float | None) -> str:
    """Dollars: cents above one dollar, more digits below: ``$1,312.50``, ``$0.41``, ``$0.155``, ``$0.0032``."""
    if value is None:
        return UNKNOWN
    amount = Decimal(str(value)) if isinstance(value, float) else value
    if amount == 0:
        return "$0"
    if abs(amount) >= 10_000:
        return f"${amount:,.0f}"
    if abs(amount) >= 1:
        return f"${amount:,.2f}"
    if abs(amount) >= Decimal("0.0995"):
        return f"${amount:.3f}".removesuffix("0")
    return f"${significant(float(amount), 2)}"


def tokens(value: float | None) -> str:
    """A volume of tokens: ``850``, ``250k``, ``10M``, ``1.5B`` (three significant digits)."""
    if value is None:
        return UNKNOWN
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size * 0.9995:
            return f"{significant(value / size)}{letter}"
    return significant(value)


def percent(share: float | None) -> str:
    """A share 0…1 as ``44 %``; small ones keep a digit."""
    if share is None:
        return UNKNOWN
    points = share * 100
    return f"{points:.0f} %" if points >= 10 or points == 0 else f"{significant(points, 2)} %"


def count(n: int, noun: str) -> str:
    """``1 user``, ``16 users``, ``1,200 requests``."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def listing(parts: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def wins(intervals: Sequence[tuple[int, int | None]], searched_up_to: int | None, most: int = 2) -> str:
    """Winning volumes: ``above 7.6M a day``, ``74.1M–86.4M a day``, ``above 1M a day, with gaps up to 5M``.

    More than ``most`` intervals are summed up.
    """
    if not intervals:
        limit = f" up to {tokens(searched_up_to)} a day" if searched_up_to else ""
        return f"never{limit}"
    if len(intervals) > most and intervals[-1][1] is None:
        return f"above {tokens(intervals[0][0])} a day, with gaps up to {tokens(intervals[-1][0])}"
    parts = [
        f"above {tokens(start)}" if end is None else f"{tokens(start)}–{tokens(end)}" for start, end in intervals[:most]
    ]
    more = len(intervals) - most
    return f"{', '.join(parts)} a day" + (f" and {count(more, 'more interval')}" if more > 0 else "")
