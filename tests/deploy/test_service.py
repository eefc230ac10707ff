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

pytestmark = [pytest.mark.real, pytest.mark.timeout(1200)]

UNIT = "selfhost-smollm2-135m.service"
READY_S = 180.0
LONG_S = 8.0
"""How long the answer takes that a stop comes into: long enough to be seen on its way, short beside `drain_s`."""
MOST_TOKENS = 900
"""With its prompt it must fit into 1,024."""
ASK = (
    "curl -sS --max-time 110 -w '\\n%{http_code}' -H 'Content-Type: application/json' "
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


def until(manager: Manager, true: Callable[[], bool], what: str) -> None:
    """Wait for a truth; without it everything that may tell why is told."""
    limit = time.monotonic() + READY_S
    while not true():
        assert time.monotonic() < limit, f"{what}\n{manager.report(UNIT)}"
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
    return int(code or 0), text or done.stderr


def tokens_of(manager: Manager, key: str, wanted_s: float) -> int:
    """How many tokens this machine writes in that time, by a short answer."""
    begun = time.monotonic()
    assert ask(manager, key, 32)[0] == 200
    return min(MOST_TOKENS, max(32, int(32 * wanted_s / (time.monotonic() - begun))))


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
    begun = manager.sh(f"cd /mnt/s && {up}", timeout=400)
    assert begun.returncode == 0, begun.stderr + manager.report(UNIT)
    shown = manager.sh(check)
    assert shown.returncode == 0, manager.report(UNIT)
    assert "active (running)" in shown.stdout
    assert key not in shown.stdout
    asked = ask(manager, key), ask(manager, "wrong")
    assert (asked[0][0], asked[1][0]) == (200, 401), f"{asked}\n{manager.report(UNIT)}"
    first = manager.processes(UNIT)
    assert len(first) >= 2  # the supervisor and its engine
    for pid in first:
        for what in ("cmdline", "environ"):
            assert key.encode() not in read(pid, what)

    supervisor = int(manager.show(UNIT, "MainPID"))
    assert manager.sh(f"kill -9 {supervisor}").returncode == 0
    until(manager, lambda: int(manager.show(UNIT, "NRestarts") or 0) >= 1, "the manager did not start it again")
    until(manager, lambda: manager.sh("curl -fsS http://127.0.0.1:8000/readyz").returncode == 0, "it did not come back")
    assert not set(first) & set(manager.processes(UNIT)), manager.report(UNIT)  # nothing of the first engine is left
    assert manager.show(UNIT, "NRestarts") == "1", manager.report(UNIT)  # and it took no second try

    tokens = tokens_of(manager, key, LONG_S)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask, manager, key, tokens)
        busy = 'curl -fsS -H "Authorization: Bearer $SELFHOST_API_KEY" http://127.0.0.1:8000/metrics'

        def on_its_way() -> bool:
            return in_flight(manager.sh(busy, SELFHOST_API_KEY=key).stdout) == 1 or answer.done()

        until(manager, on_its_way, "it never began to answer")
        assert not answer.done(), f"the answer came before the stop: {answer.result()}"
        stopped = manager.sh(f"systemctl stop {UNIT}", timeout=400)
        assert stopped.returncode == 0, stopped.stderr + manager.report(UNIT)
        status, text = answer.result(timeout=120)
    assert status == 200, text + manager.report(UNIT)
    assert json.loads(text)["usage"]["completion_tokens"] == tokens  # to its end, though the stop came first
    assert manager.show(UNIT, "Result") == "success", manager.report(UNIT)
    until(manager, lambda: manager.processes(UNIT) == [], "something is left")
    gone = manager.sh(f"cd /mnt/s && {down}")
    assert gone.returncode == 0, gone.stderr
    assert manager.sh(check).returncode == 4  # no such unit


def read(pid: int, what: str) -> bytes:
    """A file of a process; nothing where the process has just ended."""
    try:
        return Path(f"/proc/{pid}/{what}").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
