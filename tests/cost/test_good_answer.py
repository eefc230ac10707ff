"""Cost per good answer, by hand, and the source article's 84 % against 89 % at six times the cost."""

from decimal import Decimal

import pytest

from toolkit.cost import goodput, machine_price
from toolkit.cost.good_answer import (
    attempts,
    flip_failure_usd,
    good_share,
    read_quality,
    usd_per_request,
    with_good_answers,
)
from toolkit.cost.report import cost_report
from toolkit.errors import InputError, UnknownNameError

D = Decimal


def file(**own):
    return {"answers": [{"name": "self-hosted", "right": 0.84, **own}]}


def test_attempts_by_hand():
    assert attempts(D(1), 5) == 1
    # Half are valid, at most three tries: 1 + 0.5 + 0.25 = 1.75
    assert attempts(D("0.5"), 3) == D("1.75")


def test_a_request_by_hand():
    # c = $0.01, v = 0.9, two tries: E = 1.1, Pv = 0.99. q = 0.8, ab = 0.1, F = $1, A = $0.20, λ = $0.001/s × 2 s.
    # 0.01 × 1.1 + 0.99 × (0.1 × 1 + 0.1 × 0.2) + 0.01 × 1 + 0.002 = 0.011 + 0.1188 + 0.01 + 0.002 = 0.1418
    quality = read_quality(
        {
            "attempts": 2, "failure_usd": 1, "abstain_usd": 0.2, "usd_per_second": 0.001,
            "answers": [{"name": "self-hosted", "valid": 0.9, "right": 0.8, "abstains": 0.1, "latency_s": 2}],
        }
    )  # fmt: skip
    (own,) = quality.answers
    assert usd_per_request(D("0.01"), own, quality) == D("0.1418")
    assert good_share(own, quality) == D("0.792")  # 0.99 × 0.8


def test_the_articles_84_against_89_percent_at_six_times_the_cost():
    # Δc = 5 small requests, Δq = 0.05: they tie once a failure costs 100 small requests.
    assert flip_failure_usd((D(1), D("0.16")), (D(6), D("0.11"))) == 100
    assert flip_failure_usd((D(1), D("0.1")), (D(6), D("0.1"))) is None
    assert flip_failure_usd((D(1), D("0.1")), (D(6), D("0.2"))) is None  # dearer and worse: never


def test_in_a_report():
    # Busy all day: 3.60/h at 1,000 tokens/s is $1 per million; a request of 1,000 tokens is $0.001.
    report = cost_report(goodput.assumed(1000), machine_price.given(D("3.60")))
    (line,) = with_good_answers(report, read_quality(file()), 1000).good_answers
    assert line.usd_per_request == D("0.001")
    assert float(line.usd_per_good_answer) == pytest.approx(0.001 / 0.84)
    with pytest.raises(UnknownNameError, match="gpt-4o"):
        with_good_answers(report, read_quality({"answers": [{"name": "gpt-4o", "right": 0.9}]}), 1000)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({}, "answers"),
        (file(right=0), "greater than 0"),
        (file(right=1.2), "less than or equal to 1"),
        (file(right=float("nan")), "right"),
        (file(abstains=0.5), "together at most 1"),
        (file(rigth=0.5), "rigth"),
        ({**file(), "tries": 2}, "tries"),
        ({**file(), "attempts": 0}, "attempts"),
        ({**file(), "failure_usd": -1}, "failure_usd"),
    ],
)
def test_a_quality_file_that_makes_no_sense(content, says):
    with pytest.raises(InputError, match=says):
        read_quality(content)
