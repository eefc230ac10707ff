"""What the plots show, against hand-made rows."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report.made import rows_of
from toolkit.report.series import ecdf, spans, timeline, waits

ONE = rows_of((1,), seconds=1)[0]


def row(sent, tokens, end, **changes):
    return replace(
        ONE,
        scheduled_s=sent,
        sent_s=sent,
        token_s=tuple(tokens),
        first_token_s=tokens[0] if tokens else None,
        first_answer_s=tokens[0] if tokens else None,
        end_s=end,
        output_tokens=len(tokens),
        warmup=False,
        **changes,
    )


def test_waits_are_flat_and_leave_out_failures_and_warm_up():
    rows = [
        row(0, [1.0, 1.5, 3.0], 3),
        row(0, [2.0], 2),
        row(0, [9.0, 9.9], 9.9, error="stream_error"),
        replace(row(0, [5.0], 5), warmup=True),
        row(0, [7.0], 7, level=1),
    ]
    assert waits(rows, 0, "ttft") == [1.0, 2.0]
    assert waits(rows, 0, "itl") == [0.5, 1.5]
    assert waits(rows, 1, "ttft") == [7.0]


def test_a_small_distribution_is_exact():
    assert ecdf([3, 1, 2, 2]) == [(1, 0.25), (2, 0.5), (2, 0.75), (3, 1.0)]
    assert ecdf([]) == []


@given(st.lists(st.floats(0, 100), min_size=1, max_size=2000))
def test_a_thinned_distribution_keeps_its_ends_and_stays_true(values):
    points = ecdf(values, most=50)
    assert len(points) <= 50
    assert points[-1] == (max(values), 1.0)
    assert points[0][0] == min(values)
    for value, share in points[:: max(1, len(points) // 5)]:
        at_most = sum(v <= value for v in values) / len(values)
        below = sum(v < value for v in values) / len(values)
        assert below < share <= at_most + 1e-9


def test_a_timeline_by_hand():
    # Two requests: 0–1 s with tokens at 0.5 and 0.9, and 0.5–2 s with one at 1.9; the third fails at 1.2 s.
    rows = [row(0, [0.5, 0.9], 1.0), row(0.5, [1.9], 2.0), row(1.0, [], 1.2, error="http_500")]
    line = timeline(rows, most=4)
    assert (line.start_s, line.bin_s) == (0, 0.5)
    assert line.tok_s == (0.0, 4.0, 0.0, 2.0)  # tokens per half second, times two
    assert line.in_flight == pytest.approx((1.0, 2.0, 1.4, 1.0))
    assert line.failures == (0, 0, 1, 0)


def test_tokens_of_events_that_carry_several_are_all_counted():
    line = timeline([replace(row(0, [0.1, 0.2], 0.25), output_tokens=10)])
    assert sum(line.tok_s) * line.bin_s == pytest.approx(10)


def test_a_request_cut_by_us_is_no_failure():
    assert timeline([row(0, [0.1], 0.5, error="cut")]).failures == (0, 0)


def test_every_token_of_a_run_is_in_its_timeline():
    rows = rows_of((1, 4), seconds=4)
    line = timeline(rows)
    assert sum(line.tok_s) * line.bin_s == pytest.approx(sum(r.output_tokens for r in rows))
    busy = sum(r.end_s - r.sent_s for r in rows)
    assert sum(line.in_flight) * line.bin_s == pytest.approx(busy)
    assert len(line.tok_s) <= 241


def test_spans_and_nothing():
    assert timeline([]) is None
    assert spans([]) == []
    found = spans(rows_of((1, 2), seconds=4))
    assert [s.level for s in found] == [0, 1]
    assert all(s.start_s < s.measured_s < s.end_s for s in found)
    assert found[0].end_s < found[1].start_s
