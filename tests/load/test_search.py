"""The sweep and the search for the greatest load: on made-up servers whose limit is known, and on the mock."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.load.mock import Mock, spec, workload
from toolkit.load import find_max, sweep
from toolkit.load.run import run
from toolkit.load.slo import parse
from toolkit.load.spec import LoadLevel, SearchPlan
from toolkit.types import Level, Stat

RATE = SearchPlan(mode="find_max", by="rate", start=1, most=10_000)
USERS = SearchPlan(mode="find_max", by="concurrency", start=1, most=4096)
SWEEP = SearchPlan(mode="sweep", by="concurrency", start=1, most=512)
FAST = {"ttft_s": 0.05, "itl_s": 0.01}


def level(load: LoadLevel, *, holds: bool = True, tok_s: float = 100.0, e2e_s: float = 1.0, **changes: object) -> Level:
    stat = Stat(n=100, mean=e2e_s, p50=e2e_s, p90=e2e_s, p95=e2e_s, p99=e2e_s, min=e2e_s, max=e2e_s)
    fields = {
        "concurrency": load.concurrency,
        "rate": load.rate,
        "duration_s": 10,
        "requests": 100,
        "completed": 100,
        "failed": 0,
        **dict.fromkeys(("ttft_s", "itl_s", "tpot_s", "e2e_s"), stat),
        "output_tokens": 1000,
        "input_tokens": 1000,
        "output_tok_s": tok_s,
        "input_tok_s": tok_s,
        "total_tok_s": 2 * tok_s,
        "request_s": 10,
        "goodput_request_s": 10,
        "goodput_output_tok_s": tok_s,
        "goodput_total_tok_s": 2 * tok_s,
        "achieved_rate": 10,
        "slo_met": holds,
        "valid": True,
    }
    return Level(**{**fields, **changes})


def search(plan: SearchPlan, answer: Callable[[float], bool]) -> tuple[list[Level], str]:
    """All levels of a search on a server that answers so."""
    levels: list[Level] = []
    while not isinstance(load := find_max.step(plan, levels), str):
        levels.append(level(load, holds=answer(load.concurrency or load.rate or 0)))
        assert len(levels) <= find_max.MOST_LEVELS
    return levels, load


@pytest.mark.parametrize("limit", [0.07, 0.9, 3.3, 17.3, 470.0, 9000.0])
def test_a_rate_is_found_within_five_per_cent(limit: float) -> None:
    levels, ended = search(RATE, lambda rate: rate <= limit)
    found = find_max.finding(RATE, levels, ended)
    assert found.estimate == pytest.approx(limit, rel=0.03)
    low, high = found.interval or (None, None)
    assert low is not None
    assert high is not None
    assert low <= limit <= high <= 1.06 * low
    best = levels[found.best_level or 0]
    assert best.rate == pytest.approx(limit, rel=0.05)
    assert (best.rate or 0) <= limit
    assert len(levels) < 26


def test_answers_that_are_sometimes_wrong_are_outvoted() -> None:
    """One answer in twenty is wrong, more often than assumed: of 10 searches at most one may miss by over 5 %."""
    draw = random.Random(4)
    misses = 0
    for _ in range(10):
        limit = draw.uniform(5, 200)
        levels, ended = search(RATE, lambda rate, limit=limit: (rate <= limit) != (draw.random() < 0.05))
        estimate = find_max.finding(RATE, levels, ended).estimate
        misses += estimate is None or abs(estimate / limit - 1) > 0.05
    assert misses <= 1


@pytest.mark.parametrize("limit", [1, 2, 6, 7, 100, 1000])
def test_users_are_found_exactly_and_both_sides_repeated(limit: int) -> None:
    levels, ended = search(USERS, lambda users: users <= limit)
    found = find_max.finding(USERS, levels, ended)
    assert found.estimate == pytest.approx(limit, rel=0.03)
    if limit < 20:
        assert found.interval == (limit, limit)
    if 1 < limit < 20:  # below one user there is little to doubt
        tried = [lv.concurrency for lv in levels]
        assert tried.count(limit) >= 2
        assert tried.count(limit + 1) >= 2
        assert f"{limit} user" in found.statement
        assert "95% probability neither less nor more" in found.statement


def test_a_server_that_holds_everything_and_one_that_holds_nothing() -> None:
    most = SearchPlan(mode="find_max", by="rate", start=4, most=20)
    levels, ended = search(most, lambda _: True)
    assert [lv.rate for lv in levels] == [4, 8, 16, 20]
    found = find_max.finding(most, levels, ended)
    assert found.interval == (20, None)
    assert (found.estimate, found.best_level) == (None, 3)
    levels, ended = search(most, lambda _: False)
    assert levels[-1].rate == 4 / 64
    found = find_max.finding(most, levels, ended)
    assert (found.interval, found.best_level) == (None, None)
    assert "does not hold at 0.0625 requests/s" in found.statement


def test_the_load_generator_as_the_limit_ends_a_search_and_an_accident_is_repeated() -> None:
    busy = level(LoadLevel(rate=64), broken_rules=("client_busy",), valid=False)
    assert "the load generator was the limit at 64 requests/s" in find_max.step(RATE, [busy])
    gone = level(LoadLevel(rate=2), broken_rules=("restarted",), valid=False, why_invalid="the server restarted")
    assert find_max.step(RATE, [level(LoadLevel(rate=1)), gone]) == LoadLevel(rate=2)
    assert "the server restarted" in find_max.step(RATE, [gone, gone])


def test_latency_that_still_grows_does_not_hold() -> None:
    levels = [level(LoadLevel(rate=1)), level(LoadLevel(rate=2), broken_rules=("rising",), valid=False)]
    step = find_max.step(RATE, levels)
    assert isinstance(step, LoadLevel)
    assert 1 < (step.rate or 0) < 2


def test_levels_are_long_enough_for_the_percentile() -> None:
    """A p95 needs 20 requests, three times that is 60: at 1/s a minute, but five times the asked length at most."""
    slo = parse("ttft_p95<1s,itl_p50<1s")
    assert find_max.duration_s(LoadLevel(rate=1), 30, slo) == pytest.approx(60)
    assert find_max.duration_s(LoadLevel(rate=10), 30, slo) == 30
    assert find_max.duration_s(LoadLevel(rate=0.01), 30, slo) == 150
    assert find_max.duration_s(LoadLevel(concurrency=1), 30, slo) == 30


def test_posterior_by_hand() -> None:
    """Limits 1, 4, 16 and a yes at 2 far from each: likelihood 1/30, 29/30, 29/30, so 1/59 and twice 29/59."""
    assert find_max.posterior([1, 4, 16], [(2, True)], 0.01) == pytest.approx([1 / 59, 29 / 59, 29 / 59])


# --- sweep ---


def swept(places: int, slo_users: int = 10**6, plan: SearchPlan = SWEEP) -> tuple[list[Level], str]:
    """A server with so many places: throughput min(n, places), latency max(1, n/places) (Little's law)."""
    levels: list[Level] = []
    while not isinstance(load := sweep.step(plan, levels), str):
        n = load.concurrency or 0
        made = {"tok_s": 10.0 * min(n, places), "e2e_s": max(1.0, n / places)}
        levels.append(level(load, holds=n <= slo_users, **made))
        assert len(levels) < 20
    return levels, load


@pytest.mark.parametrize(("places", "knee"), [(6, 6), (8, 8), (64, 64), (45, 45), (1, 1)])
def test_a_sweep_doubles_to_the_knee_and_looks_closer(places: int, knee: int) -> None:
    levels, ended = swept(places)
    found = sweep.finding(SWEEP, levels, ended)
    assert found.knee_level is not None
    assert levels[found.knee_level].concurrency == knee
    assert f"The knee is at {knee} user" in found.statement
    assert "throughput changed by +0%" in ended


def test_loads_of_a_sweep() -> None:
    """1, 2, 4, 8 rise; 16 gives what 8 gave; then √(4·8) = 6, and next to the knee √(4·6) = 5 or √(8·16) = 11."""
    levels, _ = swept(6)
    assert [lv.concurrency for lv in levels] == [1, 2, 4, 8, 16, 6, 5]
    levels, _ = swept(8)
    assert [lv.concurrency for lv in levels] == [1, 2, 4, 8, 16, 6, 11]


def test_a_sweep_ends_where_the_service_level_breaks() -> None:
    levels, ended = swept(64, slo_users=8)
    assert ended == "the service level broke at 16 users"
    assert max(lv.concurrency or 0 for lv in levels) == 16
    best = sweep.finding(SWEEP, levels, ended).best_level
    assert best is not None
    assert levels[best].concurrency == 8


def test_a_sweep_ends_at_the_most_that_was_asked() -> None:
    plan = SearchPlan(mode="sweep", by="concurrency", start=2, most=10)
    levels, ended = swept(64, plan=plan)
    assert [lv.concurrency for lv in levels][:4] == [2, 4, 8, 10]
    assert ended == "10 users was the most to be tried"
    assert "was still rising" in sweep.finding(plan, levels, ended).statement


@pytest.mark.parametrize(
    "fields",
    [{"start": 0}, {"start": 2, "most": 1}, {"by": "concurrency", "start": 1.5}, {"by": "concurrency", "most": 5000},
     {"mode": "sweep"}],
)  # fmt: skip
def test_a_search_that_makes_no_sense(fields: dict) -> None:
    with pytest.raises(ValidationError):
        SearchPlan(**{"mode": "find_max", "by": "rate", "start": 1, "most": 100, **fields})


def test_a_search_for_the_greatest_load_needs_a_service_level() -> None:
    with pytest.raises(ValidationError, match="needs a service level"):
        spec("http://127.0.0.1:1", search=RATE, levels=())


# --- against the mock ---


def loads(levels: Sequence[Level]) -> list[float]:
    return [lv.concurrency or lv.rate or 0 for lv in levels]


@pytest.mark.slow
@pytest.mark.parametrize("slots", [4, 7])
def test_find_max_lands_within_five_per_cent_of_the_true_rate(mock: Mock, tmp_path: Path, slots: int) -> None:
    """A request holds a slot for 0.05 + 7 × 0.01 = 0.12 s: 4 slots serve 33.3 requests/s, 7 serve 58.3."""
    mock.set(**FAST, slots=slots)
    plan = SearchPlan(mode="find_max", by="rate", start=8, most=1000)
    result = run(spec(mock.url, search=plan, levels=(), slo="ttft_p95<200ms", duration_s=4.0, warmup_s=0.5), tmp_path)
    assert result.search is not None
    assert result.search.estimate == pytest.approx(slots / 0.12, rel=0.05), loads(result.levels)
    assert result.best_under_slo is not None
    assert result.best_under_slo.rate == pytest.approx(slots / 0.12, rel=0.05), loads(result.levels)
    assert result.best_under_slo.valid
    assert result.search.ended_because == "the limit is known closely enough"


@pytest.mark.slow
def test_find_max_counts_users(mock: Mock, tmp_path: Path) -> None:
    """Five slots of 0.12 s; the sixth user waits for one: TTFT p50 0.05 → about 0.07 s, p95 up to 0.17."""
    mock.set(**FAST, slots=5)
    plan = SearchPlan(mode="find_max", by="concurrency", start=1, most=64)
    result = run(spec(mock.url, search=plan, levels=(), slo="ttft_p95<60ms", duration_s=2.0), tmp_path)
    assert result.search is not None
    assert result.search.interval == (5, 5), loads(result.levels)
    assert result.best_under_slo is not None
    assert result.best_under_slo.concurrency == 5


@pytest.mark.slow
def test_a_sweep_finds_the_mocks_slots(mock: Mock, tmp_path: Path) -> None:
    mock.set(**FAST, slots=6)
    plan = SearchPlan(mode="sweep", by="concurrency", start=1, most=512)
    result = run(spec(mock.url, search=plan, levels=(), duration_s=1.5, workload=workload(64, 8)), tmp_path)
    assert result.search is not None
    assert result.levels[result.search.knee_level or 0].concurrency == 6, loads(result.levels)
    assert max(loads(result.levels)) == 16


def test_the_time_for_a_search_is_bounded_and_what_was_found_is_said(mock: Mock, tmp_path: Path) -> None:
    mock.set(ttft_s=0.01, itl_s=0.001)
    plan = SearchPlan(mode="find_max", by="concurrency", start=1, most=64, longest_s=0.5)
    result = run(spec(mock.url, search=plan, levels=(), slo="ttft_p50<1s", duration_s=0.3), tmp_path)
    assert loads(result.levels) == [1]
    assert result.search is not None
    assert "the time for the search, 0.5 s, was over" in result.search.ended_because
    assert result.search.interval == (1, None)
