"""Fault 12: after a supervisor's death the engine died too, or its pid is a stranger's: nobody is mistaken."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from tests.supervise.harness import World, chat, kill, until
from toolkit.supervise import api, shim
from toolkit.types import Deployment


def test_an_engine_that_died_meanwhile_is_started_anew(world: World, repeat: int, moment: None) -> None:
    server = world.start()
    kill(server.supervisor_pid)
    kill(server.pid)
    again = api.restart("s")
    assert again.pid != server.pid
    assert (chat(again)[0], world.starts()) == (200, 2)
    assert "adopted" not in world.events()


@pytest.mark.parametrize("then", [api.restart, api.stop], ids=["restart", "stop"])
def test_a_grandchild_that_outlived_supervisor_and_shim_is_ended(
    world: World, repeat: int, then: Callable[[str], Deployment]
) -> None:
    """The shim was the one to reap it; the next one in charge finds it by the engine's mark."""
    world.faults(orphan=True)
    server = world.start()
    orphan = psutil.Process(world.journal("orphan")[0]["orphan"])
    world.faults()
    kill(server.supervisor_pid)
    state = json.loads((api.log_path("s").parent / "state.json").read_text())
    kill(state["shim"]["pid"])
    until(lambda: not psutil.pid_exists(server.pid or 0), 5, "the engine ends with its shim")
    assert orphan.is_running()
    then("s")
    assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE
    assert len(world.engines()) == (1 if then is api.restart else 0)


@pytest.mark.parametrize(
    "forge",
    [
        lambda record: record,  # the pid was given to another process: its start time differs
        lambda record: record | {"boot_id": "11111111-2222-3333-4444-555555555555"},  # another boot
    ],
    ids=["pid recycled", "rebooted"],
)
def test_a_stranger_is_neither_adopted_nor_signalled(
    world: World, repeat: int, forge: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    server = world.start()
    kill(server.supervisor_pid)
    kill(server.pid)
    until(lambda: len(world.processes()) == 0, 5)
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        state_file = api.log_path("s").parent / "state.json"
        state = json.loads(state_file.read_text())
        for who in ("engine", "shim"):
            old = state[who]
            new = shim.identity(stranger.pid)
            recycled = new | {"start_ticks": old["start_ticks"]}
            state[who] = forge(recycled) if forge(old) == old else forge(new)
        state_file.write_text(json.dumps(state))
        assert api.status("s").pid is None
        again = api.restart("s")
        assert again.pid not in (server.pid, stranger.pid)
        api.stop("s")
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
