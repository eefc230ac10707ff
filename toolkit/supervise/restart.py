"""When to start again after a crash: a pure policy. Every exit that nobody asked for is a crash, exit 0 too.

Full-jitter backoff, a crash window that opens a half-open schedule, and an end for a command that never became ready.
Times are of one monotonic clock, in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from toolkit.supervise.limits import Limits

NONSENSE_LIMIT = 2
"""Nonsense answers in a row that mean the model or the build is at fault, not the run."""
MAX_DOUBLINGS = 30


@dataclass(frozen=True)
class History:
    """What the policy remembers. ``streak`` counts crashes since the last healthy stretch."""

    crashes_s: tuple[float, ...] = ()
    streak: int = 0
    never_ready: int = 0
    half_open: int | None = None
    """Tries made in a crash loop; None outside one."""
    nonsense: int = 0


@dataclass(frozen=True)
class Decision:
    """What to do after a crash, how long to wait first, and why."""

    kind: Literal["again", "backoff", "crash_loop", "fatal"]
    delay_s: float
    why: str


@dataclass(frozen=True)
class Crash:
    """How a run of the engine ended unasked."""

    at_s: float
    was_ready: bool
    reason: str
    final: str | None = None
    """A sentence when no restart can mend it (bad arguments, a corrupt model, a lost GPU)."""
    nonsense: bool = False
    proven: bool = False
    """Whether the very same command has been ready before: then something around it has changed, and may again."""


def after_crash(history: History, crash: Crash, limits: Limits, jitter: float) -> tuple[History, Decision]:
    """The new history and what to do. ``jitter`` is uniform in [0, 1)."""
    history = _remember(history, crash, limits)
    if crash.final:
        return history, Decision("fatal", 0, crash.final)
    if history.nonsense >= NONSENSE_LIMIT:
        why = "it answers nonsense, also after a restart: the model file or this build is at fault"
        return history, Decision("fatal", 0, why)
    if history.never_ready >= limits.never_ready_limit and not crash.proven:
        why = f"{history.never_ready} starts in a row never became ready, the last one: {crash.reason}"
        return history, Decision("fatal", 0, why)
    if history.half_open is not None or len(history.crashes_s) >= limits.crash_limit:
        return _half_open(history, limits)
    if crash.nonsense:
        return history, Decision("again", 0, "one restart after a nonsense answer")
    ceiling = min(limits.backoff_cap_s, limits.backoff_base_s * 2 ** min(history.streak - 1, MAX_DOUBLINGS))
    return history, Decision("backoff", jitter * ceiling, f"crash {history.streak}")


def _remember(history: History, crash: Crash, limits: Limits) -> History:
    recent = tuple(t for t in history.crashes_s if crash.at_s - t < limits.crash_window_s)
    return replace(
        history,
        crashes_s=(*recent, crash.at_s)[-limits.crash_limit :],
        streak=history.streak + 1,
        never_ready=0 if crash.was_ready else history.never_ready + 1,
        nonsense=history.nonsense + 1 if crash.nonsense else 0,
    )


def _half_open(history: History, limits: Limits) -> tuple[History, Decision]:
    tries = 0 if history.half_open is None else history.half_open + 1
    delay = limits.half_open_s[min(tries, len(limits.half_open_s) - 1)]
    why = f"{history.streak} crashes; one try every so often until it holds"
    return replace(history, half_open=tries), Decision("crash_loop", delay, why)


def after_health(history: History, ready_for_s: float, successes: int, limits: Limits) -> History:
    """Forget the crashes after a long enough ready stretch that also served one real request."""
    if ready_for_s >= limits.healthy_reset_s and successes > 0:
        return History()
    return history
