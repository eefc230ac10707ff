"""The stacked month: bars that add up on one scale, and a headline that says who is cheaper."""

import re
from datetime import date
from decimal import Decimal

import pytest

from toolkit.cost import goodput, machine_price, sources
from toolkit.cost.report import cost_report
from toolkit.cost.running import Running
from toolkit.cost.scenario import Load, Other, People, Scenario
from toolkit.report.headline import cost_headline
from toolkit.report.monthly import stacked, table

D = Decimal


def report(volume=10_000_000, compare=("gpt-4o", "together:llama-3.3-70b"), **around):
    speed = goodput.assumed(1000)
    quotes = sources.quotes(compare, (speed.request,), date(2026, 11, 23))
    return cost_report(speed, machine_price.given(D("1.39")), quotes, Scenario(Load(volume), **around))


def widths(html):
    """Width of every piece of every bar, percent of the longest."""
    return [
        [float(w) for w in re.findall(r"width:([\d.]+)%", row)]
        for row in html.split("<li class=")[1:]
        if "bar-name" in row
    ]


def test_the_pieces_of_a_bar_add_up_to_its_share_of_the_longest():
    # $1,014.70 + $100 + $50 = $1,164.70 against gpt-4o's 304.1667 × 4.375 = $1,330.73, the longest: 87.52 %.
    cost = report(people=People(upkeep_hours=D(2), usd_per_hour=D(50)), others=(Other("storage", D(50)),))
    own, together, gpt = widths(stacked(cost))
    assert sum(own) == pytest.approx(87.52, abs=0.02)
    assert len(own) == 3
    assert gpt == [100]
    assert together == [pytest.approx(20.11, abs=0.01)]  # 304.1667 × 0.88 = $267.67


def test_nothing_to_stack_without_a_volume():
    assert stacked(report(None)) == ""
    assert table(report(None)).rows == ()


def test_many_apis_are_cut_and_counted():
    names = [p.name for p in sources.priced_models(date(2026, 11, 23))]
    names += [f"openai:gpt-{m}" for m in ("4o", "4o-mini", "4.1", "4.1-mini", "4.1-nano", "5", "5-mini", "5-nano")]
    html = stacked(report(compare=tuple(names)))
    assert len(widths(html)) == 13
    assert f"{len(names) - 12} dearer APIs are in the table" in html


def test_names_are_escaped():
    cost = report()
    evil = cost.model_copy(
        update={"alternatives": (cost.alternatives[0].model_copy(update={"name": '"><script>x</script>'}),)}
    )
    assert "<script>" not in stacked(evil)


def test_the_headline_says_who_is_cheaper():
    assert cost_headline(report()) == (
        "At 10M tokens a day self-hosting costs $1,014.70 a month, $3.34 per million: cheaper than gpt-4o, dearer than "
        "together:llama-3.3-70b."
    )
    assert cost_headline(report(None)).startswith("$0.386 per million tokens at $1.39/h and 1,000 tokens/s (assumed)")
    assert cost_headline(report(compare=())).endswith("$3.34 per million.")


def test_the_table_has_every_line_and_the_sum():
    cost = report(running=Running(D(300), D(10), D("0.5")))
    rows = table(cost).rows
    assert [row[0] for row in rows] == ["machines", "cold starts", "all"]
    assert rows[1][3] == "10 starts × 30 min"
    assert rows[-1][1] == "$423.95"  # 305 h × 1.39
