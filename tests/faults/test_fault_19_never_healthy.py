"""Fault 19: 503 for ever from the start. A moving log buys time up to the cap; silence ends at the stall limit."""

from __future__ import annotations

import pytest

from tests.supervise.harness import QUICK, World
from toolkit.errors import StartFailedError

LIMITS = QUICK.model_copy(update={"load_stall_s": 1.0, "load_cap_s": 4.0, "never_ready_limit": 1})
FAR_CAP = LIMITS.model_copy(update={"load_cap_s": 30.0})
"""On a busy machine the interpreter alone may load for seconds."""


def test_a_silent_load_ends_at_the_stall_limit(world: World, repeat: int, moment: None) -> None:
    world.faults(load_s=1e9)
    with pytest.raises(StartFailedError, match="no progress of the load for 1 s"):
        world.start(limits=FAR_CAP)


def test_a_log_of_our_own_questions_is_no_progress(world: World, repeat: int, moment: None) -> None:
    """Python's http.server, uvicorn and llama-server write a line for each /health that we ask."""
    world.faults(load_s=1e9, log_health=True)
    with pytest.raises(StartFailedError, match="no progress of the load for 1 s"):
        world.start(limits=FAR_CAP)


def test_a_moving_load_ends_at_the_cap(world: World, repeat: int, moment: None) -> None:
    world.faults(load_s=1e9, load_log=True)
    with pytest.raises(StartFailedError, match="the load took longer than 4 s"):
        world.start(limits=LIMITS)


def test_a_slow_but_moving_load_becomes_ready(world: World, repeat: int, moment: None) -> None:
    """More than twice as long as it may be silent; the cap is far, as this is not about it."""
    world.faults(load_s=2.5, load_log=True)
    assert world.start(limits=FAR_CAP).state == "ready"
