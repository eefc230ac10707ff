"""A real `vllm serve` started by itself, with nothing of ours between the test and the engine."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

KV_LINE = re.compile(r"KV cache size: ([\d,]+) tokens, Maximum concurrency for ([\d,]+) tokens per request: ([\d.]+)x")
START_S = 180.0
"""A start takes 20-40 s on an idle pair of cores."""


class KvLine(NamedTuple):
    """What the engine logs about its cache."""

    tokens: int
    context: int
    concurrency: float


@dataclass(frozen=True)
class Bare:
    """A running `vllm serve`: its process, its address and its log."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for(self, pattern: re.Pattern[str]) -> re.Match[str]:
        """The first match in its log; an engine that ends before has failed."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            ended = self.process.poll() is not None
            if found := pattern.search(self.text()):
                return found
            assert not ended, f"vLLM ended with {self.process.returncode}:\n{self.text()}"
            time.sleep(0.2)
        raise AssertionError(f"vLLM logged no {pattern.pattern!r} within {START_S:g} s:\n{self.text()[-3000:]}")

    def kv_line(self) -> KvLine:
        tokens, context, concurrency = self.wait_for(KV_LINE).groups()
        return KvLine(int(tokens.replace(",", "")), int(context.replace(",", "")), float(concurrency))

    def wait_healthy(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"vLLM ended:\n{self.text()[-3000:]}"
            with contextlib.suppress(OSError), urllib.request.urlopen(self.url + "/health", timeout=2):
                return
            time.sleep(0.2)
        raise AssertionError(f"vLLM was not healthy within {START_S:g} s:\n{self.text()[-3000:]}")


def program() -> str:
    return os.environ["SELFHOST_VLLM"]


@contextlib.contextmanager
def running(folder: Path, log: Path, *words: str, kv_gib: int = 1) -> Iterator[Bare]:
    """`vllm serve FOLDER WORDS…`, ended with everything it started."""
    port = _free_port()
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": str(kv_gib)}
    argv = [program(), "serve", str(folder), "--host", "127.0.0.1", "--port", str(port), "--enforce-eager", *words]
    with log.open("wb") as out:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, start_new_session=True
        )
    try:
        yield Bare(process, f"http://127.0.0.1:{port}", log)
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Its session is its own, so the group is everything it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
