from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.supervise.harness import World
from tests.vllm.engine import Bare, running
from tests.vllm.serving import CONTEXT, LIMITS, NAME, launch
from toolkit.supervise import api


@pytest.fixture(scope="session")
def folder() -> Path:
    """The embedded model as a Hugging Face folder, written by `run.sh`."""
    named = os.environ.get("SELFHOST_VLLM_MODEL")
    assert named, "these tests are started by `make test-vllm`, which installs the engine and writes the model"
    return Path(named)


@pytest.fixture(scope="module")
def bare(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bare]:
    """vLLM by itself, answering, with 1 GiB of cache."""
    log = tmp_path_factory.mktemp("bare") / "log"
    with running(folder, log, "--max-model-len", str(CONTEXT), "--served-model-name", NAME) as engine:
        engine.wait_healthy()
        yield engine


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One state folder for the module. Afterwards nothing of it may run."""
    with pytest.MonkeyPatch.context() as patch:
        world = World(tmp_path_factory.mktemp("world"), patch)
        yield world
        assert world.close() == []


@pytest.fixture(scope="module")
def started(folder: Path, world: World) -> str:
    """The name of a vLLM under supervision. Its faults are tested one after another: a start takes half a minute."""
    api.start_detached(launch(folder, world.root), name=NAME, port=0, limits=LIMITS)
    return NAME
