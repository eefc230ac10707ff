"""The month as stacked bars: what self-hosting is made of at the user's volume, beside each API's bill."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from html import escape

from toolkit.report import words
from toolkit.report.tables import Table, money
from toolkit.types import CostLine, CostReport

GROUPS = ("machines at work", "spare machines", "paid, serving nothing", "people", "everything else")
"""The colours of the stack, in the order they are laid on each other."""
IDLE = ("cold starts", "interruptions")
MOST_APIS = 12
"""More bars than these are a wall; the table has all."""


def group_of(line: CostLine) -> int:
    """Which of `GROUPS` a line of the bill belongs to."""
    if line.kind == "people":
        return 3
    if line.kind == "other":
        return 4
    return 2 if line.what in IDLE else 1 if line.what == "spare machines" else 0


def stacked(cost: CostReport) -> str:
    """The legend and one bar an option, all on one scale; empty without a volume."""
    month = cost.monthly_usd
    if month is None or not cost.monthly_lines or month.total == 0:
        return ""
    apis = sorted((a for a in cost.alternatives if a.usd_per_month is not None), key=lambda a: a.usd_per_month or 0)
    shown = apis[:MOST_APIS]
    top = max([month.total, *(a.usd_per_month or Decimal(0) for a in shown)])
    parts = (("machines", month.compute), ("people", month.people), ("everything else", month.other))
    told = ", ".join(f"{what} {words.usd(usd)}" for what, usd in parts if usd)
    rows = [_row("own", "Self-hosted", told, _segments(cost.monthly_lines, top), month.total)]
    rows += [
        _row(
            "api",
            a.name,
            f"{a.provider}, {a.price_date}",
            _bar("", a.usd_per_month or Decimal(0), top, a.name),
            a.usd_per_month,
        )
        for a in shown
    ]
    left = len(apis) - len(shown)
    more = f'<p class="lead">{words.count(left, "dearer API")} are in the table.</p>' if left else ""
    return f'{_legend(cost)}<ul class="bars stacked" aria-label="Dollars a month">{"".join(rows)}</ul>{more}'


def table(cost: CostReport) -> Table:
    """The bill, line by line, with its sum."""
    month = cost.monthly_usd
    if month is None:
        return Table("", ("",), (), {}, {}, 1)
    rows = [
        (line.what, money(line.usd, cost.currency), _share(line.usd, month.total), line.how)
        for line in cost.monthly_lines
    ]
    rows.append(("all", money(month.total, cost.currency), "", f"{words.tokens(cost.tokens_per_day)} tokens a day"))
    return Table("The month, line by line.", ("", "$ a month", "of it", "how"), tuple(rows), {}, {}, words_from=3)


def _share(part: Decimal, whole: Decimal) -> str:
    return words.percent(float(part / whole)) if whole else words.UNKNOWN


def _legend(cost: CostReport) -> str:
    used = sorted({group_of(line) for line in cost.monthly_lines})
    return f'<ul class="keys">{"".join(f"<li class=s{i}>{GROUPS[i]}</li>" for i in used)}</ul>'


def _segments(lines: Sequence[CostLine], top: Decimal) -> str:
    ordered = sorted(lines, key=group_of)
    return "".join(_bar(f"s{group_of(line)}", line.usd, top, line.what) for line in ordered)


def _bar(kind: str, usd: Decimal, top: Decimal, what: str) -> str:
    title = escape(f"{what}: {words.usd(usd)} a month", quote=True)
    return f'<span class="bar {kind}" title="{title}" style="width:{float(usd / top) * 100:.2f}%"></span>'


def _row(kind: str, name: str, remark: str, bar: str, usd: Decimal | None) -> str:
    return (
        f'<li class="{kind}"><span class="bar-name">{escape(name)}<small>{escape(remark)}</small></span>'
        f'<span class="bar-track">{bar}</span><b>{words.usd(usd)}</b></li>'
    )
