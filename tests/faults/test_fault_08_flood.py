"""Fault 8: 1 GB of output in 10 s: the engine is never held up, the disk keeps its cap, the supervisor its size."""

from __future__ import annotations

import contextlib
import time

import psutil

from tests.supervise.harness import QUICK, World, chat, until
from toolkit.supervise import api


def settled() -> list[int] | None:
    """Bytes of each log file, once none is written or renamed any more."""
    looks = []
    for _ in range(2):
        with contextlib.suppress(FileNotFoundError):
            looks.append([f.stat().st_size for f in sorted(api.log_path("s").parent.glob("engine.log*"))])
        time.sleep(0.5)
    return looks[0] if len(looks) == 2 and looks[0] == looks[1] else None


def test_a_flood_of_output_blocks_nobody(world: World, at_full_size: bool) -> None:
    cap = {"log_max_bytes": 8 * 2**20, "log_keep": 3}
    server = world.start(limits=QUICK.model_copy(update=cap))
    supervisor = psutil.Process(server.supervisor_pid)
    before = supervisor.memory_info().rss
    world.faults(log_bytes=10**9 if at_full_size else 10**8)
    flood = until(lambda: world.journal("flood"), 60)[0]
    assert flood["longest_s"] < 0.1
    sizes = until(settled, 20, "the last of it is written")
    assert sum(sizes) <= 3 * 8 * 2**20
    assert len(sizes) == 3
    assert supervisor.memory_info().rss - before <= 20 * 10**6
    assert chat(server)[0] == 200
    assert world.crashes() == []
