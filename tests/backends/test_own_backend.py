"""The page about writing a backend: its code, exposed as an installed package would be, serves a real process."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import psutil
import pytest

from tests.cli.run import document, error_of, selfhost
from tests.supervise.harness import World, chat, kill, until_new_engine
from toolkit.backends import llama_server
from toolkit.supervise import api

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "backends.md"


def block(kind: str) -> str:
    """The page's one block of that language."""
    (found,) = re.findall(rf"^```{kind}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return str(found)


def tinyserve(path: Path) -> None:
    """The imagined engine: the real llama-server under other options."""
    engine = llama_server.BACKEND.find()
    assert engine is not None
    path.parent.mkdir()
    exports = "".join(f"export {key}={shlex.quote(value)}\n" for key, value in engine.env.items())
    path.write_text(
        f"""#!/bin/sh
[ "$1" = --version ] && {{ echo "tinyserve 1.2"; exit; }}
{exports}export LLAMA_API_KEY="$TINYSERVE_KEY"
exec {shlex.join(engine.argv0)} -m "$2" --alias "$4" --host "$6" --port "$8" -c 1024 --metrics -t 1
"""
    )
    path.chmod(0o755)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page's package where Python finds it, with the metadata that an install writes from its pyproject."""
    project = tomllib.loads(block("toml"))["project"]
    folder = tmp_path / "installed"
    about = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    about.mkdir(parents=True)
    points = project["entry-points"]["selfhost.backends"]
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = "".join(f"{name} = {place}\n" for name, place in points.items())
    (about / "entry_points.txt").write_text(f"[selfhost.backends]\n{lines}")
    module = points["tinyserve"].partition(":")[0]
    (folder / f"{module}.py").write_text(block("python"))
    path = [str(folder), str(ROOT), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(p for p in path if p))
    return folder / f"{module}.py"


@pytest.mark.slow
def test_where_its_program_is_missing_it_says_so(package: Path, tmp_path: Path) -> None:
    listed = document("doctor", home=tmp_path / "home")
    assert "tinyserve" in json.dumps(listed)
    said = error_of("plan", "smollm2-135m", "--backend", "tinyserve", home=tmp_path / "home")
    assert "tinyserve: not installed" in said
    assert "did you mean tinyserve" in error_of("serve", "m", "--backend", "tinyserv", home=tmp_path / "home")


@pytest.mark.slow
def test_its_types_are_the_protocols(package: Path) -> None:
    words = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(package)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.real
@pytest.mark.slow
def test_the_page_serves_a_real_engine(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tinyserve(tmp_path / "bin" / "tinyserve")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    world = World(tmp_path, monkeypatch)
    small = ("smollm2-135m", "--backend", "tinyserve", "--context", "512", "--concurrency", "2")
    planned = document("plan", *small)
    assert (planned["backend"], planned["engine_version"], planned["max_in_flight"]) == ("tinyserve", "1.2", 2)
    assert planned["argv"][-4:] == ["--context", "512", "--slots", "2"]
    done = selfhost(
        "serve", *small, "--name", "s", "--served-name", "fake", "--port", "0", "--detach", "--json", timeout=200
    )
    assert done.returncode == 0, done.stderr
    server = api.status("s")
    status, body = chat(server, 8, text="What is the capital of France?")
    assert (status, json.loads(body)["usage"]["completion_tokens"]) == (200, 8)
    engine = psutil.Process(server.pid)
    port = next(c.laddr.port for c in engine.net_connections() if c.status == psutil.CONN_LISTEN)
    assert chat(server.model_copy(update={"base_url": f"http://127.0.0.1:{port}/v1"}))[0] == 401
    kill(server.pid)
    assert chat(until_new_engine(server.pid, limit_s=60))[0] == 200
    assert selfhost("stop", "s").returncode == 0
    assert world.close() == []
    assert shutil.which("tinyserve")
