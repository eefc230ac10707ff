"""Fault 4: silent decode for 0.9 of the window while /health times out, again and again: never a restart."""

from __future__ import annotations

from tests.supervise.harness import QUICK, World, chat
from toolkit.supervise import api

WINDOW_S = 2.0


def test_a_slow_engine_is_left_alone(world: World, at_full_size: bool) -> None:
    fixed = {"stall_min_s": WINDOW_S, "stall_max_s": WINDOW_S, "health_timeout_s": 0.1, "tick_s": 0.1}
    server = world.start(limits=QUICK.model_copy(update=fixed))
    world.faults(silent=[3, 0.9 * WINDOW_S], health_delay_s=10)
    for _ in range(200 if at_full_size else 4):
        status, body = chat(server, 6, stream=True)
        assert (status, body.endswith(b"data: [DONE]\n\n")) == (200, True)
    assert (world.crashes(), api.status("s").pid) == ([], server.pid)
