"""Service levels: what is read, what is refused, what is met."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import InputError, UnknownNameError
from toolkit.load.slo import Bound, parse, percentile


def test_the_example_of_the_help() -> None:
    slo = parse(" ttft_p95<500ms, itl_p95<=50 ms ")
    assert slo.bounds == (Bound("ttft", 95, 0.5), Bound("itl", 95, 0.05))


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("e2e_p95<2s", Bound("e2e", 95, 2)),
        ("TPOT_P99.9<30ms", Bound("tpot", 99.9, 0.03)),
        ("ttfat_mean<1.5s", Bound("ttfat", "mean", 1.5)),
        ("itl_max<1min", Bound("itl", "max", 60)),
    ],
)
def test_other_spellings(text: str, bound: Bound) -> None:
    (got,) = parse(text).bounds
    assert (got.metric, got.quantile, got.limit_s) == (bound.metric, bound.quantile, pytest.approx(bound.limit_s))


@pytest.mark.parametrize(
    "text",
    ["", ",", "ttft<5s", "ttft_p95>5s", "ttft_p95<5", "ttft_p95<5parsec", "ttft_p0<5s", "ttft_p100<5s", "ttft_p95<0s",
     "ttft_p95<1.2.3s", "ttft_p9.5.1<1s", "ttft_p95<5s;itl_p95<1s"],
)  # fmt: skip
def test_what_is_no_service_level_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse(text)


def test_a_misspelt_metric_gets_a_suggestion() -> None:
    with pytest.raises(UnknownNameError) as caught:
        parse("tfft_p95<1s")
    assert "ttft" in caught.value.nearest


def test_nearest_rank_by_hand() -> None:
    """Of 15, 20, 35, 40, 50: p5 is the 1st, p30 the 2nd (rank ⌈1.5⌉), p40 the 2nd, p50 the 3rd, p100 the 5th."""
    values = [15, 20, 35, 40, 50]
    assert [percentile(values, p) for p in (5, 30, 40, 50, 100)] == [15, 20, 20, 35, 50]
    assert percentile(list(range(1, 101)), 99) == 99
    assert percentile(list(range(1, 1001)), 99.9) == 999


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=200), st.floats(0.001, 100))
def test_nearest_rank_is_the_least_value_that_covers_the_share(values: list[float], p: float) -> None:
    ordered = sorted(values)
    found = percentile(ordered, p)
    assert found in ordered
    assert sum(v <= found for v in ordered) / len(ordered) >= p / 100 - 1e-9
    assert sum(v < found for v in ordered) / len(ordered) < p / 100 + 1e-9


def values(**given: tuple[float, ...]) -> dict[str, tuple[float, ...]]:
    return {"ttft": (), "ttfat": (), "itl": (), "tpot": (), "e2e": (), **given}


def test_all_bounds_must_hold() -> None:
    slo = parse("ttft_p50<1s,itl_max<100ms")
    assert slo.met(values(ttft=(0.5, 0.9, 3.0), itl=(0.1,)))
    assert not slo.met(values(ttft=(0.5, 0.9, 3.0), itl=(0.1, 0.11)))
    assert not slo.met(values(ttft=(0.5, 1.1, 3.0), itl=()))


def test_a_request_answers_for_its_own_values() -> None:
    """Its own p95 gap: of 20 gaps the 19th, so one stall passes and two do not."""
    slo = parse("itl_p95<50ms")
    assert slo.met_by_request(values(itl=(0.01,) * 19 + (0.5,)))
    assert not slo.met_by_request(values(itl=(0.01,) * 18 + (0.5, 0.5)))


def test_a_request_that_never_answered_misses_a_bound_on_the_answer() -> None:
    assert not parse("ttfat_p95<9s").met_by_request(values(ttft=(0.1,)))
