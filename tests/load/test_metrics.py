"""Figures of a level, worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.load.made import failed, row
from toolkit.load.metrics import Window, figures, on_schedule, stat, tpot
from toolkit.load.rows import CUT, Row
from toolkit.load.slo import Slo, parse
from toolkit.load.spec import LoadLevel

TWO = LoadLevel(concurrency=2)
PER_SECOND = LoadLevel(rate=10)


def level(rows: list[Row], load: LoadLevel = TWO, slo: Slo | None = None, window: Window = Window()) -> dict:  # noqa: B008  # frozen
    return figures(rows, load, window, slo)


# Two users. A: sent 0, tokens 1.0 1.1 1.3. B: sent 0.5, tokens 1.0 1.5 2.0 and ends at 2.5.
A = row(0.0, (1.0, 1.1, 1.3))
B = row(0.5, (1.0, 1.5, 2.0), end_s=2.5, input_tokens=50, first_answer_s=1.5)


def test_two_requests_by_hand() -> None:
    found = level([A, B])
    assert found["duration_s"] == 2.5
    assert (found["requests"], found["completed"], found["failed"]) == (2, 2, 0)
    assert (found["ttft_s"].mean, found["ttft_s"].min, found["ttft_s"].max) == (0.75, 0.5, 1.0)
    assert (found["ttfat_s"].min, found["ttfat_s"].max) == (1.0, 1.0)
    assert found["e2e_s"].mean == pytest.approx((1.3 + 1.5) / 2)
    # gaps 0.1, 0.2, 0.5, 0.5 in one flat list; nearest rank: p50 the 2nd, p90…p99 the 4th
    assert found["itl_s"].n == 4
    assert found["itl_s"].p50 == pytest.approx(0.2)
    assert found["itl_s"].p95 == pytest.approx(0.5)
    # TPOT: A 0.3/2 = 0.15, B 1.0/2 = 0.5; each user's speed 1/0.15 = 6.67 and 1/0.5 = 2, of which nearest-rank p50 is 2
    assert (found["tpot_s"].min, found["tpot_s"].max) == (pytest.approx(0.15), pytest.approx(0.5))
    assert found["decode_tok_s_per_user"] == pytest.approx(2)
    assert (found["output_tokens"], found["input_tokens"]) == (6, 150)
    assert found["output_tok_s"] == pytest.approx(6 / 2.5)
    assert found["total_tok_s"] == pytest.approx(156 / 2.5)
    assert found["request_s"] == found["achieved_rate"] == pytest.approx(2 / 2.5)
    assert found["goodput_total_tok_s"] == found["total_tok_s"]
    assert found["slo_met"] is None


def test_failures_stand_beside_the_latencies_and_stretch_the_window() -> None:
    found = level([A, B, failed(0.0, 5.0, "timeout_stall"), failed(1.0, 1.1, "http_500"), failed(2, 2.1, "http_500")])
    assert (found["requests"], found["completed"], found["failed"]) == (5, 2, 3)
    assert found["errors"] == {"http_500": 2, "timeout_stall": 1}
    assert found["ttft_s"].n == 2
    assert found["output_tok_s"] == pytest.approx(6 / 5.0)
    assert level([failed(0, 1, "http_500")], slo=parse("ttft_p50<9s"))["slo_met"] is False


def test_warm_up_and_cut_requests_count_nowhere() -> None:
    others = [row(0.0, (9.0, 9.9), warmup=True), row(0.0, (0.1,), error=CUT, end_s=30.0)]
    assert level([A, B, *others])["ttft_s"] == level([A, B])["ttft_s"]
    assert level([A, B, *others])["duration_s"] == 2.5
    assert level([A, B, *others])["errors"] == {}


def test_goodput_counts_requests_that_kept_every_bound() -> None:
    found = level([A, B], slo=parse("ttft_p95<600ms,itl_max<600ms"))
    assert found["goodput_request_s"] == pytest.approx(1 / 2.5)  # B: TTFT 0.5; A waited 1.0
    assert found["goodput_output_tok_s"] == pytest.approx(3 / 2.5)
    assert found["goodput_total_tok_s"] == pytest.approx(53 / 2.5)
    assert found["slo_met"] is False  # p95 of the level is 1.0
    assert level([A, B], slo=parse("ttft_p50<600ms"))["slo_met"] is True


def test_one_stall_is_not_hidden_by_averages() -> None:
    """Nine requests of 11 tokens every 20 ms, one with a 520 ms stall: 100 gaps, of which the greatest is 0.52 s.

    The mean gap of the stalled request would be (9 × 0.02 + 0.52)/10 = 0.07 s.
    """
    even = tuple(0.2 + 0.02 * i for i in range(11))
    stalled = even[:5] + tuple(t + 0.5 for t in even[5:])
    found = level([row(0.0, even) for _ in range(9)] + [row(0.0, stalled)])
    assert found["itl_s"].n == 100
    assert found["itl_s"].max == pytest.approx(0.52)
    assert found["itl_s"].p99 == pytest.approx(0.02)
    assert found["tpot_s"].max == pytest.approx(0.07)


def test_several_tokens_an_event() -> None:
    """Usage says 9 tokens in 3 events: gaps are between events, the pace is per token: 0.3 s/8."""
    assert tpot(row(0.0, (1.0, 1.1, 1.3), output_tokens=9)) == pytest.approx(0.3 / 8)
    assert tpot(row(0.0, (1.0,), output_tokens=9)) is None
    assert tpot(row(0.0, (1.0,))) is None


def test_open_loop_counts_from_the_schedule() -> None:
    """Ten due every 0.1 s to a server that takes 0.3 s each, one at a time: the last waits 9 × 0.2 s."""
    rows = [
        row(0.1 * i, (0.3 * i + 0.2, 0.3 * i + 0.3), scheduled_s=0.1 * i, sent_s=0.3 * i, end_s=0.3 * i + 0.3)
        for i in range(10)
    ]
    found = level(rows, PER_SECOND)
    assert found["queue_delay_s"].max == pytest.approx(1.8)
    assert found["ttft_s"].max == pytest.approx(2.0)
    assert found["service_ttft_s"].max == pytest.approx(0.2)
    assert found["e2e_s"].max == pytest.approx(2.1)
    # 10 sent over 2.7 s plus one spacing of 0.1
    assert found["achieved_rate"] == pytest.approx(10 / 2.8)
    # scheduled over 0.9 + 0.1, sent over 2.7 + 0.1; two more never left
    assert on_schedule(rows, 10, 0) == pytest.approx(1.0 / 2.8)
    assert on_schedule(rows, 10, 2) == pytest.approx(1.0 / 2.8 * 10 / 12)


def test_on_time_arrivals_reach_their_rate() -> None:
    rows = [row(0.1 * i, (0.1 * i + 0.2,)) for i in range(10)]
    assert level(rows, PER_SECOND)["achieved_rate"] == pytest.approx(10)
    assert on_schedule(rows, 10, 0) == pytest.approx(1)


def test_the_steady_window_is_while_all_users_are_busy() -> None:
    """A runs 0…1.3, B 0.5…2.5: both fly from 0.5 to 1.3. In it: 1.0, 1.1, 1.3 of A and 1.0 of B."""
    found = level([A, B])
    assert found["steady_s"] == pytest.approx(0.8)
    assert found["steady_output_tok_s"] == pytest.approx(4 / 0.8)


def test_back_to_back_requests_keep_the_window_open() -> None:
    rows = [row(0.0, (0.5, 1.0)), row(1.001, (1.5, 2.0)), row(0.0, (1.0, 2.5)), row(2.0005, (2.2, 3.0))]
    assert level(rows)["steady_s"] == pytest.approx(2.5)


def test_nothing_at_all() -> None:
    found = level([])
    assert (found["requests"], found["output_tok_s"], found["ttft_s"], found["steady_s"]) == (0, 0, None, None)


def test_clients_facts_are_carried_through() -> None:
    found = level([A, B], window=Window(busy=0.25))
    assert found["client_busy"] == 0.25
    assert found["client_lag_s"].max == 0.0001
    assert found["token_source"] == {"usage": 2}


@given(st.lists(st.floats(0, 1e3, allow_nan=False), min_size=1, max_size=300))
def test_percentiles_are_ordered_values_of_the_list(values: list[float]) -> None:
    found = stat(values)
    assert found is not None
    inside = [found.min, found.p50, found.p90, found.p95, found.p99, found.max]
    assert inside == sorted(inside)
    assert set(inside) <= set(values)
    assert found.min - 1e-9 <= found.mean <= found.max + 1e-9
