"""A mock server and a load process, shared by the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.load.harness import Load
from tests.load.mock import Mock


@pytest.fixture(autouse=True)
def _own_history(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test writes into the history of whoever runs it."""
    monkeypatch.setenv("SELFHOST_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="module")
def _mock() -> Iterator[Mock]:
    with Mock() as mock:
        yield mock


@pytest.fixture
def mock(_mock: Mock) -> Mock:
    """The mock with its default settings and an empty log."""
    _mock.set()
    _mock.truth()
    return _mock


@pytest.fixture(scope="module")
def _load(_mock: Mock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Load]:
    load = Load(tmp_path_factory.mktemp("load"), _mock)
    yield load
    load.close()


@pytest.fixture
def load(_load: Load, mock: Mock) -> Load:
    """The running load process; limits: 1 s of silence, 4 s a request."""
    return _load
