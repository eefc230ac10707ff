"""What a service manager is told: ready, reloading, stopping, the state in words, and a pulse while all is well.

The protocol is sd_notify(3): datagrams of ``KEY=value`` lines to the socket that ``NOTIFY_SOCKET`` names.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import Literal

from toolkit.types import Deployment

BEAT_S = 10.0
"""Longest time between two beats; a watchdog gets three in its time."""
EXTEND_S = 60
"""What each beat adds to a start or a reload."""


def send(address: str, *lines: str) -> bool:
    """One message to a service manager; false when nobody takes it. ``@name`` is an abstract socket."""
    target = "\0" + address[1:] if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.setblocking(False)
            out.sendto("\n".join(lines).encode(), target)
    except OSError:
        return False
    return True


class Notifier:
    """Speaks to the service manager that started this process; silent where there is none."""

    def __init__(self, environment: Mapping[str, str], pid: int) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._pid = pid
        watched = environment.get("WATCHDOG_PID", str(pid)) == str(pid)
        usec = environment.get("WATCHDOG_USEC", "") if watched else ""
        self._watchdog_s = int(usec) / 1e6 if usec.isascii() and usec.isdigit() and len(usec) < 20 else 0.0
        self._due: Literal["start", "reload"] | None = "start"
        """What the service manager still waits for."""
        self._unsaid: tuple[str, ...] = ()
        """A change that the service manager had no room for; it goes with the next beat."""

    @classmethod
    def here(cls) -> Notifier:
        """For this process, by its environment."""
        return cls(os.environ, os.getpid())

    @property
    def beat_s(self) -> float:
        """Seconds between two beats."""
        return min(BEAT_S, self._watchdog_s / 3) if self._watchdog_s > 0 else BEAT_S

    def state(self, status: Deployment) -> None:
        """The state has changed. The first time ready, and the end of a reload, are told as such."""
        over = status.state == "ready" or (self._due == "reload" and status.state == "fatal")
        told = ("READY=1", f"MAINPID={self._pid}") if self._due and over else ()
        if over:
            self._due = None
        self._send(f"STATUS={words(status)}", change=told)

    def reloading(self) -> None:
        """The engine is being replaced because someone asked for it."""
        if self._due is None:
            self._due = "reload"
        self._send(change=("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}"))

    def stopping(self) -> None:
        """Someone asked for a stop."""
        self._due = None
        self._send(change=("STOPPING=1",))

    async def beat(self, view: Callable[[], Deployment], healthy: Callable[[], bool]) -> None:
        """For ever: the state in words, and the pulse as long as the supervisor does its work."""
        while self._address:
            lines = [f"STATUS={words(view())}"]
            if healthy():
                lines += ["WATCHDOG=1"] if self._watchdog_s else []
                lines += [f"EXTEND_TIMEOUT_USEC={EXTEND_S * 1_000_000}"] if self._due else []
            self._send(*lines)
            await asyncio.sleep(self.beat_s)

    def _send(self, *lines: str, change: tuple[str, ...] = ()) -> None:
        """Never waits. A full queue may lose words and beats, but no change: the last one is said again."""
        self._unsaid = change or self._unsaid
        if self._address and send(self._address, *self._unsaid, *lines):
            self._unsaid = ()


def words(status: Deployment) -> str:
    """A status on one line, for `systemctl status`."""
    parts = [status.state + (f" ({status.reason})" if status.reason else "")]
    if status.uptime_s is not None:
        parts.append(f"{status.in_flight} in flight, {status.queued} waiting")
    if status.output_tok_s is not None:
        parts.append(f"{status.output_tok_s:.1f} tok/s")
    if status.restarts:
        parts.append(f"{status.restarts} restarts")
    return " ".join("; ".join(parts).split())
