"""`selfhost --help` must be quick, so nothing heavy may be imported for it. Imports are counted; time is noise."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from toolkit.cli.main import COMMANDS

HEAVY = {"aiohttp", "genai_prices", "gevent", "locust", "orjson", "psutil", "rich.console", "toolkit.types"}
PYDANTIC = {"pydantic", "pydantic_core"}
"""Typer itself imports it to read the parameters of a command; nothing may before that."""


def imported(*args: str) -> set[str]:
    """Every module that `selfhost ARGS` imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "toolkit.cli.main", *args],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Usage: " in done.stdout
    return set(re.findall(r"^import time:.*\| +([\w.]+)$", done.stderr, re.MULTILINE))


def test_the_measure_sees_an_import() -> None:
    assert {"typer", "toolkit.cli"} <= imported("--help")


def test_help_imports_nothing_heavy() -> None:
    assert imported("--help") & (HEAVY | PYDANTIC) == set()


def test_help_imports_no_command() -> None:
    loaded = imported("--help")
    assert [name for name, (module, _) in COMMANDS.items() if f"toolkit.cli.{module}" in loaded] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_imports_nothing_heavy(command: str) -> None:
    assert imported(command, "--help") & HEAVY == set()


def test_size_imports_what_it_uses() -> None:
    """Not the other engine, not formats that are not read, not the documents of later stages."""
    args = ["selfhost", "size", "llama-3.1-8b", "--gpu", "H100-SXM-80GB", "--engine", "vllm"]
    code = f"import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); sys.argv = {args}; "
    code += "from toolkit.cli.main import run; run()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    loaded = set(done.stderr.split())
    later = {f"toolkit.types.{name}" for name in ("measured", "money", "predicted", "serving")}
    assert {"toolkit.size.vllm", "toolkit.types.memory"} <= loaded
    assert loaded & ({"toolkit.size.llamacpp", "toolkit.models.gguf", "psutil"} | later) == set()


def test_asking_a_supervisor_needs_no_http() -> None:
    """`status`, `stop` and `serve --detach` speak to it over a socket; only the supervisor itself loads the proxy."""
    done = subprocess.run(
        [sys.executable, "-c", "import sys, toolkit.supervise.api; print('aiohttp' in sys.modules)"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "False\n"
