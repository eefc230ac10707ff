"""Fault 9: the log cannot be written: the engine goes on, what was dropped is counted, the state stays true."""

from __future__ import annotations

import json
import re
import resource

import pytest

from tests.supervise.harness import World, chat, get, kill, until, until_new_engine
from toolkit.supervise import api


def test_a_full_log_disk_does_not_stop_the_engine(world: World, repeat: int, moment: None) -> None:
    server = world.start()
    folder = api.log_path("s").parent
    shim = json.loads((folder / "state.json").read_text())["shim"]["pid"]
    resource.prlimit(shim, resource.RLIMIT_FSIZE, (2**20, 2**20))
    world.faults(log_bytes=20 * 10**6)
    flood = until(lambda: world.journal("flood"), 30)[0]
    assert flood["longest_s"] < 0.5
    assert chat(server)[0] == 200

    def dropped() -> float:
        text = get(server, "/metrics")[1].decode()
        found = re.search(r'selfhost_log_dropped_bytes\{server="s"\} (\S+)', text)
        return float(found.group(1)) if found else 0.0

    until(lambda: dropped() >= 18 * 10**6, 5, "most of 20 MB was dropped and counted")
    assert (folder / "engine.log").stat().st_size <= 2**20
    stopped = api.stop("s")
    assert stopped.last_exit is not None
    assert stopped.last_exit.code == 0
    assert world.crashes() == []


@pytest.mark.parametrize("backend", ["llama-server", "command"], ids=["with a key", "without"])
def test_a_disk_that_takes_nothing_is_said_and_waited_for(
    world: World, repeat: int, moment: None, backend: str
) -> None:
    """Without its state file nobody could find an engine again, so none is started; it comes back with the disk."""
    server = world.start(plan=world.plan(backend))
    supervisor = server.supervisor_pid or 0
    _, most = resource.prlimit(supervisor, resource.RLIMIT_FSIZE)
    resource.prlimit(supervisor, resource.RLIMIT_FSIZE, (0, most))
    kill(server.pid)
    until(lambda: "cannot be written: File too large" in (api.status("s").reason or ""), 10)
    assert api.status("s").state in ("backoff", "crash_loop", "preflight", "starting", "stopping")
    assert world.engines() == []
    resource.prlimit(supervisor, resource.RLIMIT_FSIZE, (most, most))
    assert chat(until_new_engine(server.pid))[0] == 200
