"""Run `selfhost` as a user does: a process, its output, its exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def selfhost(*words: str | Path, home: Path | None = None, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """The finished process; ``home`` becomes SELFHOST_HOME."""
    env = {**os.environ, "NO_COLOR": "1", "COLUMNS": "120"}
    if home is not None:
        env["SELFHOST_HOME"] = str(home)
    command = [sys.executable, "-m", "toolkit.cli.main", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=env, check=False)


def document(*words: str | Path, status: int = 0, home: Path | None = None) -> dict[str, Any]:
    """The one JSON document on stdout."""
    done = selfhost(*words, "--json", home=home)
    assert done.returncode == status, done.stderr
    value = json.loads(done.stdout)
    assert isinstance(value, dict)
    return value


def error_of(*words: str | Path, status: int = 2, home: Path | None = None) -> str:
    """The error text: exit status as said, nothing on stdout, no traceback."""
    done = selfhost(*words, home=home)
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr
