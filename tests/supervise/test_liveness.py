"""The liveness rule, tick by tick, with the default limits: what kills an engine and what must not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.supervise import liveness
from toolkit.supervise.limits import Limits
from toolkit.supervise.liveness import LoadMark, LoadMemory, Pulse, judge, judge_load

LIMITS = Limits()
TICK = 5.0


class Clock:
    """Plays pulses at one tick each; keeps every verdict with its time."""

    def __init__(self, limits: Limits = LIMITS, dead_503: bool = False) -> None:
        self.limits, self.dead_503 = limits, dead_503
        self.now = 0.0
        self.memory = liveness.begin(0.0)
        self.verdicts: list[str] = []

    def play(self, seconds: float, pulse: Pulse, *, moving: bool = False) -> list[str]:
        seen = []
        for _ in range(round(seconds / TICK)):
            self.now += TICK
            counters = (self.now,) if moving else pulse.counters
            pulse = replace(pulse, now_s=self.now, counters=counters)
            self.memory, verdict = judge(self.memory, pulse, self.limits, unhealthy_means_dead=self.dead_503)
            seen.append(verdict)
        self.verdicts += seen
        return seen


BUSY = Pulse(now_s=0, in_flight=1, counters=(1.0,), health=200)
IDLE = Pulse(now_s=0, counters=(1.0,), health=200)


def test_busy_without_progress_is_suspect_after_120_s_and_hung_30_s_later() -> None:
    clock = Clock()
    seen = clock.play(200, BUSY)
    # The first busy tick starts the window, so tick n is 5·(n−1) s into it: 120 s at n = 25, +30 s at n = 31.
    assert seen.index("suspect") == 24
    assert seen.index("hung") == 30


def test_a_stream_of_bytes_alone_is_progress() -> None:
    clock = Clock()
    for n in range(100):
        assert clock.play(TICK, replace(BUSY, counters=None, streamed_bytes=n)) == ["healthy"]


def test_busy_and_moving_is_healthy_whatever_health_says() -> None:
    for health in (None, 500, 503):
        assert set(Clock().play(600, replace(BUSY, health=health), moving=True)) == {"healthy"}


def test_a_pause_just_below_the_window_never_kills_200_times() -> None:
    clock = Clock()
    for n in range(200):
        clock.play(105, replace(BUSY, counters=(float(n),), health=None))
        clock.play(TICK, replace(BUSY, counters=(n + 0.5,)))
    assert set(clock.verdicts) == {"healthy"}


def test_the_window_grows_to_four_times_the_slowest_pause_and_no_further() -> None:
    clock = Clock()
    clock.play(TICK, BUSY)
    clock.play(100, BUSY)
    clock.play(TICK, replace(BUSY, counters=(2.0,)))
    assert liveness.stall_limit_s(clock.memory, LIMITS) == 4 * 100
    slow = replace(clock.memory, slowest_gap_s=10_000)
    assert liveness.stall_limit_s(slow, LIMITS) == 1800


def test_clients_that_give_up_and_retry_do_not_hide_a_hang() -> None:
    clock = Clock()
    while "hung" not in clock.verdicts and clock.now < 1000:
        clock.play(30, BUSY)
        clock.play(TICK, IDLE)
    assert "hung" in clock.verdicts


def test_idle_is_probed_after_60_s_and_hung_after_three_failures() -> None:
    clock = Clock()
    seen = clock.play(60, IDLE)
    assert seen == ["idle"] * 11 + ["probe"]
    assert clock.play(TICK, replace(IDLE, probe="failed")) == ["probe"]
    assert clock.play(TICK, replace(IDLE, probe="failed")) == ["probe"]
    assert clock.play(TICK, replace(IDLE, probe="failed")) == ["hung"]


def test_an_answered_probe_clears_the_failures() -> None:
    clock = Clock()
    clock.play(60, IDLE)
    clock.play(TICK, replace(IDLE, probe="failed"))
    clock.play(TICK, replace(IDLE, probe="failed"))
    assert clock.play(TICK, replace(IDLE, probe="answered")) == ["idle"]
    assert clock.memory.probe_failures == 0


def test_what_a_probe_itself_moves_does_not_clear_its_failures() -> None:
    """An engine that reads the prompt, counts it, and never generates."""
    clock = Clock()
    clock.play(60, IDLE)
    for n in range(2):
        asked = replace(IDLE, counters=(2.0 + n,), queued_in_engine=1.0, probing=True)
        assert clock.play(TICK, asked) == ["probe"]
        failed = replace(IDLE, counters=(2.0 + n,), probe="failed", probing=True)
        assert clock.play(TICK, failed) == ["probe"]
    assert clock.play(TICK, replace(IDLE, counters=(3.0,), probe="failed", probing=True)) == ["hung"]


def test_503_is_death_for_vllm_and_evidence_for_others() -> None:
    assert Clock(dead_503=True).play(TICK, replace(IDLE, health=503)) == ["dead"]
    assert Clock().play(TICK, replace(IDLE, health=503)) == ["idle"]


def test_a_gone_process_comes_first() -> None:
    assert Clock(dead_503=True).play(TICK, replace(BUSY, alive=False, health=503)) == ["gone"]


def test_a_tick_three_times_late_voids_the_windows() -> None:
    clock = Clock()
    clock.play(115, BUSY)
    clock.now += 600
    assert clock.play(TICK, replace(BUSY, late_s=600)) == ["healthy"]
    assert clock.play(100, BUSY) == ["healthy"] * 20
    idle = Clock()
    idle.play(55, IDLE)
    idle.now += 600
    assert idle.play(TICK, replace(IDLE, late_s=600)) == ["idle"]
    assert idle.play(55, IDLE) == ["idle"] * 11


def test_slow_questions_are_no_suspend() -> None:
    """A stopped engine makes every look take the health limit: the windows go on."""
    clock = Clock()
    while "hung" not in clock.verdicts and clock.now < 1000:
        clock.now += 15
        clock.play(TICK, replace(BUSY, counters=None, health=None))
    assert 150 <= clock.now <= 190


def test_an_engine_without_counters_is_judged_by_its_gauges_too() -> None:
    seen = Clock().play(200, replace(IDLE, counters=None, queued_in_engine=1.0))
    assert "hung" in seen


def test_a_cpu_gets_a_longer_window_unless_the_user_set_one() -> None:
    assert Limits().on_cpu().stall_min_s == 900
    assert Limits(stall_min_s=60).on_cpu().stall_min_s == 60


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=80))
def test_nothing_is_hung_without_a_full_window_of_busy_silence(ticks: list[tuple[bool, bool]]) -> None:
    """Whatever the pattern of busy and moving ticks: no kill before 120 + 30 busy seconds without progress."""
    clock, silent, count = Clock(), 0.0, 1.0
    for busy, moving in ticks:
        count += moving
        verdict = clock.play(TICK, replace(BUSY if busy else IDLE, counters=(count,)))[0]
        silent = 0.0 if moving else silent + TICK
        assert verdict != "hung" or silent > 150 - TICK


# --- loading -------------------------------------------------------------------------------------------------


def load(marks: list[LoadMark], step_s: float = 10.0) -> list[str]:
    memory, seen = LoadMemory(begun_s=0, progress_s=0), []
    for n, mark in enumerate(marks, 1):
        memory, verdict = judge_load(memory, mark, n * step_s, 0, LIMITS)
        seen.append(verdict)
    return seen


def test_a_silent_load_is_stalled_after_300_s() -> None:
    assert load([LoadMark()] * 30) == ["wait"] * 29 + ["stalled"]


@pytest.mark.parametrize("field", ["log_bytes", "read_bytes", "memory_bytes"])
def test_any_growth_resets_the_window_up_to_the_cap(field: str) -> None:
    marks = [LoadMark(**{field: n * 2**20}) for n in range(1, 721)]
    assert load(marks) == ["wait"] * 719 + ["too_long"]


def test_our_own_polling_is_no_progress() -> None:
    marks = [LoadMark(read_bytes=n * 200, memory_bytes=n * 4096) for n in range(31)]
    assert load(marks)[29] == "stalled"


def test_a_suspend_does_not_stall_a_load() -> None:
    memory = LoadMemory(begun_s=0, progress_s=0)
    memory, verdict = judge_load(memory, LoadMark(), 600, 590, LIMITS)
    assert verdict == "wait"
