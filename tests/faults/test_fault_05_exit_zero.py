"""Fault 5: the engine exits 0 and nobody asked: a crash, restarted."""

from __future__ import annotations

from tests.supervise.harness import World, until, until_new_engine


def test_exit_zero_is_a_crash(world: World, repeat: int, moment: None) -> None:
    server = world.start()
    world.faults(exit_now=0)
    until(world.crashes, 5)
    world.faults()
    again = until_new_engine(server.pid)
    assert again.last_exit is not None
    assert again.last_exit.code == 0
    assert set(world.crashes()) == {"exit:0"}
