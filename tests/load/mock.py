"""Starting the mock server as a child process, and speaking to its switches."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

from toolkit.load.spec import BenchSpec, LoadLevel, TimeLimits, endpoint
from toolkit.types import Lengths, Workload

MOCK = Path(__file__).parents[1] / "fakes" / "mock_llm.py"


class Mock:
    """A running mock server."""

    def __init__(self) -> None:
        self._asked = 0
        self._child = subprocess.Popen([sys.executable, str(MOCK)], stdout=subprocess.PIPE, text=True)
        assert self._child.stdout is not None
        self.port = int(self._child.stdout.readline().split()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.pid = self._child.pid

    def __enter__(self) -> Mock:
        return self

    def __exit__(self, _a: type | None, _b: BaseException | None, _c: TracebackType | None) -> None:
        self._child.kill()
        self._child.wait()
        assert self._child.stdout is not None
        self._child.stdout.close()

    def set(self, **changes: Any) -> None:
        """Back to the defaults, then these changes."""
        for body in ({}, changes) if changes else ({},):
            self._ask("/mock", json.dumps(body).encode())

    def truth(self) -> dict[str, dict[str, Any]]:
        """What really happened since the last call, by reply id."""
        return {t["id"]: t for t in self._ask("/mock/truth", None)}

    def accepted(self) -> int:
        """Connections so far, those of these questions left out."""
        self._asked += 1
        return self._ask("/mock/accepted", None) - self._asked

    def _ask(self, path: str, body: bytes | None) -> Any:
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data=body), timeout=5) as reply:
            return json.load(reply)


def workload(input_tokens: int = 64, output_tokens: int = 8) -> Workload:
    return Workload(
        name="fixed",
        description="for tests",
        input_tokens=Lengths(mean=input_tokens),
        output_tokens=Lengths(mean=output_tokens),
        source="made for tests",
        checked="2026-11-23",
    )


def spec(url: str, *, concurrency: tuple[int, ...] = (), rate: tuple[float, ...] = (), **changes: Any) -> BenchSpec:
    """A short bench of that URL: no warm-up, one second, tight limits."""
    levels = [LoadLevel(concurrency=c) for c in concurrency] + [LoadLevel(rate=r) for r in rate]
    given = {
        "endpoint": endpoint(url),
        "target": url,
        "workload": workload(),
        "levels": tuple(levels) or (LoadLevel(concurrency=2),),
        "duration_s": 1.0,
        "warmup_s": 0.0,
        "limits": TimeLimits(connect_s=2, stall_s=1, request_s=4),
        "command": "test",
    }
    return BenchSpec(**{**given, **changes})
