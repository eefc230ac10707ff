"""Fault 18: /health takes 10 s every time: it is no evidence by itself, busy or idle."""

from __future__ import annotations

import time

from tests.supervise.harness import QUICK, World, chat, until
from toolkit.supervise import api


def test_slow_health_from_the_start_is_ready_late(world: World, repeat: int, moment: None) -> None:
    """Each answer comes long after `health_timeout_s`; silent meanwhile, but not for as long as a load may be."""
    world.faults(health_delay_s=1.5)
    server = world.start()
    assert (server.state, world.starts(), world.crashes()) == ("ready", 1, [])


def test_slow_health_alone_never_restarts(world: World, repeat: int, moment: None) -> None:
    world.faults(token_s=0.02)
    server = world.start(limits=QUICK.model_copy(update={"health_timeout_s": 0.1, "tick_s": 0.1}))
    world.faults(token_s=0.02, health_delay_s=10)
    status, body = chat(server, 150, stream=True)
    assert (status, body.endswith(b"data: [DONE]\n\n")) == (200, True)
    asked = len(world.journal("request"))
    time.sleep(2.0)
    assert len(world.journal("request")) > asked, "idle, it was asked for a token"
    assert (api.status("s").pid, world.crashes()) == (server.pid, [])
    world.faults(health_delay_s=10, generate="never")
    until(world.crashes, 8)
    assert world.crashes()[0].startswith("hung: idle, and 3 times no token")
    world.faults()
