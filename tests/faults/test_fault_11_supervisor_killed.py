"""Fault 11: the supervisor is killed and started again: the engine served on, and no second one is loaded."""

from __future__ import annotations

import random
import time
import urllib.request

from tests.supervise.harness import World, chat, chat_request, kill, without_processor_s
from toolkit.supervise import api


def test_the_next_supervisor_takes_the_engine_over(world: World, repeat: int, moment: None) -> None:
    server = world.start()
    kill(server.supervisor_pid)
    time.sleep(random.choice([0.1, 1.0]))
    alone = api.status("s")
    assert (alone.state, alone.pid, alone.supervisor_pid) == ("degraded", server.pid, None)
    direct = chat_request(server, 2, stream=False)
    direct.full_url = f"http://127.0.0.1:{world.journal('start')[0]['port']}/v1/chat/completions"
    with urllib.request.urlopen(direct, timeout=5) as response:
        assert response.status == 200
    begun, late_s = time.monotonic(), without_processor_s("thread-self")
    again = api.restart("s")
    took_s = time.monotonic() - begun
    assert took_s - (without_processor_s("thread-self", again.supervisor_pid) - late_s) <= 2.0
    assert (again.pid, again.base_url, world.starts()) == (server.pid, server.base_url, 1)
    assert again.ready_s is not None
    assert again.ready_s <= 2.0
    assert "adopted" in world.events()
    assert chat(again)[0] == 200
    kill(again.pid)
    from tests.supervise.harness import until_new_engine

    until_new_engine(server.pid)
    assert world.crashes() == ["signal:9"]


def test_stop_ends_an_engine_whose_supervisor_is_gone(world: World, repeat: int) -> None:
    server = world.start()
    kill(server.supervisor_pid)
    assert api.stop("s").state == "stopped"
    assert world.processes() == []
