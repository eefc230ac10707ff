"""Fault 13: two supervisors, one name: the second says so and goes; a crash frees the name."""

from __future__ import annotations

import subprocess
import sys
import time

from tests.supervise.harness import World, chat, kill, slowness
from toolkit.supervise import api


def second() -> tuple[int, str, float]:
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "toolkit.supervise.daemon", "s"], capture_output=True, timeout=10, check=False
    )
    return done.returncode, done.stderr.decode(), time.monotonic() - begun


def test_the_second_supervisor_goes_with_a_clear_message(world: World, repeat: int, moment: None) -> None:
    server = world.start()
    slow = slowness()
    code, words, took_s = second()
    assert (code, words) == (2, f"'s' is already served by supervisor pid {server.supervisor_pid}\n")
    assert took_s <= 1.0 * max(slow, slowness())
    assert chat(server)[0] == 200
    kill(server.supervisor_pid)
    assert api.restart("s").supervisor_pid != server.supervisor_pid
    assert world.starts() == 1
