"""The package of types: every name is there, whichever module it comes from, and comes when it is asked for."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from toolkit import types


def test_every_module_is_looked_into() -> None:
    folder = Path(str(types.__file__)).parent
    assert set(types.MODULES) == {file.stem for file in folder.glob("*.py")} - {"__init__"}


@pytest.mark.parametrize("name", types.__all__)
def test_a_name_means_one_thing(name: str) -> None:
    held = [vars(import_module(f"toolkit.types.{module}")) for module in types.MODULES]
    meant = {id(names[name]) for names in held if name in names}
    assert meant == {id(getattr(types, name))}


def test_other_names_are_not_there() -> None:
    with pytest.raises(AttributeError, match="Memoryplan"):
        _ = types.Memoryplan  # type: ignore[attr-defined]
    with pytest.raises(ImportError):
        exec("from toolkit.types import Memoryplan")  # noqa: S102


def test_asking_for_a_type_builds_no_others() -> None:
    code = "import sys; from toolkit.types import MemoryPlan; print('toolkit.types.money' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False\n"
