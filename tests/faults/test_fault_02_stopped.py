"""Fault 2: SIGSTOP, idle and busy. Found hung in the stated window, killed with SIGKILL, restarted."""

from __future__ import annotations

import signal
import threading
import time

from tests.supervise.harness import QUICK, World, chat, kill, until, until_new_engine
from toolkit.supervise import api


def test_stopped_when_idle(world: World, repeat: int, moment: None) -> None:
    server = world.start()
    stopped = time.monotonic()
    kill(server.pid, signal.SIGSTOP)
    until(world.crashes, 10)
    # 0.6 s idle (some of it over already), three probes of 0.4 s, each seen at the next look (≤ 0.3 + 0.1 s).
    assert 1.2 <= time.monotonic() - stopped + 0.6 <= 0.6 + 3 * (0.4 + 0.4) + 2.0
    again = until_new_engine(server.pid)
    assert again.last_exit is not None
    assert again.last_exit.signal == signal.SIGKILL
    assert len(world.crashes()) == 1
    assert world.crashes()[0].startswith("hung: idle, and 3 times no token")


def test_stopped_when_busy(world: World, repeat: int, moment: None) -> None:
    world.faults(token_s=0.02)
    server = world.start()
    body: list[bytes] = []
    client = threading.Thread(target=lambda: body.append(chat(server, 2000, stream=True)[1]))
    client.start()
    until(lambda: api.status("s").in_flight == 1, 5)
    time.sleep(0.3)  # the stream has begun
    stopped = time.monotonic()
    kill(server.pid, signal.SIGSTOP)
    until(world.crashes, 10)
    waited = time.monotonic() - stopped
    assert QUICK.stall_min_s <= waited <= QUICK.stall_min_s + QUICK.suspect_grace_s + 1.5
    client.join(5)
    assert b"event: error\n" in body[0]
    again = until_new_engine(server.pid)
    assert again.last_exit is not None
    assert again.last_exit.signal == signal.SIGKILL
    assert len(world.crashes()) == 1
    assert world.crashes()[0].startswith("hung: busy without progress")
    assert "degraded" in world.events()
