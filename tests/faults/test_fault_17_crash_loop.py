"""Fault 17: it becomes ready and crashes, over and over: few starts, little CPU, and it recovers by itself."""

from __future__ import annotations

import time

import psutil

from tests.supervise.harness import QUICK, World, kill, until, until_new_engine, until_state

WINDOW_S = 30.0
SCALED = {
    "crash_limit": 5,
    "crash_window_s": WINDOW_S,
    "backoff_base_s": 0.05,
    "backoff_cap_s": 3.0,
    "half_open_s": (15.0, 30.0, 60.0, 90.0),
}
"""The default window of 600 s, its waits and its half-open waits, divided by 20."""


def test_a_crash_loop_is_tamed(world: World, repeat: int) -> None:
    server = world.start(limits=QUICK.model_copy(update=SCALED))
    pid = None
    for _ in range(5):
        pid = until_new_engine(pid).pid
        kill(pid)
    until_state("crash_loop", limit_s=20)
    supervisor = psutil.Process(server.supervisor_pid)
    before, begun = sum(supervisor.cpu_times()[:2]), time.monotonic()
    time.sleep(3)
    busy = (sum(supervisor.cpu_times()[:2]) - before) / (time.monotonic() - begun)
    assert busy < 0.01
    until(lambda: world.events()[-1] == "ready", 40)
    starts = [line["at"] for line in world.journal("start")]
    for first in starts:
        assert len([s for s in starts if first <= s < first + WINDOW_S]) <= 6
    assert len(starts) == 6
    assert until_state("ready").restarts == 5
