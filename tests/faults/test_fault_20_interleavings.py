"""Fault 20: stop, restart and crash at random moments on a real tree: serialised, and never two engines."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time

import pytest

from tests.supervise.harness import QUICK, World, chat, until, until_state
from toolkit.supervise import api, control
from toolkit.supervise.store import Folder

PATIENT = QUICK.model_copy(update={"never_ready_limit": 50})
"""Three engines killed in a row before they are ready are, by the policy, given up; chance does that here."""


def test_intents_at_random_moments_are_serialised(world: World, repeat: int) -> None:
    chance = random.Random()
    server = world.start(limits=PATIENT)
    most, running = [0], True

    def count() -> None:
        while running:
            most[0] = max(most[0], len(world.engines()))

    counting = threading.Thread(target=count, daemon=True)
    counting.start()
    folder = Folder("s").path
    for _ in range(12):
        control.ask(folder, "control.sock", {"op": "restart"}, 5)
        if chance.random() < 0.3:
            pid = api.status("s").pid
            if pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(chance.uniform(0, 0.6))
    until_state("ready")
    running = False
    counting.join()
    assert most[0] == 1
    assert api.status("s").supervisor_pid == server.supervisor_pid


def test_restarts_and_swaps_at_random_moments_end_with_one_engine(world: World, repeat: int) -> None:
    """A swap has two engines for a while, never three; whatever is asked and killed, one is left, and it serves."""
    chance = random.Random()
    world.start(limits=PATIENT)
    most, running = [0], True

    def count() -> None:
        while running:
            most[0] = max(most[0], len(world.engines()))

    counting = threading.Thread(target=count, daemon=True)
    counting.start()
    folder = Folder("s").path
    for _ in range(12):
        control.ask(folder, "control.sock", {"op": chance.choice(["restart", "swap", "swap", "keep"])}, 5)
        if chance.random() < 0.3:
            with contextlib.suppress(ProcessLookupError, IndexError):
                os.kill(chance.choice(world.engines()), signal.SIGKILL)
        time.sleep(chance.uniform(0, 0.6))
    until(lambda: api.status("s").state == "ready" and len(world.engines()) == 1, 20)
    running = False
    counting.join()
    assert most[0] <= 2
    assert chat(api.status("s"))[0] == 200


@pytest.mark.parametrize("when", ["before the supervisor is up", "while the engine loads"])
def test_a_stop_while_starting_leaves_nothing(world: World, repeat: int, moment: None, when: str) -> None:
    world.faults(load_s=30, load_log=True)
    failed: list[Exception] = []

    def start() -> None:
        try:
            world.start()
        except Exception as error:
            failed.append(error)

    starting = threading.Thread(target=start)
    starting.start()
    coming = world.home / "servers" / "s" / "coming.json"
    until(coming.exists if when.startswith("before") else world.starts, 30)
    assert api.stop("s").state == "stopped"
    starting.join(10)
    assert world.processes() == []
    assert len(failed) == 1
