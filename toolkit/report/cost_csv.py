"""A cost report as CSV for a spreadsheet: a row for self-hosting, one for each line of its month, one for each API."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

from toolkit.types import Alternative, CostReport

COLUMNS = (
    "option", "provider", "model", "terms", "price_date", "retires", "usd_per_mtok_input", "usd_per_mtok_cached",
    "usd_per_mtok_cache_write", "usd_per_mtok_output", "usd_per_mtok", "usd_per_month", "usd_per_month_p10",
    "usd_per_month_p90", "tokens_per_day", "replicas", "utilisation", "self_host_wins_from_tokens_per_day",
    "p_self_host_cheaper", "usd_per_good_answer", "how",
)  # fmt: skip
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would compute."""

Row = dict[str, object]


def cost_csv(cost: CostReport) -> str:
    """The rows, with a header; an unknown figure is an empty cell. No cell is a formula."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    rows = [*_own(cost), *(_api(a, cost) for a in cost.alternatives)]
    writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    return out.getvalue()


def _own(cost: CostReport) -> list[Row]:
    """The usage price; with a volume the month, and what it is made of (those lines add up to it)."""
    whose: Row = {"model": cost.model, "usd_per_mtok_input": cost.usd_per_mtok_input}
    whose |= {"usd_per_mtok_cached": cost.usd_per_mtok_input_cached, "usd_per_mtok_output": cost.usd_per_mtok_output}
    rows: list[Row] = [
        {"option": "self-hosted, busy all day", **whose, "usd_per_mtok": cost.usage_usd_per_mtok, "how": cost.price_how}
    ]
    if cost.monthly_usd is None:
        return rows
    band = cost.uncertainty.monthly_usd if cost.uncertainty else None
    rows.append(
        {
            "option": "self-hosted",
            "model": cost.model,
            "usd_per_mtok": cost.allocation_usd_per_mtok,
            "usd_per_month": cost.monthly_usd.total,
            "usd_per_month_p10": band.p10 if band else None,
            "usd_per_month_p90": band.p90 if band else None,
            "tokens_per_day": cost.tokens_per_day,
            "replicas": cost.replicas,
            "utilisation": cost.utilisation,
            "usd_per_good_answer": _good(cost, "self-hosted"),
        }
    )
    return rows + [
        {"option": f"of it: {line.what}", "usd_per_month": line.usd, "how": line.how} for line in cost.monthly_lines
    ]


def _api(a: Alternative, cost: CostReport) -> Row:
    return {
        "option": a.name,
        "provider": a.provider,
        "model": a.matched_model,
        "terms": a.terms,
        "price_date": a.price_date,
        "retires": a.retires,
        "usd_per_mtok_input": a.usd_per_mtok_input,
        "usd_per_mtok_cached": a.usd_per_mtok_cached,
        "usd_per_mtok_cache_write": a.usd_per_mtok_cache_write,
        "usd_per_mtok_output": a.usd_per_mtok_output,
        "usd_per_mtok": a.usd_per_mtok,
        "usd_per_month": a.usd_per_month,
        "tokens_per_day": cost.tokens_per_day,
        "self_host_wins_from_tokens_per_day": (
            a.self_host_wins_tokens_per_day[0][0] if a.self_host_wins_tokens_per_day else "never"
        ),
        "p_self_host_cheaper": a.p_self_host_cheaper,
        "usd_per_good_answer": _good(cost, a.name),
        "how": a.note,
    }


def _good(cost: CostReport, name: str) -> object:
    return next((line.usd_per_good_answer for line in cost.good_answers if line.name == name), None)


def _cell(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return format(round(value, 6).normalize(), "f")
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
