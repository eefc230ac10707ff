"""Real supervisors on fake engines: start, look, break, and make sure that nothing is left behind."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from toolkit.supervise import api
from toolkit.supervise.limits import Limits
from toolkit.types import Deployment, LaunchPlan

FAKE = Path(__file__).parents[1] / "fakes" / "engine.py"

QUICK = Limits(
    tick_s=0.1,
    load_stall_s=3,
    load_cap_s=30,
    stall_min_s=1.0,
    stall_max_s=4.0,
    suspect_grace_s=0.4,
    idle_probe_after_s=0.6,
    probe_timeout_s=0.4,
    probe_failures=3,
    health_timeout_s=0.3,
    backoff_base_s=0.1,
    backoff_cap_s=0.4,
    crash_limit=50,
    crash_window_s=60,
    half_open_s=(1, 2),
    healthy_reset_s=600,
    drain_s=5,
    term_grace_s=1.0,
    queue_timeout_s=10,
)
"""Every limit scaled down by about a hundred."""


class World:
    """One state folder, one faults file, one journal; servers started in it are ended with it."""

    def __init__(self, root: Path, monkeypatch: Any) -> None:
        self.root = root
        self.home = root / "home"
        self.faults_file = root / "faults.json"
        self.journal_file = root / "journal.jsonl"
        self.faults()
        monkeypatch.setenv("SELFHOST_HOME", str(self.home))
        # Nobody speaks TLS here, and aiohttp reads all certificates when it is imported: 50 ms a process.
        monkeypatch.setenv("SSL_CERT_FILE", os.devnull)

    def plan(self, backend: str = "llama-server", **changes: Any) -> LaunchPlan:
        """A plan that starts the fake. As `llama-server` its counters are read, as `command` it has none."""
        argv = (sys.executable, str(FAKE), "--host", "{host}", "--port", "{port}", "--model", "fake")
        argv += ("--faults", str(self.faults_file), "--journal", str(self.journal_file))
        values: dict[str, Any] = {
            "backend": backend,
            "argv": argv,
            "env": {"FAKE_ROOT": str(self.root)},
            "served_name": "fake",
        }
        return LaunchPlan(**(values | changes))

    def start(self, name: str = "s", limits: Limits = QUICK, plan: LaunchPlan | None = None, **kw: Any) -> Deployment:
        return api.start_detached(plan or self.plan(), name=name, port=kw.pop("port", 0), limits=limits, **kw)

    def faults(self, **faults: Any) -> None:
        fresh = self.faults_file.with_suffix(".new")
        fresh.write_text(json.dumps(faults))
        fresh.replace(self.faults_file)

    def journal(self, what: str | None = None) -> list[dict[str, Any]]:
        if not self.journal_file.exists():
            return []
        lines = [json.loads(line) for line in self.journal_file.read_text().splitlines()]
        return [line for line in lines if what in (None, line["what"])]

    def starts(self) -> int:
        return len(self.journal("start"))

    def events(self, name: str = "s") -> list[str]:
        path = self.home / "servers" / name / "events.jsonl"
        return [json.loads(line)["what"] for line in path.read_text().splitlines()]

    def crashes(self, name: str = "s") -> list[str]:
        """The causes in the event log."""
        path = self.home / "servers" / name / "events.jsonl"
        events = [json.loads(line) for line in path.read_text().splitlines()]
        return [event["detail"] for event in events if event["what"] == "crash"]

    def processes(self) -> list[psutil.Process]:
        """Every live process that belongs to this world: supervisors, shims, engines and what they started."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                    continue
                env = process.environ()
                mine = env.get("FAKE_ROOT") == str(self.root) or env.get("SELFHOST_HOME") == str(self.home)
                shim = str(Path(f"/proc/{process.pid}/fd/2").readlink()).startswith(str(self.root))
                if mine or shim:
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    def engines(self) -> list[int]:
        """Pids of the fake engines that live."""
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                if str(FAKE) in process.cmdline():
                    found.append(process.pid)
        return found

    def close(self) -> list[str]:
        """End everything; what was still running without a supervisor to answer for it."""
        for server in api.status_all().servers:
            api.stop(server.name, now=True)
        left = wait_gone(self, 3.0)
        for process in left:
            process.kill()
        return [f"{p.pid} {p.name()}" for p in left]


