"""The check of the load generator itself: its arithmetic by hand, and the whole of it against its server."""

from __future__ import annotations

import json

import pytest

from tests.cli.run import selfhost
from tests.load.made import row
from tests.load.test_search import level
from toolkit.load.self_check import Truth, compare, self_check
from toolkit.load.spec import LoadLevel


def test_errors_by_hand() -> None:
    """Two requests, sent at 0 and 1 s; the server has them 0.1 ms later, writes at +200.1 ms and +220.1 ms.

    The client sees the first token of the second request 4 ms late: TTFT errors +0.2 and +4.2 ms (the way there
    and back counts), the gap 20 ms for one and 16 for the other. Real tokens/s: 4 in 1.22 s.
    """
    rows = [row(0.0, (0.2002, 0.2202), reply_id="a"), row(1.0, (1.2042, 1.2202), reply_id="b")]
    truths = {
        "a": Truth(100_000, (200_100_000, 220_100_000)),
        "b": Truth(1_000_100_000, (1_200_100_000, 1_220_100_000)),
    }
    found = compare(level(LoadLevel(concurrency=2), tok_s=4 / 1.22 * 1.01, failed=0), rows, truths)
    assert found.ttft_mean_ms == pytest.approx((0.2 + 4.2) / 2)
    assert found.ttft_p99_ms == pytest.approx(4.2)
    assert found.itl_p99_ms == pytest.approx(0.0)  # the greatest gap is 20 ms in both
    assert found.throughput_share == pytest.approx(0.01, abs=1e-4)
    assert not found.within_bars
    exact = compare(level(LoadLevel(concurrency=1), tok_s=2 / 0.22), rows[:1], truths)
    assert exact.within_bars


def test_no_answer_and_failures_are_not_within_the_bars() -> None:
    assert not compare(level(LoadLevel(concurrency=1), failed=3), [], {}).within_bars
    truth = {"a": Truth(0, (200_000_000, 220_000_000))}
    rows = [row(0.0, (0.2, 0.22), reply_id="a")]
    assert compare(level(LoadLevel(concurrency=1), tok_s=2 / 0.22), rows, truth).within_bars
    assert not compare(level(LoadLevel(concurrency=1), tok_s=2 / 0.22, failed=1), rows, truth).within_bars


@pytest.mark.slow
def test_this_machine_measures_a_few_streams_truly() -> None:
    """The bar for the mean error of TTFT is 1 ms; the others depend on what else the machine does now."""
    found = self_check(streams=(8,))
    (load,) = found.loads
    assert (load.streams, load.failed) == (8, 0)
    assert load.requests >= 16
    assert abs(load.ttft_mean_ms or 9) < 1
    assert abs(load.throughput_share or 9) < 0.005


@pytest.mark.slow
def test_the_command_prints_errors_and_its_status_is_the_verdict() -> None:
    found = selfhost("bench", "--self-check", "--json")
    assert found.returncode in (0, 1)
    said = json.loads(found.stdout)
    assert said["kind"] == "self_check"
    assert [load["streams"] for load in said["loads"]] == [16, 64, 256]
    assert said["within_bars"] is (found.returncode == 0)
    assert said["within_bars"] is all(load["within_bars"] for load in said["loads"])


def test_without_a_check_there_must_be_a_target() -> None:
    done = selfhost("bench")
    assert done.returncode == 2
    assert "there is no target" in done.stderr
