"""Fault tests: each is repeated ``SELFHOST_FAULT_REPEATS`` times (default 1) after a random pause."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.supervise.harness import World

REPEATS = int(os.environ.get("SELFHOST_FAULT_REPEATS", "1"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "repeat" in metafunc.fixturenames:
        metafunc.parametrize("repeat", range(REPEATS))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "test_fault_" in item.nodeid:
            item.add_marker(pytest.mark.faults)


@pytest.fixture
def at_full_size() -> bool:
    """Whether the faults that run once run at their stated size (they do when the others are repeated)."""
    return REPEATS >= 20


@pytest.fixture
def moment() -> None:
    """A random pause, so that a fault meets the supervisor at any point of its tick."""
    time.sleep(random.uniform(0, 0.15))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A state folder of its own. After the test nothing of it may run."""
    world = World(tmp_path, monkeypatch)
    yield world
    assert world.close() == []
    assert not list((world.home / "servers").rglob("*.sock"))
