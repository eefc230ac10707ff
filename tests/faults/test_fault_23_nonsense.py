"""Fault 23: the engine answers garbage: the canary fails, one restart, then fatal for its quality."""

from __future__ import annotations

import pytest

from tests.supervise.harness import World
from toolkit.errors import StartFailedError
from toolkit.supervise import api


@pytest.mark.parametrize("answer", ["repeat", "empty", "nan"])
def test_garbage_gets_one_restart(world: World, repeat: int, answer: str) -> None:
    world.faults(answer=answer)
    with pytest.raises(StartFailedError, match="it answers nonsense, also after a restart"):
        world.start()
    assert world.starts() == 2
    assert [c.split(":")[0] for c in world.crashes()] == ["nonsense", "nonsense"]
    assert api.status("s").state == "fatal"
