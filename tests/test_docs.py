"""The generated documentation is what the code says today."""

from __future__ import annotations

import importlib
import inspect

import pytest

from tests import docs
from toolkit.cli.main import COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_of_commands_says_what_the_command_says(name: str) -> None:
    module = importlib.import_module(f"toolkit.cli.{COMMANDS[name][0]}")
    (command,) = module.app.registered_commands
    assert inspect.getdoc(command.callback).splitlines()[0] == COMMANDS[name][1]


def test_file_map_is_fresh() -> None:
    assert docs.readme() == (docs.ROOT / "README.md").read_text(encoding="utf-8"), "run `make docs`"


@pytest.mark.slow
def test_command_page_is_fresh() -> None:
    assert docs.cli_page() == (docs.ROOT / "docs" / "cli.md").read_text(encoding="utf-8"), "run `make docs`"
