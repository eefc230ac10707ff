"""The unit under a real systemd (booted in namespaces of its own): the README's lines as they are written."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.cli.run import document
from tests.deploy.manager import Manager, booted, missing

pytestmark = pytest.mark.real

UNIT = "selfhost-smollm2-135m.service"
READY_S = 180.0
ASK = (
    "curl -sS --max-time 100 -w '\\n%{http_code}' -H 'Content-Type: application/json' "
    '-H "Authorization: Bearer $SELFHOST_API_KEY" -d '
)
CHAT = "http://127.0.0.1:8000/v1/chat/completions"


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    why = missing()
    if why:
        pytest.skip(why)
    with booted(tmp_path) as running:
        yield running


def until(true: Callable[[], bool], what: str) -> None:
    limit = time.monotonic() + READY_S
    while not true():
        assert time.monotonic() < limit, what
        time.sleep(0.2)


def deployed(manager: Manager, tmp_path: Path) -> dict[str, list[str]]:
    """A folder outside /tmp, written inside; the lines of its README, without `sudo`: we are root there."""
    plan = document("plan", "smollm2-135m", "--context", "1024", "--concurrency", "2")
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    words = f"{sys.executable} -m toolkit.cli.main deploy {tmp_path}/plan.json --target systemd --out /mnt/s --json"
    done = manager.sh(words, PATH=os.environ["PATH"], PYTHONPATH=str(Path(__file__).resolve().parents[2]))
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)["commands"]
    lines = {key: [value] if isinstance(value, str) else value for key, value in said.items()}
    return {key: [line.replace("sudo ", "") for line in value] for key, value in lines.items()}


def ask(manager: Manager, key: str, tokens: int = 4) -> tuple[int, str]:
    body = {"model": "smollm2-135m", "messages": [{"role": "user", "content": "Count."}], "max_tokens": tokens}
    body |= {"ignore_eos": True}
    done = manager.sh(f"{ASK} '{json.dumps(body)}' {CHAT}", SELFHOST_API_KEY=key)
    text, _, code = done.stdout.rpartition("\n")
    return int(code), text


def in_flight(page: str) -> float | None:
    found = re.search(r"^selfhost_in_flight\{.*\} (\S+)$", page, re.MULTILINE)
    return float(found[1]) if found else None


def test_up_check_down_as_the_readme_says(manager: Manager, tmp_path: Path) -> None:
    """Started, killed, started again by the manager, stopped while it answers: nothing is lost and nothing is left."""
    lines = deployed(manager, tmp_path)
    up, check, down = lines["up"][0], lines["check"][0], lines["down"][0]
    made = manager.sh("cd /mnt/s && " + " && ".join(lines["once"]) + ' && printf %s "$SELFHOST_API_KEY"')
    assert made.returncode == 0, made.stderr
    key = made.stdout
    assert len(key) == 48  # 24 random bytes in hexadecimal
    begun = manager.sh(f"cd /mnt/s && {up}", timeout=300)
    assert begun.returncode == 0, begun.stderr + manager.sh(f"systemctl status {UNIT}").stdout
    shown = manager.sh(check)
    assert shown.returncode == 0
    assert "active (running)" in shown.stdout
    assert key not in shown.stdout
    assert (ask(manager, key)[0], ask(manager, "wrong")[0]) == (200, 401)
    for pid in manager.processes(UNIT):
        for what in ("cmdline", "environ"):
            assert key.encode() not in Path(f"/proc/{pid}/{what}").read_bytes()

    first = manager.processes(UNIT)
    assert len(first) >= 2  # the supervisor and its engine
    manager.sh(f"kill -9 {manager.show(UNIT, 'MainPID')}")
    until(lambda: manager.show(UNIT, "NRestarts") == "1", "the manager did not start it again")
    until(lambda: manager.sh("curl -fsS http://127.0.0.1:8000/readyz").returncode == 0, "it did not come back")
    assert not set(first) & set(manager.processes(UNIT))  # nothing of the first engine is left
    assert ask(manager, key)[0] == 200

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, manager, key, 600)
        busy = 'curl -fsS -H "Authorization: Bearer $SELFHOST_API_KEY" http://127.0.0.1:8000/metrics'
        until(lambda: in_flight(manager.sh(busy, SELFHOST_API_KEY=key).stdout) == 1, "it never began to answer")
        assert manager.sh(f"systemctl stop {UNIT}", timeout=300).returncode == 0
        status, text = asked.result(timeout=120)
    assert status == 200, text
    assert json.loads(text)["usage"]["completion_tokens"] == 600  # to its end, though the stop came first
    assert manager.show(UNIT, "Result") == "success"
    assert manager.processes(UNIT) == []
    gone = manager.sh(f"cd /mnt/s && {down}")
    assert gone.returncode == 0, gone.stderr
    assert manager.sh(check).returncode == 4  # no such unit
