"""The spreadsheet export: read back by the standard library, whole and without formulas."""

import csv
import io
from datetime import date
from decimal import Decimal

from toolkit.cost import goodput, machine_price, sources
from toolkit.cost.report import cost_report
from toolkit.cost.scenario import Load, Scenario
from toolkit.report.cost_csv import cost_csv


def rows_of(volume, **changes):
    speed = goodput.assumed(1000)
    quotes = sources.quotes(["gpt-4o", "lowest:llama-3.3-70b"], (speed.request,), date(2026, 11, 23))
    report = cost_report(
        speed, machine_price.given(Decimal("1.39")), quotes, scenario=Scenario(load=Load(volume, Decimal(1)))
    )
    return list(csv.DictReader(io.StringIO(cost_csv(report.model_copy(update=changes)))))


def test_the_rows():
    usage, own, machines, api, never = rows_of(10_000_000)
    assert (machines["option"], float(machines["usd_per_month"])) == ("of it: machines", 1014.70)
    assert (api["usd_per_mtok_input"], api["usd_per_mtok_cached"], api["usd_per_mtok_output"]) == ("2.5", "1.25", "10")
    assert usage["option"] == "self-hosted, busy all day"
    assert round(float(usage["usd_per_mtok"]), 3) == 0.386
    assert float(own["usd_per_month"]) == 1014.70  # 730 × 1.39
    assert (own["replicas"], own["tokens_per_day"]) == ("1", "10000000")
    assert float(api["usd_per_mtok"]) == 4.375
    assert round(int(api["self_host_wins_from_tokens_per_day"]) / 1e6, 1) == 7.6
    assert never["self_host_wins_from_tokens_per_day"] == "never"


def test_what_is_unknown_is_empty():
    usage, api, _ = rows_of(None)
    assert usage["usd_per_month"] == api["usd_per_month"] == api["p_self_host_cheaper"] == ""


def test_no_cell_is_a_formula():
    usage, *_ = rows_of(None, model='=HYPERLINK("http://x")')
    assert usage["model"].startswith("'=")
