"""GPU memory of an old engine must be back before the next start; NVML is a fake library in the supervisor."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.supervise.harness import QUICK, World, kill, until, until_new_engine

NVML = Path(__file__).parents[1] / "fakes" / "nvml"

pytestmark = pytest.mark.slow


@pytest.fixture
def held(world: World, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that says who holds GPU memory."""
    file = world.root / "nvml.json"
    file.write_text("[]")
    monkeypatch.setenv("PYTHONPATH", str(NVML))
    monkeypatch.setenv("FAKE_NVML", str(file))
    return file


def test_a_start_waits_for_the_memory_of_the_old_engine(world: World, held: Path) -> None:
    server = world.start()
    held.write_text(json.dumps([[server.pid, 7 * 2**30], [1, 2**30]]))
    kill(server.pid)
    time.sleep(2)
    assert world.starts() == 1
    held.write_text(json.dumps([[1, 2**30]]))
    until_new_engine(server.pid)
    assert world.crashes() == ["signal:9"]


def test_memory_that_never_comes_back_names_its_holder(world: World, held: Path) -> None:
    server = world.start(limits=QUICK.model_copy(update={"vram_back_s": 0.5}))
    held.write_text(json.dumps([[server.pid, 7 * 2**30]]))
    kill(server.pid)
    words = f"GPU memory is not given back after 0.5 s: pid {server.pid} holds 7.00 GiB"
    until(lambda: words in world.crashes(), 5)
    held.write_text("[]")
    until_new_engine(server.pid)
