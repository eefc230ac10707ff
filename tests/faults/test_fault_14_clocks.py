"""Fault 14: the supervisor is stopped for many ticks (a suspend): no restart, no negative figure."""

from __future__ import annotations

import re
import signal
import threading
import time

from tests.supervise.harness import World, chat, get, kill, until
from toolkit.supervise import api


def test_a_suspended_supervisor_kills_nobody(world: World, repeat: int, moment: None) -> None:
    world.faults(token_s=0.02)
    server = world.start()
    answer: list[tuple[int, bytes]] = []
    client = threading.Thread(target=lambda: answer.append(chat(server, 200, stream=True)))
    client.start()
    until(lambda: api.status("s").in_flight == 1, 5)
    world.faults(silent=[10**6, 0], token_s=0.02)
    kill(server.supervisor_pid, signal.SIGSTOP)
    time.sleep(3.0)  # twice the window in which a silent engine would be killed
    kill(server.supervisor_pid, signal.SIGCONT)
    client.join(20)
    assert answer[0][0] == 200
    assert answer[0][1].endswith(b"data: [DONE]\n\n")
    assert (api.status("s").pid, world.crashes()) == (server.pid, [])
    assert not re.search(r" -\d", get(server, "/metrics")[1].decode())
