"""Fault 3: health answers 200, generation never does."""

from __future__ import annotations

import threading

from tests.supervise.harness import World, chat, until, until_new_engine
from toolkit.supervise import api


def test_silent_when_idle(world: World, repeat: int, moment: None) -> None:
    server = world.start()
    world.faults(generate="never")
    until(world.crashes, 10)
    world.faults()
    until_new_engine(server.pid)
    assert [c.split(":")[0] for c in world.crashes()] == ["hung"]


def test_silent_when_busy(world: World, repeat: int, moment: None) -> None:
    server = world.start()
    world.faults(generate="never")
    answer: list[int] = []
    client = threading.Thread(target=lambda: answer.append(chat(server)[0]))
    client.start()
    until(world.crashes, 10)
    world.faults()
    client.join(5)
    assert answer == [502]
    until_new_engine(server.pid)
    assert [c.split(":")[0] for c in world.crashes()] == ["hung"]
    assert api.status("s").restarts == 1
