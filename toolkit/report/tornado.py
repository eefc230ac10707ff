"""How sure a cost is: the tornado of what moves it, as a list of bars and as a table."""

from __future__ import annotations

from html import escape

from toolkit.report import words
from toolkit.report.tables import Table
from toolkit.types import CostReport, Swing

EMPTY = Table("", ("",), (), {}, {}, 1)


def bars(cost: CostReport) -> str:
    """One bar an input, on a common scale, from its price at one end to that at the other; empty without draws.

    A mark stands at the price with everything as stated.
    """
    swings = cost.uncertainty.tornado if cost.uncertainty else ()
    if not swings:
        return ""
    low, high = _scale(swings)
    stated = cost.allocation_usd_per_mtok
    items = "".join(_bar(swing, low, high, None if stated is None else float(stated)) for swing in swings)
    return f'<ul class="bars tornado" aria-label="What moves the price per million tokens">{items}</ul>'


def table(cost: CostReport) -> Table:
    """The same in figures: the price per million with each input at its 10th and 90th percentile."""
    if cost.uncertainty is None or not cost.uncertainty.tornado:
        return EMPTY
    rows = tuple(
        (
            swing.what,
            f"× {words.significant(swing.factor_p10)} to × {words.significant(swing.factor_p90)}",
            f"{words.usd(swing.usd_per_mtok_at_p10)} to {words.usd(swing.usd_per_mtok_at_p90)}",
            f"{swing.basis}: {swing.how}",
        )
        for swing in cost.uncertainty.tornado
    )
    caption = "What moves the price most: each input alone from its 10th to its 90th percentile"
    stated = cost.allocation_usd_per_mtok
    caption += f"; with all as stated it is {words.usd(stated)}." if stated is not None else "."
    return Table(caption, ("", "the input", "$ per million", "known how"), rows, {}, {}, words_from=3)


def _scale(swings: tuple[Swing, ...]) -> tuple[float, float]:
    ends = [usd for swing in swings for usd in (swing.usd_per_mtok_at_p10, swing.usd_per_mtok_at_p90)]
    return min(ends), max(ends)


def _bar(swing: Swing, low: float, high: float, stated: float | None) -> str:
    a, b = sorted((swing.usd_per_mtok_at_p10, swing.usd_per_mtok_at_p90))
    start, width = ((end - low) / (high - low) * 100 for end in (a, b - a + low))
    remark = f"× {words.significant(swing.factor_p10)} to × {words.significant(swing.factor_p90)}, {swing.how}"
    mark = "" if stated is None else f'<i class="stated" style="left:{(stated - low) / (high - low) * 100:.2f}%"></i>'
    bar = f'<span class="bar" style="margin-left:{start:.2f}%;width:{width:.2f}%"></span>'
    return (
        f'<li class="own"><span class="bar-name">{escape(swing.what)}<small>{escape(remark)}</small></span>'
        f'<span class="bar-track">{bar}{mark}</span>'
        f"<b>{words.usd(a)}–{words.usd(b).removeprefix('$')}</b></li>"
    )
