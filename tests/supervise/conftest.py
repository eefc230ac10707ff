from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.supervise.harness import World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A state folder of its own. After the test nothing of it may run."""
    world = World(tmp_path, monkeypatch)
    yield world
    assert world.close() == []
