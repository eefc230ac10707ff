"""Fault 8: 1 GB of output in 10 s: the engine is never held up, the disk keeps its cap, the supervisor its size."""

from __future__ import annotations

import psutil

from tests.supervise.harness import QUICK, World, chat, until
from toolkit.supervise import api


def test_a_flood_of_output_blocks_nobody(world: World, at_full_size: bool) -> None:
    cap = {"log_max_bytes": 8 * 2**20, "log_keep": 3}
    server = world.start(limits=QUICK.model_copy(update=cap))
    supervisor = psutil.Process(server.supervisor_pid)
    before = supervisor.memory_info().rss
    world.faults(log_bytes=10**9 if at_full_size else 10**8)
    flood = until(lambda: world.journal("flood"), 60)[0]
    assert flood["longest_s"] < 0.1
    logs = list(api.log_path("s").parent.glob("engine.log*"))
    assert sum(f.stat().st_size for f in logs) <= 3 * 8 * 2**20
    assert len(logs) == 3
    assert supervisor.memory_info().rss - before <= 20 * 10**6
    assert chat(server)[0] == 200
    assert world.crashes() == []
