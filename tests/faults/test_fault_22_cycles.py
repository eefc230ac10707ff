"""Fault 22: start and stop over and over: descriptors, threads and memory of the supervisor stay flat."""

from __future__ import annotations

import psutil

from tests.supervise.harness import World, chat
from toolkit.supervise import api


def test_cycles_leave_no_trace(world: World, at_full_size: bool) -> None:
    server = world.start()
    supervisor = psutil.Process(server.supervisor_pid)
    for _ in range(3):
        server = api.restart("s")
        chat(server, 1)
    before = supervisor.num_fds(), supervisor.num_threads(), supervisor.memory_info().rss
    for _ in range(500 if at_full_size else 6):
        server = api.restart("s")
        chat(server, 1)
    fds, threads, rss = supervisor.num_fds(), supervisor.num_threads(), supervisor.memory_info().rss
    assert fds <= before[0] + 2
    assert threads <= before[1] + 2
    assert rss - before[2] <= 8 * 2**20
    assert world.crashes() == []
