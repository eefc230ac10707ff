"""GPU memory of an old engine must be back before the next start; NVML is a fake library in the supervisor."""

from __future__ import annotations

import importlib.util
import json
import time
from pathlib import Path

import pytest

from tests.supervise.harness import QUICK, World, kill, until, until_new_engine, until_state
from tests.supervise.test_cli_serve import Shell
from toolkit.supervise import api

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


def test_a_lost_gpu_is_fatal_at_once_and_a_restart_tries_again(world: World, held: Path) -> None:
    server = world.start()
    lost = held.with_name(held.name + ".lost")
    lost.touch()
    kill(server.pid)
    now = until_state("fatal")
    assert (now.reason or "").startswith("GPU 0 is lost: `dmesg` has its Xid")
    assert (world.crashes(), world.starts()) == (["signal:9"], 1)
    lost.unlink()
    assert api.restart("s").state == "ready"


def test_what_is_off_without_a_gpu_is_said_once(world: World) -> None:
    shell = Shell(world)
    status, _, err = shell.serve("--detach", "--port", "0")
    assert status == 0, err
    there = Path("/dev/nvidiactl").exists() and importlib.util.find_spec("pynvml") is not None
    assert err.count("GPU memory and power are not watched") == (0 if there else 1)


def test_with_a_gpu_nothing_is_said_to_be_off(world: World, held: Path) -> None:
    shell = Shell(world)
    status, _, err = shell.serve("--detach", "--port", "0")
    assert (status, "not watched" in err) == (0, False), err
