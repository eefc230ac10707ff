"""The small parent of one engine: spawns it, drains its output, and outlives the supervisor. Stdlib only.

Run as a program, with one JSON object on stdin::

    {"argv", "env", "cwd", "folder", "log_max_bytes", "log_keep", "asked", "meta"}

It leads its own session and is the reaper of everything below it, so no descendant of the engine can get away.
In ``folder`` it writes ``state.json`` (who runs), ``exit.json`` (how it ended), ``engine.log`` (rotated), and
listens on ``shim.sock`` for one JSON line a connection: ``{"op": "status"}`` or
``{"op": "signal", "signal": 15, "tree": false}``. When the engine's leader has exited it ends what is left of
the tree, then itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PIPE_BYTES = 2**20
QUEUE_BYTES = 16 * 2**20
REQUEST_BYTES = 65536
ECHO_BYTES = 4096
"""More than that at once is no mere line about a request of ours."""
TALK_S = 1.0
NO_DISK = 64
"""Exit status, plus the error number, when the folder cannot be written."""
ORPHAN_TERM_S = 1.0
ORPHAN_KILL_S = 8.0
DRAIN_S = 2.0


def main() -> int:
    """Run one engine to its end."""
    spec = json.load(sys.stdin)
    folder = Path(spec["folder"])
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    terminated = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: terminated.set())
    try:
        listener = listen(folder, "shim.sock")
    except OSError as error:
        return NO_DISK + (error.errno or 0)
    read_end, write_end = os.pipe()
    with contextlib.suppress(OSError):
        fcntl.fcntl(write_end, 1031, PIPE_BYTES)  # F_SETPIPE_SZ
    problem = write_json(folder / "state.json", {"version": 1, "meta": spec["meta"]})
    if problem:
        return NO_DISK + problem
    try:
        child = spawn(spec, write_end, libc)
    except OSError as error:
        write_json(folder / "exit.json", {"code": 127, "signal": None, "error": str(error), "at": now()})
        return 1
    os.close(write_end)
    state = {"version": 1, "shim": identity(os.getpid()), "engine": identity(child), "meta": spec["meta"]}
    problem = write_json(folder / "state.json", state)
    if problem:  # it was writable a moment ago; nobody could find this engine again, and it ends with us
        return NO_DISK + problem
    log = Log(folder, int(spec["log_max_bytes"]), int(spec["log_keep"]), str(spec["asked"]))
    reader = log.start(read_end)
    status = tend(child, listener, wake_read, log, terminated)
    record = exit_record(status, child)
    write_json(folder / "exit.json", record)
    record["orphans"] = end_orphans()
    reader.join(DRAIN_S)
    log.finish()
    record["dropped_log_bytes"] = log.dropped
    write_json(folder / "exit.json", record | {"settled": True})
    with contextlib.suppress(OSError):
        (folder / "shim.sock").unlink()
    return 0


def spawn(spec: dict[str, Any], output: int, libc: ctypes.CDLL) -> int:
    """Start the engine in a session of its own; it dies with this process. Returns its pid."""

    def before_exec() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    process = subprocess.Popen(
        spec["argv"],
        env=spec["env"],
        cwd=spec["cwd"],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
        preexec_fn=before_exec,  # noqa: PLW1509 - there is one thread here, so it is safe
    )
    process.returncode = 0  # reaped by `reap`, not by subprocess
    return process.pid


def tend(child: int, listener: socket.socket, wake: int, log: Log, terminated: threading.Event) -> int | None:
    """Answer requests until the engine's leader has exited; its wait status."""
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        selector.register(wake, selectors.EVENT_READ)
        passed_on = False
        while True:
            statuses = reap()
            if child in statuses:
                return statuses[child]
            if start_ticks(child) is None:
                return None
            if terminated.is_set() and not passed_on:
                passed_on = True
                send(child, signal.SIGTERM)
            for key, _ in selector.select(timeout=5):
                if key.fd == wake:
                    os.read(wake, 4096)
                else:
                    talk(listener, child, log)


