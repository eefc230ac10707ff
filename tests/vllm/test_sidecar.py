"""The sidecar beside a real vLLM whose engine process hangs while its server still says that it is healthy."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.vllm.engine import Bare
from tests.vllm.serving import NAME

pytestmark = pytest.mark.vllm

LIMIT_S = 120.0
QUICK = "tick_s = 1\nstall_min_s = 4\nsuspect_grace_s = 2\nidle_probe_after_s = 600\n"
"""Idle probes do not come up: what is noticed here is a busy engine without progress."""


def said(url: str, body: dict[str, object] | None = None) -> int:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
            answer.read()
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def turned(true: Callable[[], bool], log: Path) -> None:
    limit = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < limit, log.read_text()
        time.sleep(0.2)


def is_worker(process: psutil.Process) -> bool:
    return "VLLM::Worker" in " ".join(process.cmdline())


@pytest.fixture
def beside(bare: Bare, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address of a sidecar before the bare engine, and its log."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "limits.toml").write_text(f"[supervise]\n{QUICK}")
    words = [sys.executable, "-m", "toolkit.cli.main", "sidecar", bare.url, "--backend", "vllm", "--model", NAME]
    words += ["--port", str(port), "--config", str(tmp_path / "limits.toml")]
    log = tmp_path / "log"
    with log.open("wb") as out:
        child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        yield f"http://127.0.0.1:{port}", log
    finally:
        child.terminate()
        assert child.wait(60) == 0, log.read_text()


def test_a_hang_that_the_health_page_does_not_know(bare: Bare, beside: tuple[str, Path]) -> None:
    url, log = beside
    turned(lambda: said(f"{url}/readyz") == 200, log)
    assert said(f"{url}/livez") == 200
    (core,) = [p for p in psutil.Process(bare.process.pid).children(recursive=True) if is_worker(p)]
    body: dict[str, object] = {
        "model": NAME,
        "messages": [{"role": "user", "content": "Count to a thousand."}],
        "max_tokens": 200,
        "ignore_eos": True,
    }
    assert said(f"{url}/v1/chat/completions", body) == 200
    core.send_signal(signal.SIGSTOP)
    try:
        words = ["curl", "-s", "-o", "/dev/null", "-H", "Content-Type: application/json", "-d", json.dumps(body)]
        asked = subprocess.Popen([*words, f"{url}/v1/chat/completions"])
        turned(lambda: said(f"{url}/livez") == 503, log)
        assert said(f"{bare.url}/health") == 200  # the engine's own page knows nothing of it
        assert said(f"{url}/readyz") == 503
    finally:
        core.send_signal(signal.SIGCONT)
    assert asked.wait(LIMIT_S) == 0  # it goes on where it stood
    turned(lambda: said(f"{url}/livez") == 200, log)
    turned(lambda: said(f"{url}/readyz") == 200, log)
    assert "busy without progress" in log.read_text()
