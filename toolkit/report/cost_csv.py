"""A cost report as CSV for a spreadsheet: one row for self-hosting, one for each API."""

from __future__ import annotations

import csv
import io

from toolkit.types import CostReport

COLUMNS = (
    "option", "provider", "model", "price_date", "usd_per_mtok", "usd_per_month", "tokens_per_day", "replicas",
    "utilisation", "self_host_wins_from_tokens_per_day", "p_self_host_cheaper",
)  # fmt: skip
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would compute."""


def cost_csv(cost: CostReport) -> str:
    """The rows, with a header; an unknown figure is an empty cell. No cell is a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    month, volume = cost.monthly_usd, cost.tokens_per_day
    own = ("self-hosted", "", cost.model or "", "", cost.allocation_usd_per_mtok, month.total if month else None)
    usage = ("self-hosted, busy all day", "", cost.model or "", "", cost.usage_usd_per_mtok)
    rows: list[tuple[object, ...]] = [usage]
    if month is not None:
        rows.append((*own, volume, cost.replicas, cost.utilisation))
    rows += [
        (
            a.name, a.provider, a.matched_model, a.price_date, a.usd_per_mtok, a.usd_per_month, volume, None, None,
            a.self_host_wins_tokens_per_day[0][0] if a.self_host_wins_tokens_per_day else "never",
            a.p_self_host_cheaper,
        )
        for a in cost.alternatives
    ]  # fmt: skip
    writer.writerows([*map(_cell, row), *[""] * (len(COLUMNS) - len(row))] for row in rows)
    return out.getvalue()


def _cell(value: object) -> object:
    if value is None:
        return ""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
