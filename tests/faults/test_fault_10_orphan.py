"""Fault 10: a grandchild in its own session ignores SIGTERM and the leader exits first: no survivor."""

from __future__ import annotations

import time

import psutil

from tests.supervise.harness import World, kill, until, until_new_engine


def test_no_grandchild_survives_and_none_sees_the_next_start(world: World, repeat: int, moment: None) -> None:
    world.faults(orphan=True)
    server = world.start()
    orphan = psutil.Process(world.journal("orphan")[0]["orphan"])
    world.faults()
    killed = time.monotonic()
    kill(server.pid)
    until(lambda: not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE, 5, "no survivor after 5 s")
    died = time.monotonic()
    assert died - killed <= 5
    assert world.starts() == 1, "no start before the tree is empty"
    until_new_engine(server.pid)
    assert "orphans" in world.events()
    assert world.crashes() == ["signal:9"]