def talk(listener: socket.socket, child: int, log: Log) -> None:
    """One request, one answer; a bad or slow client is dropped."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(TALK_S)
            request = json.loads(connection.makefile("rb").readline(REQUEST_BYTES))
            if request["op"] == "signal":
                number = int(request["signal"])
                targets = descendants(os.getpid()) if request.get("tree") else [child]
                for pid in targets:
                    send(pid, number)
            answer = {"log_bytes": log.told, "dropped_log_bytes": log.dropped, "log_error": log.error}
            connection.sendall(json.dumps(answer).encode() + b"\n")


def reap() -> dict[int, int]:
    """Wait statuses of all children that have exited."""
    found: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        found[pid] = status


def end_orphans() -> int:
    """End whatever the engine left behind: SIGTERM, then SIGKILL until nothing is left. How many there were."""
    seen: set[int] = set()
    begun = time.monotonic()
    asked = False
    while (waited := time.monotonic() - begun) < ORPHAN_TERM_S + ORPHAN_KILL_S:
        reap()
        left = descendants(os.getpid())
        if not left:
            break
        seen.update(left)
        if waited >= ORPHAN_TERM_S or not asked:
            for pid in left:
                send(pid, signal.SIGKILL if waited >= ORPHAN_TERM_S else signal.SIGTERM)
            asked = True
        time.sleep(0.02)
    return len(seen)


def exit_record(status: int | None, child: int) -> dict[str, Any]:
    """How the engine ended, as written to ``exit.json``."""
    code = signum = None
    if status is not None:
        if os.WIFSIGNALED(status):
            signum = os.WTERMSIG(status)
        else:
            code = os.WEXITSTATUS(status)
    return {"version": 1, "pid": child, "code": code, "signal": signum, "at": now()}


class Log:
    """Rotating files fed by a pipe. The engine is never held up: what cannot be written in time is dropped."""

    def __init__(self, folder: Path, max_bytes: int, keep: int, asked: str) -> None:
        self.path = folder / "engine.log"
        self.max_bytes = max_bytes
        self.keep = keep
        self.told = 0
        """Bytes that came, but for lines which only note that we asked how it is: those are no progress."""
        self._asked = asked.encode()
        self.dropped = 0
        self.error: str | None = None
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._ready = threading.Condition()
        self._ended = False
        self._file: int | None = None
        self._written = 0

    def start(self, source: int) -> threading.Thread:
        """Start draining; the returned thread ends with the pipe."""
        self._writer = threading.Thread(target=self._write_all, daemon=True)
        self._writer.start()
        reader = threading.Thread(target=self._read_all, args=(source,), daemon=True)
        reader.start()
        return reader

    def finish(self) -> None:
        """Write what is queued, within bounds."""
        with self._ready:
            self._ended = True
            self._ready.notify()
        self._writer.join(DRAIN_S)

    def _read_all(self, source: int) -> None:
        while chunk := os.read(source, 262144):
            if len(chunk) > ECHO_BYTES or not all(echoes(line, self._asked) for line in chunk.splitlines()):
                self.told += len(chunk)
            with self._ready:
                if self._queued + len(chunk) > QUEUE_BYTES:
                    self.dropped += len(chunk)
                else:
                    self._queue.append(chunk)
                    self._queued += len(chunk)
                    self._ready.notify()

    def _write_all(self) -> None:
        while True:
            with self._ready:
                while not self._queue and not self._ended:
                    self._ready.wait()
                if not self._queue:
                    return
                chunk = self._queue.popleft()
                self._queued -= len(chunk)
            self._write(chunk)

    def _write(self, chunk: bytes) -> None:
        try:
            if self._file is None:
                self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                self._written = os.fstat(self._file).st_size
            if self._written and self._written + len(chunk) > self.max_bytes:
                self._rotate()
            for start in range(0, len(chunk), self.max_bytes):
                if start:
                    self._rotate()
                self._put(chunk[start : start + self.max_bytes])
            self.error = None
        except OSError as error:
            self.dropped += len(chunk)
            self.error = str(error)

    def _put(self, piece: bytes) -> None:
        assert self._file is not None  # noqa: S101 - opened by the caller
        view = memoryview(piece)
        while view:
            count = os.write(self._file, view)
            self._written += count
            view = view[count:]

    def _rotate(self) -> None:
        assert self._file is not None  # noqa: S101 - opened by the caller
        if self.keep == 1:
            os.ftruncate(self._file, 0)
        else:
            os.close(self._file)
            self._file = None
            for n in range(self.keep - 1, 0, -1):
                older = self.path.with_name(f"engine.log.{n}")
                newer = self.path if n == 1 else self.path.with_name(f"engine.log.{n - 1}")
                with contextlib.suppress(FileNotFoundError):
                    newer.replace(older)
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._written = 0


def echoes(line: bytes, path: bytes) -> bool:
    """Whether a line of an access log is about a GET of this path."""
    return b"GET" in line and path in re.split(rb"[\s\"',]+", line)


def send(pid: int, number: int) -> None:
    """Signal a child of ours; it cannot be a stranger, since only we reap it."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def descendants(root: int) -> list[int]:
    """Every live process below ``root``, deepest last."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = stat_fields(int(entry.name))
            if fields and fields[0] != "Z":
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: list[int] = []
    waiting = [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def stat_fields(pid: int) -> list[str] | None:
    """Fields of ``/proc/PID/stat`` from the state letter on; None when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def start_ticks(pid: int) -> int | None:
    """Start time in clock ticks since boot."""
    fields = stat_fields(pid)
    return int(fields[19]) if fields else None


def identity(pid: int) -> dict[str, Any]:
    """What makes a process unique across pid reuse and reboots."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return {"pid": pid, "start_ticks": start_ticks(pid) or 0, "boot_id": boot}


def listen(folder: Path, name: str) -> socket.socket:
    """A Unix socket in a folder whose path may be longer than a socket address."""
    with contextlib.suppress(FileNotFoundError):
        (folder / name).unlink()
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(f"/proc/self/fd/{fd}/{name}")
    finally:
        os.close(fd)
    listener.listen(16)
    return listener


def write_json(path: Path, value: dict[str, Any]) -> int:
    """Replace a file in one step; 0, or the error number where the disk does not let us."""
    fresh = path.with_suffix(".new")
    try:
        fresh.write_text(json.dumps(value))
        fresh.replace(path)
    except OSError as error:
        return error.errno or 1
    return 0


def now() -> str:
    """Local time with offset, ISO 8601."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


if __name__ == "__main__":
    sys.exit(main())
