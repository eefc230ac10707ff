"""Fault 13: two supervisors, one name: the second says so and goes; a crash frees the name."""

from __future__ import annotations

import subprocess
import sys
import time

from tests.supervise.harness import Lateness, World, chat, kill
from toolkit.supervise import api


def second() -> tuple[int, str, float]:
    """Another supervisor of the name: its exit status, its words, and how long it took with a processor to run on."""
    begun = time.monotonic()
    words = [sys.executable, "-m", "toolkit.supervise", "s"]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        with Lateness(process.pid) as late:
            _, said = process.communicate(timeout=30)
        return process.returncode, said, time.monotonic() - begun - late.s


def test_the_second_supervisor_goes_with_a_clear_message(world: World, repeat: int, moment: None) -> None:
    server = world.start()
    code, words, took_s = second()
    assert (code, words) == (2, f"'s' is already served by supervisor pid {server.supervisor_pid}\n")
    assert took_s <= 1.0
    assert chat(server)[0] == 200
    kill(server.supervisor_pid)
    assert api.restart("s").supervisor_pid != server.supervisor_pid
    assert world.starts() == 1