def wait_gone(world: World, limit_s: float) -> list[psutil.Process]:
    deadline = time.monotonic() + limit_s
    while (left := world.processes()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def until(true: Callable[[], Any], limit_s: float = 10.0, what: str = "") -> Any:
    """Wait for a truth; what it was. Asked ever less often: to ask a supervisor costs it and us time to work."""
    deadline, pause_s = time.monotonic() + limit_s, 0.01
    while time.monotonic() < deadline:
        if value := true():
            return value
        time.sleep(pause_s)
        pause_s = min(1.2 * pause_s, 0.05)
    raise AssertionError(f"not within {limit_s} s: {what or true}")


def until_state(*states: str, name: str = "s", limit_s: float = 40.0) -> Deployment:
    def reached() -> Deployment | None:
        now = api.status(name)
        return now if now.state in states else None

    return until(reached, limit_s, f"state {states}, now {api.status(name).state}")


def until_new_engine(old_pid: int | None, name: str = "s", limit_s: float = 40.0) -> Deployment:
    """Wait until another engine process is ready."""

    def renewed() -> Deployment | None:
        now = api.status(name)
        return now if now.state == "ready" and now.pid not in (None, old_pid) else None

    return until(renewed, limit_s, f"a new engine, now {api.status(name).state}")


def ready_status(server: Deployment, timeout_s: float = 2.0) -> int:
    """HTTP status of /readyz; 0 when nobody answers."""
    return get(server, "/readyz", timeout_s=timeout_s)[0]


def get(server: Deployment, path: str, key: str | None = None, timeout_s: float = 5.0) -> tuple[int, bytes]:
    root = server.base_url.removesuffix("/v1")
    request = urllib.request.Request(root + path, headers={"Authorization": f"Bearer {key}"} if key else {})
    return _send(request, timeout_s)


def chat(
    server: Deployment, tokens: int = 4, *, stream: bool = False, text: str = "hi", timeout_s: float = 30.0
) -> tuple[int, bytes]:
    """One chat; status and whole body."""
    return _send(chat_request(server, tokens, stream=stream, text=text), timeout_s)


def chat_request(server: Deployment, tokens: int, *, stream: bool, text: str = "hi") -> urllib.request.Request:
    body = {"model": "fake", "max_tokens": tokens, "stream": stream, "messages": [{"role": "user", "content": text}]}
    return urllib.request.Request(
        server.base_url + "/chat/completions",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )


def _send(request: urllib.request.Request, timeout_s: float) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except http.client.IncompleteRead as error:
        return 0, error.partial
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return 0, b""


def without_processor_s(*pids: int | str | None) -> float:
    """How long these processes' main threads could run and had no processor to run on (Linux ``schedstat``).

    Time limits are of a machine that has one for them; on a busy one this is taken off. 0 where it is not told.
    """
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError, IndexError):
            total += int(Path(f"/proc/{pid}/schedstat").read_text().split()[1])
    return total / 1e9


class Lateness:
    """Sums up, while it is entered, for how long these processes and the thread that enters had no processor."""

    def __init__(self, *pids: int | None) -> None:
        self.pids = pids
        self.s = 0.0
        self._stop = threading.Event()
        self._own = f"self/task/{threading.get_native_id()}"
        self._before = without_processor_s(self._own, *pids)
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Lateness:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        """A process that has ended tells nothing any more, so it is asked over and over."""
        most = dict.fromkeys((self._own, *self.pids), 0.0)
        while True:
            for pid in most:
                most[pid] = max(most[pid], without_processor_s(pid))
            self.s = sum(most.values()) - self._before
            if self._stop.wait(0.01):
                return


def kill(pid: int | None, number: int = signal.SIGKILL) -> None:
    assert pid, "there must be a process to signal"
    os.kill(pid, number)
