"""Is a loaded engine alive, and does a loading one get on? Pure rules on progress, not on `/health`.

Times are of one monotonic clock. A busy engine is judged by its counters and the bytes it sends; an idle one by
asking it for a token. ``/health`` alone never condemns an engine, except where its 503 is final.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from toolkit.supervise.limits import Limits

SUSPENDED_FACTOR = 3
"""A tick this many times late means that the machine slept: windows then running prove nothing."""
GAP_FACTOR = 4
"""The stall window is at least this many times the slowest pause that ended well."""
HEALTH_DEAD = 503
GROWTH_BYTES = 2**20
"""Growth of memory or of bytes read that counts as load progress: above noise and our own polling."""

Verdict = Literal["gone", "dead", "healthy", "suspect", "hung", "probe", "idle"]


@dataclass(frozen=True)
class Pulse:
    """What was seen at one tick. ``now_s`` is of a monotonic clock."""

    now_s: float
    late_s: float = 0
    """How much later than planned we looked: waits and questions beyond their own limits."""
    alive: bool = True
    in_flight: int = 0
    queued_in_engine: float | None = None
    """Sum of the engine's running and waiting gauges; None when they could not be read."""
    counters: tuple[float, ...] | None = None
    """The engine's progress counters; None when they could not be read."""
    streamed_bytes: int = 0
    """All bytes the engine has sent through the proxy."""
    health: int | None = None
    """HTTP status of the health path; None when it did not answer in time."""
    probe: Literal["answered", "failed"] | None = None
    """How a token probe ended since the last tick."""
    probing: bool = False
    """A token probe of ours was at the engine since the last tick: what it moves there proves nothing."""


@dataclass(frozen=True)
class Memory:
    """What the rule remembers between ticks."""

    tick_s: float
    idle_since_s: float | None
    """Since when nothing has been asked of it; None while it is busy."""
    stalled_s: float = 0
    """Busy seconds since the last progress. Idle moments between do not clear it: clients give up and retry."""
    slowest_gap_s: float = 0
    probe_failures: int = 0
    counters: tuple[float, ...] | None = None
    streamed_bytes: int = 0


def begin(now_s: float, streamed_bytes: int = 0) -> Memory:
    """Memory of an engine that has just become ready."""
    return Memory(tick_s=now_s, idle_since_s=now_s, streamed_bytes=streamed_bytes)


def stall_limit_s(memory: Memory, limits: Limits) -> float:
    """Busy seconds without progress after which the engine is suspected."""
    return min(max(limits.stall_min_s, GAP_FACTOR * memory.slowest_gap_s), limits.stall_max_s)


def judge(memory: Memory, pulse: Pulse, limits: Limits, *, unhealthy_means_dead: bool) -> tuple[Memory, Verdict]:
    """One tick: the new memory and the verdict, the rules applied from the top."""
    if not pulse.alive:
        return memory, "gone"
    if pulse.health == HEALTH_DEAD and unhealthy_means_dead:
        return memory, "dead"
    since_tick_s = pulse.now_s - memory.tick_s
    if pulse.late_s > SUSPENDED_FACTOR * limits.tick_s:
        memory = _afresh(memory, pulse.now_s)
        since_tick_s = 0
    if _moved(memory, pulse):
        memory = _progressed(memory, pulse.now_s)
    memory = replace(
        memory,
        tick_s=pulse.now_s,
        counters=memory.counters if pulse.counters is None else pulse.counters,
        streamed_bytes=pulse.streamed_bytes,
    )
    if pulse.in_flight > 0 or (pulse.queued_in_engine or 0) > pulse.probing:
        return _busy(memory, pulse.now_s, since_tick_s, limits)
    return _idle(memory, pulse, limits)


def _afresh(memory: Memory, now_s: float) -> Memory:
    """After a suspend every running window starts anew."""
    idle = None if memory.idle_since_s is None else now_s
    return replace(memory, idle_since_s=idle, stalled_s=0, probe_failures=0)


def _moved(memory: Memory, pulse: Pulse) -> bool:
    """Whether work got on: bytes through the proxy, an answered probe, or counters that not just a probe moved."""
    changed = pulse.counters is not None and memory.counters is not None and pulse.counters != memory.counters
    by_work = changed and (pulse.in_flight > 0 or not pulse.probing)
    return by_work or pulse.streamed_bytes != memory.streamed_bytes or pulse.probe == "answered"


def _progressed(memory: Memory, now_s: float) -> Memory:
    idle = None if memory.idle_since_s is None else now_s
    return replace(
        memory,
        idle_since_s=idle,
        stalled_s=0,
        probe_failures=0,
        slowest_gap_s=max(memory.slowest_gap_s, memory.stalled_s),
    )


def _busy(memory: Memory, now_s: float, since_tick_s: float, limits: Limits) -> tuple[Memory, Verdict]:
    just_begun = memory.idle_since_s is not None
    stalled_s = memory.stalled_s + (0 if just_begun else since_tick_s)
    memory = replace(memory, idle_since_s=None, stalled_s=stalled_s)
    limit_s = stall_limit_s(memory, limits)
    if stalled_s < limit_s:
        return memory, "healthy"
    return memory, "hung" if stalled_s >= limit_s + limits.suspect_grace_s else "suspect"


def _idle(memory: Memory, pulse: Pulse, limits: Limits) -> tuple[Memory, Verdict]:
    failures = memory.probe_failures + (pulse.probe == "failed")
    idle_since_s = pulse.now_s if memory.idle_since_s is None else memory.idle_since_s
    memory = replace(memory, idle_since_s=idle_since_s, probe_failures=failures)
    if failures >= limits.probe_failures:
        return memory, "hung"
    due = failures > 0 or pulse.now_s - idle_since_s >= limits.idle_probe_after_s
    return memory, "probe" if due else "idle"


# --- loading ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LoadMark:
    """How far a load has come: any growth is progress. Bytes."""

    log_bytes: int = 0
    read_bytes: int = 0
    memory_bytes: int = 0


@dataclass(frozen=True)
class LoadMemory:
    """When the load began, when it last got on, and the furthest mark."""

    begun_s: float
    progress_s: float
    best: LoadMark = LoadMark()


def judge_load(
    memory: LoadMemory, mark: LoadMark, now_s: float, late_s: float, limits: Limits
) -> tuple[LoadMemory, Literal["wait", "stalled", "too_long"]]:
    """One look at a load. ``late_s`` is how much later than planned this look came (a suspend voids it)."""
    best = memory.best
    grew = (
        mark.log_bytes > best.log_bytes
        or mark.read_bytes >= best.read_bytes + GROWTH_BYTES
        or mark.memory_bytes >= best.memory_bytes + GROWTH_BYTES
    )
    if grew:
        furthest = LoadMark(
            max(mark.log_bytes, best.log_bytes),
            max(mark.read_bytes, best.read_bytes),
            max(mark.memory_bytes, best.memory_bytes),
        )
        memory = replace(memory, progress_s=now_s, best=furthest)
    elif late_s > SUSPENDED_FACTOR * limits.tick_s:
        memory = replace(memory, progress_s=now_s, begun_s=memory.begun_s + late_s)
    if now_s - memory.begun_s >= limits.load_cap_s:
        return memory, "too_long"
    return memory, "stalled" if now_s - memory.progress_s >= limits.load_stall_s else "wait"
