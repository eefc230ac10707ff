"""Fault 14: the wall clock is set by a day, or the supervisor is stopped for long: no restart, no negative figure."""

from __future__ import annotations

import datetime
import re
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.supervise.harness import QUICK, World, chat, get, kill, ready_status, until, until_new_engine
from toolkit.supervise import api
from toolkit.types import Deployment

CLOCK = Path(__file__).parents[1] / "fakes" / "clock"
DAY_S = 86_400


def negative(server: Deployment) -> list[str]:
    """Metrics with a value below zero."""
    return re.findall(r"^[^#].* -\d.*$", get(server, "/metrics")[1].decode(), re.MULTILINE)


def hour(event_at: str) -> float:
    return datetime.datetime.fromisoformat(event_at).timestamp() / 3600


class Wall:
    """The wall clock of every Python process that is started from now on: supervisor and engine."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self._file = world.root / "clock"
        self.set(0)
        monkeypatch.setenv("PYTHONPATH", str(CLOCK))
        monkeypatch.setenv("FAKE_CLOCK", str(self._file))

    def set(self, offset_s: float) -> None:
        fresh = self._file.with_suffix(".new")
        fresh.write_text(str(offset_s))
        fresh.replace(self._file)


@pytest.mark.parametrize("jump_s", [DAY_S, -DAY_S], ids=["a day ahead", "a day back"])
def test_a_set_clock_changes_nothing(
    world: World, repeat: int, moment: None, monkeypatch: pytest.MonkeyPatch, jump_s: int
) -> None:
    """Set while it loads, is idle, streams and waits for a restart: every window is of the monotonic clock."""
    wall = Wall(world, monkeypatch)
    world.faults(load_s=0.6, load_log=True, token_s=0.02)
    loading = threading.Timer(0.5, lambda: wall.set(jump_s))
    loading.start()
    server = world.start()
    loading.join()
    assert server.ready_s is not None
    assert 0.5 < server.ready_s < 10
    world.faults(token_s=0.02)
    answer: list[tuple[int, bytes]] = []
    client = threading.Thread(target=lambda: answer.append(chat(server, 100, stream=True)))
    client.start()
    until(lambda: api.status("s").in_flight == 1, 5)
    wall.set(0)
    time.sleep(1.2)  # more than a tick, less than the stream
    client.join(20)
    assert (answer[0][0], answer[0][1].endswith(b"data: [DONE]\n\n")) == (200, True)
    wall.set(jump_s)
    time.sleep(3 * QUICK.idle_probe_after_s)
    now = api.status("s")
    assert (now.state, now.pid, now.restarts, world.crashes()) == ("ready", server.pid, 0, [])
    assert now.uptime_s is not None
    assert 0 < now.uptime_s < 60
    assert negative(server) == []
    kill(server.pid)
    until(lambda: world.crashes() == ["signal:9"], 5)
    wall.set(-jump_s)
    again = until_new_engine(server.pid, limit_s=5)
    assert again.restarts == 1
    assert negative(again) == []
    told = [hour(event.at) for event in again.events]
    assert max(told) - min(told) == pytest.approx(48, abs=1), "the clock that it tells times by was really set"


def test_a_suspended_supervisor_kills_nobody(world: World, repeat: int, moment: None) -> None:
    world.faults(token_s=0.02)
    server = world.start()
    answer: list[tuple[int, bytes]] = []
    client = threading.Thread(target=lambda: answer.append(chat(server, 200, stream=True)))
    client.start()
    until(lambda: api.status("s").in_flight == 1, 5)
    kill(server.supervisor_pid, signal.SIGSTOP)
    time.sleep(3.0)  # twice the window in which a silent engine would be killed
    kill(server.supervisor_pid, signal.SIGCONT)
    client.join(20)
    assert answer[0][0] == 200
    assert answer[0][1].endswith(b"data: [DONE]\n\n")
    assert (api.status("s").pid, world.crashes()) == (server.pid, [])
    assert negative(server) == []


def test_a_suspend_in_the_midst_of_silence_voids_the_window(world: World, repeat: int, moment: None) -> None:
    """Silent for 0.5 s, stopped for 3 s, awake 0.7 s before the next token: the window of 1.0 s must not be full."""
    server = world.start(limits=QUICK.model_copy(update={"suspect_grace_s": 0.2}))
    world.faults(silent=[2, 4.2], token_s=0.02)
    answer: list[tuple[int, bytes]] = []
    client = threading.Thread(target=lambda: answer.append(chat(server, 10, stream=True)))
    client.start()
    until(lambda: api.status("s").in_flight == 1, 5)
    time.sleep(0.5)
    kill(server.supervisor_pid, signal.SIGSTOP)
    time.sleep(3.0)
    kill(server.supervisor_pid, signal.SIGCONT)
    client.join(20)
    assert (answer[0][0], answer[0][1].endswith(b"data: [DONE]\n\n")) == (200, True)
    assert world.crashes() == []


def test_a_suspend_when_idle_or_loading_is_no_failure(world: World, repeat: int, moment: None) -> None:
    """Probes that ran out while nobody looked are void; so is a load's silence."""
    world.faults(load_s=3.5)
    starting = threading.Thread(target=world.start)
    starting.start()
    until(lambda: world.starts() == 1, 30)
    time.sleep(0.3)
    supervisor = api.status("s").supervisor_pid
    kill(supervisor, signal.SIGSTOP)
    time.sleep(3.3)  # longer than the load may be silent
    kill(supervisor, signal.SIGCONT)
    starting.join(20)
    server = api.status("s")
    assert (server.state, world.crashes()) == ("ready", [])
    for _ in range(2):
        time.sleep(QUICK.idle_probe_after_s)
        kill(supervisor, signal.SIGSTOP)
        time.sleep(1.5)
        kill(supervisor, signal.SIGCONT)
    time.sleep(1)
    assert ready_status(server) == 200
    assert (api.status("s").pid, world.crashes()) == (server.pid, [])
