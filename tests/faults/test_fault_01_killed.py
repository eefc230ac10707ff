"""Fault 1: the engine is killed when ready. Not ready within 1 s, restarted, no client hangs over 2 s."""

from __future__ import annotations

import json
import threading
import time

from tests.supervise.harness import World, chat, kill, ready_status, until, until_new_engine
from toolkit.supervise import api


def test_killed_while_serving(world: World, repeat: int, moment: None) -> None:
    world.faults(token_s=0.05)
    server = world.start()
    answers: dict[str, tuple[int, bytes]] = {}
    ends: dict[str, float] = {}

    def ask(name: str, stream: bool) -> None:
        answers[name] = chat(server, 500, stream=stream)
        ends[name] = time.monotonic()

    threads = [threading.Thread(target=ask, args=pair) for pair in (("stream", True), ("whole", False))]
    for thread in threads:
        thread.start()
    until(lambda: api.status("s").in_flight == 2, 5)
    time.sleep(0.2)
    killed = time.monotonic()
    kill(server.pid)
    until(lambda: ready_status(server) == 503, 1.0, "not ready within 1 s")
    for thread in threads:
        thread.join(3)
    assert max(ends.values()) - killed < 2.0
    status, body = answers["whole"]
    assert status in (502, 503)
    assert json.loads(body)["error"]["type"] == "engine_failed"
    status, body = answers["stream"]
    assert status == 200
    assert body.count(b"event: error\n") == 1
    assert body.endswith(b"\n\n")
    assert json.loads(body.rpartition(b"data: ")[2])["error"]["code"] == 502
    again = until_new_engine(server.pid)
    assert again.last_exit is not None
    assert (again.last_exit.reason, again.last_exit.signal, again.restarts) == ("signal:9", 9, 1)
    assert world.crashes() == ["signal:9"]
    world.faults()
    assert chat(again)[0] == 200
