"""The restart policy against the numbers of its specification."""

from __future__ import annotations

from toolkit.supervise.limits import Limits
from toolkit.supervise.restart import Crash, Decision, History, after_crash, after_health

LIMITS = Limits()


def crash(at_s: float, **kw: object) -> Crash:
    return Crash(**({"at_s": at_s, "was_ready": True, "reason": "signal:9"} | kw))  # type: ignore[arg-type]


def test_full_jitter_backoff_doubles_to_its_cap() -> None:
    history, ceilings = History(), []
    spread = LIMITS.model_copy(update={"crash_limit": 100})
    for n in range(9):
        history, decision = after_crash(history, crash(n), spread, jitter=1.0)
        ceilings.append(decision.delay_s)
    assert ceilings == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    _, decision = after_crash(History(), crash(0), LIMITS, jitter=0.25)
    assert decision == Decision("backoff", 0.25, "crash 1")


def play(crashes: int, ready_s: float) -> list[float]:
    """Start times of an engine that becomes ready and crashes ``ready_s`` later, every time."""
    now, history, starts = 0.0, History(), [0.0]
    for _ in range(crashes):
        now += ready_s
        history, decision = after_crash(history, crash(now), LIMITS, jitter=0.5)
        assert decision.kind in ("backoff", "crash_loop")
        now += decision.delay_s
        starts.append(now)
    return starts


def test_a_hundred_crashes_make_at_most_six_starts_in_any_ten_minutes() -> None:
    for ready_s in (0.1, 5, 60):
        starts = play(100, ready_s)
        for first in starts:
            assert len([s for s in starts if first <= s < first + 600]) <= 6


def test_the_half_open_schedule_is_5_10_20_then_every_30_minutes() -> None:
    history, kinds, delays = History(), [], []
    for n in range(10):
        history, decision = after_crash(history, crash(n), LIMITS, jitter=0)
        kinds.append(decision.kind)
        delays.append(decision.delay_s)
    assert kinds == ["backoff"] * 4 + ["crash_loop"] * 6
    assert delays[4:] == [300, 600, 1200, 1800, 1800, 1800]


def test_crashes_far_apart_are_no_loop() -> None:
    history = History()
    for n in range(50):
        history, decision = after_crash(history, crash(n * 200), LIMITS, jitter=0)
        assert decision.kind == "backoff"


def test_three_starts_never_ready_are_fatal_and_one_ready_between_is_not() -> None:
    history = History()
    for n, ready in enumerate((False, False, True, False, False)):
        history, decision = after_crash(history, crash(n, was_ready=ready), Limits(crash_limit=99), jitter=0)
        assert decision.kind == "backoff"
    _, decision = after_crash(history, crash(9, was_ready=False), Limits(crash_limit=99), jitter=0)
    assert decision.kind == "fatal"


def test_a_command_that_has_been_ready_before_is_tried_for_ever() -> None:
    """What was ready once is not at fault: memory taken by others, a disk that is away. Half-open, then."""
    history, kinds = History(), []
    for n in range(8):
        history, decision = after_crash(history, crash(n, was_ready=False, proven=True), LIMITS, jitter=0)
        kinds.append(decision.kind)
    assert kinds == ["backoff"] * 4 + ["crash_loop"] * 4


def test_what_no_restart_mends_is_fatal_at_once_with_its_sentence() -> None:
    _, decision = after_crash(History(), crash(0, final="the model file is not there"), LIMITS, jitter=0)
    assert decision == Decision("fatal", 0, "the model file is not there")


def test_nonsense_gets_one_restart() -> None:
    history, first = after_crash(History(), crash(0, nonsense=True, was_ready=False), LIMITS, jitter=0)
    _, second = after_crash(history, crash(9, nonsense=True, was_ready=False), LIMITS, jitter=0)
    assert (first.kind, second.kind) == ("again", "fatal")


def test_only_a_long_ready_stretch_with_a_success_clears_the_history() -> None:
    history, _ = after_crash(History(), crash(0), LIMITS, jitter=0)
    assert after_health(history, 599, 10, LIMITS) == history
    assert after_health(history, 601, 0, LIMITS) == history
    assert after_health(history, 601, 1, LIMITS) == History()
