"""Fault 7: a stranger owns the engine's port and answers 200: never ready on it, named, untouched."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

from tests.supervise.harness import FAKE, World, until
from toolkit.supervise import api
from toolkit.types import Deployment


def test_a_stranger_is_never_taken_for_the_engine(world: World, repeat: int, moment: None) -> None:
    world.faults(no_listen=True)
    ready: list[Deployment] = []
    starting = threading.Thread(target=lambda: ready.append(world.start()))
    starting.start()
    port = until(lambda: world.journal("start"), 30)[0]["port"]
    stranger = subprocess.Popen(
        [sys.executable, str(FAKE), "--port", str(port), "--model", "fake"],
        env=os.environ | {"SELFHOST_HOME": "/nowhere"},
        stdout=subprocess.DEVNULL,
    )
    try:
        cause = until(world.crashes, 10)[0]
        assert cause.startswith(f"port taken: {port} answers, but it belongs to pid {stranger.pid} ")
        assert ready == []
        world.faults()
        starting.join(15)
        assert ready[0].state == "ready"
        assert world.journal("start")[-1]["port"] != port
        api.stop("s")
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
        starting.join(15)
