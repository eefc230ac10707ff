"""The load process: Locust as a child, spoken to over a socket pair, one JSON object a line each way.

It runs in a session of its own, so Ctrl-C reaches us and not it; we then ask it to stop, and it writes what it has.
When we die, its end of the line closes and it ends itself.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from toolkit.errors import EnvironmentFailedError
from toolkit.load.spec import Machines
from toolkit.paths import data_root

READY_S = 60.0
CREW_S = 600.0
"""How long workers of other machines are waited for."""
STOP_S = 8.0
LOG_TAIL_BYTES = 2000
MAX_LINE_BYTES = 4 * 2**20


class LoadProcessDiedError(EnvironmentFailedError):
    """The load process ended or went silent before its work was done."""


class LoadProcess:
    """A running Locust. Use as a context manager: on exit nothing of it is left."""

    def __init__(
        self,
        folder: Path,
        spec: dict[str, Any],
        processes: int,
        machines: Machines | None = None,
        on_crew: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> None:
        """``folder`` receives the spec, the log and the rows; ``on_crew`` hears who of ``machines`` has joined."""
        self._folder = folder
        self._processes = processes
        self._machines = machines
        self._on_crew = on_crew
        self.crew: dict[str, dict[str, Any]] = {}
        """The workers of other machines and what they said of themselves, once it is ready."""
        (folder / "spec.json").write_text(json.dumps(spec))
        self._log = folder / "locust.log"
        self._child: subprocess.Popen[bytes] | None = None
        self._line: socket.socket
        self._buffer = b""
        self._events: deque[dict[str, Any]] = deque()

    def __enter__(self) -> LoadProcess:
        """Start it and wait until it is ready for a level."""
        if self._machines is not None:
            _check_free(self._machines)
        ours, theirs = socket.socketpair()
        self._line = ours
        try:
            with theirs, self._log.open("wb") as log:
                self._child = self._start(theirs.fileno(), log)
            self._wait_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Ask it to end, then make it."""
        with suppress(OSError):
            self._line.close()
        child = self._child
        if child is None:
            return
        try:
            child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            pass
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)  # forked workers are in its group
            child.wait()

    def _wait_ready(self) -> None:
        limit = time.monotonic() + (CREW_S if self._machines else READY_S)
        joined = None
        while (event := self.receive(limit - time.monotonic())) is not None:
            if event["event"] == "ready":  # samples of workers may come before it
                self.crew = event["crew"]
                return
            if event["event"] == "crew":
                joined = event["here"]
                self._on_crew(event)
        if self._machines and joined is not None:
            raise LoadProcessDiedError(
                f"{joined} of {self._machines.workers} load workers joined {self._machines.address} in {CREW_S:.0f} s"
            )
        raise LoadProcessDiedError(f"the load process was not ready within {READY_S:.0f} s{self._last_words()}")

    def send(self, command: dict[str, Any]) -> None:
        """Give it a level, or tell it to stop. Raises LoadProcessDiedError."""
        try:
            self._line.settimeout(5)
            self._line.sendall(json.dumps(command).encode() + b"\n")
        except OSError as error:
            raise LoadProcessDiedError(f"the load process is gone{self._last_words()}") from error

    def receive(self, timeout_s: float) -> dict[str, Any] | None:
        """The next event, or None when none came in time. Raises LoadProcessDiedError when it has ended."""
        limit = time.monotonic() + timeout_s
        while not self._events:
            left = limit - time.monotonic()
            if left <= 0:
                return None
            self._line.settimeout(left)
            try:
                data = self._line.recv(1 << 16)
            except TimeoutError:
                return None
            except OSError:
                data = b""
            if not data:
                raise LoadProcessDiedError(f"the load process ended{self._last_words()}")
            *lines, self._buffer = (self._buffer + data).split(b"\n")
            if len(self._buffer) > MAX_LINE_BYTES:
                raise LoadProcessDiedError("the load process sends nonsense")
            self._events.extend(json.loads(line) for line in lines)
        return self._events.popleft()

    def _start(self, descriptor: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "locust", "-f", str(data_root() / "bench" / "locustfile.py")]
        command += ["--headless", "--only-summary", "--exit-code-on-error", "0", "--loglevel", "WARNING"]
        if self._processes > 1:
            port = str(_free_port())
            command += ["--processes", str(self._processes), "--master-bind-host", "127.0.0.1"]
            command += ["--master-bind-port", port, "--master-host", "127.0.0.1", "--master-port", port]
        if self._machines is not None:
            command += ["--master", "--expect-workers", "1"]  # the director waits for them all
            command += ["--master-bind-host", self._machines.host, "--master-bind-port", str(self._machines.port)]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("LOCUST_")}
        environment["SELFHOST_BENCH_SPEC"] = str(self._folder / "spec.json")
        environment["SELFHOST_BENCH_CONTROL"] = str(descriptor)
        return subprocess.Popen(
            command,
            cwd=self._folder,  # no locust.conf of the user's folder
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(descriptor,),
            start_new_session=True,
        )

    def _last_words(self) -> str:
        with suppress(OSError):
            lines = self._log.read_bytes()[-LOG_TAIL_BYTES:].decode("utf-8", "replace").strip().splitlines()
            if lines:
                return f": {lines[-1][:300]}"
        return ""


def _check_free(machines: Machines) -> None:
    """Say in one sentence what Locust would say in a traceback."""
    host = machines.host.strip("[]")
    try:
        family = socket.getaddrinfo(host, machines.port, type=socket.SOCK_STREAM)[0][0]
        socket.create_server((host, machines.port), family=family).close()
    except OSError as error:
        raise EnvironmentFailedError(
            f"cannot listen at {machines.address}: {error.strerror or error}",
            "Name an address and a free port of ours.",
        ) from None


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
