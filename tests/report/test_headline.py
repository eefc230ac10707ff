"""The plain words, against sentences written by hand."""

from decimal import Decimal

import pytest

from tests.report.made import level_of, result_of, rows_of
from toolkit.cost import goodput, machine_price
from toolkit.cost.report import cost_report
from toolkit.cost.scenario import Load, Scenario
from toolkit.report.headline import cost_sentences, figures, headline, limit_words, remarks, verdicts

ROWS = rows_of((1,), seconds=4)
BASE = level_of(ROWS, 0, 1)


def level(users, met=True, **changes):
    ttft = BASE.ttft_s.model_copy(update={"p95": 0.18})
    values = {
        "concurrency": users,
        "slo_met": met,
        "ttft_s": ttft,
        "decode_tok_s_per_user": 23.1,
        "output_tok_s": 370.4,
    }
    return BASE.model_copy(update=values | changes)


def result(*levels, best=None, **changes):
    return result_of(ROWS, (1,), levels=levels, best_under_slo=best, **changes)


# 1.39 / 3.6 / g × 1e6 = 0.41 per million at g = 941.7 tokens/s
COST = cost_report(goodput.assumed(941.7), machine_price.given(Decimal("1.39")))


def test_the_sentence_of_the_specification():
    best = level(16)
    found = headline(result(level(8), best, level(24), level(32, met=False), best=best), COST)
    assert found == (
        "At 16 users: first token in 180 ms (p95), 23.1 tokens/s each, 370 tokens/s in all, "
        "$0.41 per million tokens at $1.39/h; breaks the SLO beyond 24 users."
    )


def test_where_the_service_level_breaks():
    assert limit_words(result(level(1), level(4))) == "meets the SLO up to 4 users, the most that was tested"
    assert limit_words(result(level(1, met=False))) == "no load tested meets ttft_p95<500ms,itl_p95<60ms"
    assert limit_words(result(level(1), slo=None)) == "no service level was set"


def test_nothing_worked():
    dead = level(4, completed=0, requests=12, failed=12, ttft_s=None)
    assert headline(result(dead)) == "At 4 users: no request completed; 12 requests failed."
    assert figures(result(dead), None) == []
    assert headline(result()) == "Nothing was measured."


def test_an_arrival_rate_is_named_as_one():
    assert headline(result(level(None, rate=2.5))).startswith("At 2.5 requests/s: ")


def test_the_big_numbers():
    found = figures(result(level(16), best=level(16)), COST)
    assert (found[0].value, found[0].unit) == ("180", "ms")
    assert (found[2].value, found[2].unit, found[2].meaning) == ("370", "tokens/s", "output, 16 users together")
    assert (found[3].value, found[3].meaning) == ("$0.41", "per million tokens at $1.39/h")


def test_with_a_volume_the_price_is_what_is_really_paid():
    # 10M a day on one machine: 730 × 1.39 ÷ 304.17 = $3.34; busy all day the same machine could do it at 0.41
    cost = cost_report(
        goodput.assumed(941.7), machine_price.given(Decimal("1.39")), scenario=Scenario(load=Load(10_000_000))
    )
    found = result(level(16), best=level(16))
    price = figures(found, cost)[3]
    assert (price.value, price.meaning) == ("$3.34", "per million tokens at 10M a day; $0.41 if busy all day")
    assert "$3.34 per million tokens at 10M a day; meets the SLO" in headline(found, cost)


def test_reasons_not_to_trust_it_come_first():
    broken = level(8, valid=False, why_invalid="client-bound")
    found = verdicts(result(broken, interrupted=True, stopped_early="nothing works"))
    assert found[0] == "The run was stopped early: nothing works."
    assert "interrupted" in found[1]
    assert found[2] == "8 users: client-bound."
    assert verdicts(result(level(1))) == []


def test_failures_are_named():
    failing = level(8, failed=4, errors={"http_500": 1, "stream_error": 3}, notes=("output lengths vary",))
    assert remarks(result(failing)) == [
        "8 users: 4 requests failed: stream_error 3, http_500 1",
        "8 users: output lengths vary",
    ]


def test_cost_in_words():
    told = cost_report(
        goodput.assumed(1000), machine_price.given(Decimal("1.39"), 2), scenario=Scenario(load=Load(10_000_000))
    )
    assert cost_sentences(told) == [
        "$0.772 per million tokens when busy all day: 2 × $1.39/h (priced), 1,000 tokens/s (assumed).",
        "$6.67 per million at 10M a day: $2,029.40 a month for 1 replica used to 12 %.",
        "Four times in five it stays at $6.67 per million (10,000 draws).",
    ]
    # 30M a day at three times the mean is 1.04 replicas: a little faster and one would do
    tight = cost_report(
        goodput.assumed(1000), machine_price.given(Decimal("1.39")), scenario=Scenario(load=Load(30_000_000))
    )
    assert "between $1.11 and $3.34 per million" in cost_sentences(tight)[2]  # one or three times 1,014.70 / 912.5


@pytest.mark.parametrize("level_count", [1, 3])
def test_the_best_valid_level_speaks_when_none_met_the_slo(level_count):
    levels = [level(n, met=False, goodput_total_tok_s=float(n)) for n in range(1, level_count + 1)]
    assert headline(result(*levels)).startswith(f"At {level_count} user")
