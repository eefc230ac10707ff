"""Fault 17: it becomes ready and crashes, over and over: few starts, little CPU, and it recovers by itself."""

from __future__ import annotations

import time

import psutil

from tests.supervise.harness import QUICK, World, until, until_state

WINDOW_S = 12.0
SCALED = {
    "crash_limit": 5,
    "crash_window_s": WINDOW_S,
    "backoff_base_s": 0.02,
    "backoff_cap_s": 1.2,
    "half_open_s": (6.0, 12.0, 24.0, 36.0),
}
"""The default window of 600 s and its half-open waits, divided by 50."""


def test_a_crash_loop_is_tamed(world: World, repeat: int) -> None:
    world.faults(exit_after_s=1.0)
    server = world.start(limits=QUICK.model_copy(update=SCALED))
    until_state("crash_loop", limit_s=20)
    supervisor = psutil.Process(server.supervisor_pid)
    before, begun = sum(supervisor.cpu_times()[:2]), time.monotonic()
    time.sleep(3)
    busy = (sum(supervisor.cpu_times()[:2]) - before) / (time.monotonic() - begun)
    assert busy < 0.01
    world.faults()
    until(lambda: world.events()[-1] == "ready", 15)
    starts = [line["at"] for line in world.journal("start")]
    for first in starts:
        assert len([s for s in starts if first <= s < first + WINDOW_S]) <= 6
    assert len(starts) == 6
    assert until_state("ready").restarts == 5
