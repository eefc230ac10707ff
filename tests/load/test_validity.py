"""The verdict: each rule strikes when it should, and only then."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.load.made import failed, row
from toolkit.load.metrics import Window, figures
from toolkit.load.rows import CUT, Row
from toolkit.load.slo import parse
from toolkit.load.spec import LoadLevel
from toolkit.load.validity import Evidence, Verdict, judge, rank_z

FOUR = LoadLevel(concurrency=4)


def steady(n: int = 120, first_s: float = 0.2, gap_s: float = 0.02, **changes: object) -> list[Row]:
    """Requests one after another, with a little jitter."""
    draw = random.Random(1)
    rows = []
    for i in range(n):
        first = i + first_s * draw.uniform(0.95, 1.05)
        rows.append(row(float(i), tuple(first + gap_s * k for k in range(8)), **changes))
    return rows


def verdict(
    rows: list[Row], load: LoadLevel = FOUR, slo: str | None = None, window: Window | None = None, asked: int = 100
) -> Verdict:
    window, level = window or Window(busy=0.1), parse(slo) if slo else None
    return judge(Evidence(rows, figures(rows, load, window, level), load, window, level, {0: asked}))


def test_a_good_level_is_valid_without_remarks() -> None:
    assert verdict(steady()) == Verdict(None, ())


@pytest.mark.parametrize(
    ("rows", "window", "words"),
    [
        ([failed(0, 1, "http_500")], None, "no request completed"),
        (steady(), Window(busy=0.95), "client-bound: a load process used 95% of a core"),
        (steady(stamps="user", lag_s=None), Window(busy=0.75), "client-bound"),
        (steady(lag_s=0.06), None, "client-bound: it read up to 60 ms late"),
        (steady(), Window(restarted=True), "server restarted"),
        (steady(asked_output_tokens=16), None, "output lengths not as asked: 8 tokens on average instead of 16"),
        (steady(19) + [row(19.0, (20.0,), error=CUT)] * 2, None, "2 of 21 requests were still running"),
    ],
)
def test_what_makes_a_level_invalid(rows: list[Row], window: Window | None, words: str) -> None:
    why = verdict(rows, window=window).why_invalid
    assert why is not None
    assert words in why


@pytest.mark.parametrize(
    ("rows", "window"),
    [
        (steady(), Window(busy=0.85)),
        (steady(stamps="user", lag_s=None), Window(busy=0.6)),
        (steady(lag_s=0.04), None),
        (steady(gap_s=0.1, lag_s=0.15), None),  # 150 ms late, but a token only every 100 ms: nothing runs together
    ],
)
def test_what_does_not(rows: list[Row], window: Window | None) -> None:
    assert verdict(rows, window=window).why_invalid is None


def test_a_rate_that_was_not_reached() -> None:
    late = [replace(r, sent_s=r.sent_s * 1.2, scheduled_s=r.scheduled_s) for r in steady(50)]
    why = verdict(late, LoadLevel(rate=1)).why_invalid
    # 49 s + 1 s of schedule took 58.8 s + 1 s: 0.836 of the rate
    assert why is not None
    assert "rate not reached: 0.836 of 1 requests/s" in why
    assert verdict(steady(), LoadLevel(rate=1)).why_invalid is None


def test_a_poisson_schedule_that_drew_few_arrivals_is_no_fault() -> None:
    draw, at, rows = random.Random(5), 0.0, []
    for _ in range(30):
        rows.append(row(at, tuple(at + 0.2 + 0.02 * k for k in range(8))))
        at += draw.expovariate(1)
    assert "rate" not in (verdict(rows, LoadLevel(rate=1)).why_invalid or "")


def test_too_few_for_a_p99_in_the_service_level() -> None:
    why = verdict(steady(99), slo="ttft_p99<1s").why_invalid
    assert why is not None
    assert "ttft_p99 of 99 values, 100 are needed" in why
    assert verdict(steady(100), slo="ttft_p99<1s").why_invalid is None
    few = verdict(steady(19), slo="ttft_p95<1s")
    assert few.why_invalid is None
    assert "ttft_p95 of 19 values, 20 are needed" in few.notes


def test_few_requests_are_a_remark() -> None:
    assert verdict(steady(12)).notes == ("p99 of 12 requests is their greatest",)


def test_a_load_that_had_not_settled() -> None:
    slow = [replace(r, level=0) for r in steady(60, first_s=0.2)]
    fast = [replace(r, sent_s=r.sent_s + 60, scheduled_s=r.scheduled_s + 60,
                    token_s=tuple(t + 59.9 for t in r.token_s)) for r in slow]  # fmt: skip
    why = verdict(slow + fast).why_invalid
    assert why is not None
    assert "not steady: time to first token changed by -50%" in why


def test_a_slow_first_round_among_many_is_no_drift() -> None:
    rows = steady(120)
    rows[:4] = [replace(r, token_s=tuple(t + 1 for t in r.token_s)) for r in rows[:4]]
    assert verdict(rows).why_invalid is None


def test_rank_sum_by_hand() -> None:
    """1 2 3 against 4 5 6: U = 9, mean 4.5, variance 3·3·7/12 = 5.25, z = 4.5/2.291 = 1.964. Ties give 0."""
    assert rank_z([1, 2, 3], [4, 5, 6]) == pytest.approx(1.964, abs=1e-3)
    assert rank_z([4, 5, 6], [1, 2, 3]) == pytest.approx(-1.964, abs=1e-3)
    assert rank_z([1, 1, 1], [1, 1, 1]) == 0


@pytest.mark.parametrize(
    ("rows", "window", "words"),
    [
        (steady(stamps="user", lag_s=None), None, "120 requests have our own time stamps"),
        (steady(output_tokens=16, asked_output_tokens=16), None, "2.00 tokens per event"),
        (steady(input_tokens=None, token_source="events"), None, "120 replies had no usable usage"),
        (steady(input_tokens=120), None, "prompts were 120 tokens long on average, 100 were asked"),
        (steady(), Window(clock_steps=1), "the wall clock was set"),
        (steady(), Window(unsent=3), "3 requests were due and never sent"),
        ([*steady(120), row(120.0, (120.5,), error=CUT)], None, "1 requests still running"),
    ],
)
def test_remarks(rows: list[Row], window: Window | None, words: str) -> None:
    found = verdict(rows, window=window)
    assert found.why_invalid is None
    assert any(words in note for note in found.notes), found.notes
