"""Input and output cost apart: runs made from known seconds per token must give those seconds back."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.cost.split import Run, fit, shapes
from toolkit.errors import DeclinedError

D = Decimal


def run(a: str, b: str, share: str) -> Run:
    """A run that spends exactly all its time: per token share·a + (1 − share)·b seconds."""
    s = D(share)
    speed = 1 / (s * D(a) + (1 - s) * D(b))
    return Run(s * speed, (1 - s) * speed)


def test_known_costs_come_back():
    # 0.1 ms per input token, 2 ms per output token; $3.60/h is $0.001 per second:
    # a million input tokens take 100 s = $0.10, a million output tokens 2,000 s = $2.
    runs = [run("0.0001", "0.002", s) for s in ("0.1", "0.5", "0.8", "0.99")]
    split = fit(runs)
    assert float(split.s_per_input_token) == pytest.approx(0.0001)
    assert float(split.s_per_output_token) == pytest.approx(0.002)
    assert float(split.worst_residual) == pytest.approx(0, abs=1e-12)
    dollars = split.usd_per_mtok(D("3.60"))
    assert [float(d) for d in (dollars.input, dollars.output)] == pytest.approx([0.10, 2.00])
    assert dollars.cached is None  # nothing was said of a cache
    # At 75 % input: 0.75 × 0.1 ms + 0.25 × 2 ms = 0.575 ms per token = 1,739.13 tokens/s.
    assert float(split.goodput_tok_s(D("0.75"))) == pytest.approx(1739.13, abs=0.01)


def cached_run(a: str, c: str, b: str, share: str, held: str) -> Run:
    """A run whose input is held by the cache to that share, at c seconds a token."""
    s, h = D(share), D(held)
    speed = 1 / (s * ((1 - h) * D(a) + h * D(c)) + (1 - s) * D(b))
    return Run(s * speed, (1 - s) * speed, h)


MIXES = (("0.1", "0"), ("0.5", "0.2"), ("0.8", "0.8"), ("0.95", "0.5"), ("0.9", "0.1"))


def test_input_from_the_cache_has_a_cost_of_its_own():
    # 0.1 ms per new, 0.01 ms per cached input token, 2 ms per output token; $3.60/h is $0.001 per second.
    split = fit([cached_run("0.0001", "0.00001", "0.002", *mix) for mix in MIXES])
    assert [float(d) for d in split.usd_per_mtok(D("3.60"))] == pytest.approx([0.10, 2.00, 0.01])
    assert float(split.worst_residual) == pytest.approx(0, abs=1e-12)
    # At the runs' own mean h of cached input: half input, half output is 0.5 × ((1 − h) × 0.1 + h × 0.01) + 0.5 × 2 ms.
    h = float(split.cached_share)
    assert 0 < h < 1
    expected = 1000 / (0.5 * ((1 - h) * 0.1 + h * 0.01) + 0.5 * 2)
    assert float(split.goodput_tok_s(D("0.5"))) == pytest.approx(expected)


def test_a_cache_that_cannot_be_told_apart_is_input():
    alike = [cached_run("0.0001", "0.00001", "0.002", share, "0.3") for share, _ in MIXES]
    split = fit(alike)
    assert split.s_per_cached_token is None
    # all input at its mean: 0.7 × 0.1 + 0.3 × 0.01 = 0.073 ms
    assert float(split.s_per_input_token) == pytest.approx(0.000073)
    assert fit([cached_run("0.0001", "0.00001", "0.002", *mix) for mix in MIXES[:4]]).s_per_cached_token is None


@settings(max_examples=50, deadline=None)
@given(*[st.decimals("0.00001", most, places=5) for most in ("0.01", "0.01", "0.1")])
def test_any_three_costs_come_back(a, c, b):
    split = fit([cached_run(str(a), str(c), str(b), *mix) for mix in MIXES])
    found = (split.s_per_input_token, split.s_per_cached_token, split.s_per_output_token)
    assert [float(f) for f in found] == pytest.approx([float(a), float(c), float(b)], rel=1e-6)


def test_the_parts_add_up_to_the_whole():
    split = fit([run("0.0002", "0.003", s) for s in ("0.2", "0.4", "0.6", "0.9")])
    cost_in, cost_out, _ = split.usd_per_mtok(D("1.39"))
    share = D("0.7")
    whole = D("1.39") / 3600 / split.goodput_tok_s(share) * 1_000_000
    assert float(share * cost_in + (1 - share) * cost_out) == pytest.approx(float(whole))


def test_a_negative_cost_is_never_reported():
    # The more input, the faster beyond reason: least squares alone would make input tokens cost less than nothing.
    runs = [Run(D(i), D(o)) for i, o in ((10, 1000), (1000, 1100), (4000, 1200), (9000, 1300))]
    split = fit(runs)
    assert split.s_per_input_token == 0
    assert split.s_per_output_token > 0


def test_too_few_shapes_are_refused():
    same = [run("0.0001", "0.002", "0.75")] * 5
    assert shapes(same) == 1
    with pytest.raises(DeclinedError, match="cannot tell input from output"):
        fit(same)
    with pytest.raises(DeclinedError):
        fit([run("0.0001", "0.002", s) for s in ("0.1", "0.5", "0.9")])


@settings(max_examples=50, deadline=None)
@given(st.decimals("0.00001", "0.01", places=5), st.decimals("0.00001", "0.1", places=5))
def test_any_costs_come_back(a, b):
    split = fit([run(str(a), str(b), s) for s in ("0.05", "0.4", "0.7", "0.95")])
    assert float(split.s_per_input_token) == pytest.approx(float(a), rel=1e-6)
    assert float(split.s_per_output_token) == pytest.approx(float(b), rel=1e-6)
