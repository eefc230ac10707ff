"""CPU time of a server that runs on this machine: the process that listens, and all that it started."""

from __future__ import annotations

import time
from contextlib import suppress

import psutil

LOOK_AGAIN_S = 5.0
"""Processes are looked for this often; in between only the known ones are read."""


class ServerCpu:
    """Seconds of CPU that a process tree has used. A tree that is replaced goes on counting where the last ended."""

    def __init__(self, port: int, pid: int | None = None) -> None:
        """``pid`` when it is known, else whoever listens on ``port``."""
        self._port = port
        self._given = pid
        self._known: dict[int, psutil.Process] = {}
        self._last: dict[int, float] = {}
        self._total = 0.0
        self._looked_at = float("-inf")

    @property
    def pids(self) -> set[int]:
        """The processes it knows."""
        return set(self._known)

    def seconds(self) -> float | None:
        """Since the first call; None while no process is known."""
        now = time.monotonic()
        if now - self._looked_at > LOOK_AGAIN_S:
            self._looked_at = now
            self._look()
        for pid, process in list(self._known.items()):
            try:
                times = process.cpu_times()
            except psutil.Error:
                del self._known[pid]
                continue
            used = times.user + times.system
            self._total += max(0.0, used - self._last.get(pid, used))
            self._last[pid] = used
        return self._total if self._last else None

    def _look(self) -> None:
        leader = self._given if self._given is not None and psutil.pid_exists(self._given) else _listener(self._port)
        if leader is None:
            return
        with suppress(psutil.Error):
            process = psutil.Process(leader)
            for one in (process, *process.children(recursive=True)):
                self._known.setdefault(one.pid, one)


def _listener(port: int) -> int | None:
    try:
        found = psutil.net_connections(kind="tcp")
    except (psutil.Error, OSError):
        return None
    return next((c.pid for c in found if c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port), None)
