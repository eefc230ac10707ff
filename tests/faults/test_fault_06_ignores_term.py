"""Fault 6: SIGTERM is ignored: SIGKILL after the grace, a second later at most."""

from __future__ import annotations

import signal
import time

from tests.supervise.harness import QUICK, Lateness, World
from toolkit.supervise import api


def test_an_engine_that_ignores_term_is_killed(world: World, repeat: int, moment: None) -> None:
    world.faults(ignore_term=True)
    server = world.start()
    begun = time.monotonic()
    with Lateness(server.supervisor_pid, server.pid) as late:
        stopped = api.stop("s")
    took_s = time.monotonic() - begun
    assert QUICK.term_grace_s <= took_s
    assert took_s - late.s <= QUICK.term_grace_s + 1.0
    assert stopped.last_exit is not None
    assert (stopped.state, stopped.last_exit.signal) == ("stopped", signal.SIGKILL)
    assert len(world.journal("term")) == 2
    assert world.crashes() == []
