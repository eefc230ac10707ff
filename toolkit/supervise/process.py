"""Processes by identity, not by number: a pid counts only with its start time and the boot it belongs to. Linux.

Reads ``/proc``; signals go through a pidfd, so a recycled pid is never hit.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.supervise import shim

SO_ACCEPTCON = 0x10000
"""Flag of a listening socket in ``/proc/net/unix`` (Linux ``include/linux/net.h``, ``__SO_ACCEPTCON``)."""
MARK = "SELFHOST_ENGINE_ID"
"""Environment variable that marks every process of one engine."""


@dataclass(frozen=True)
class Identity:
    """One process of one boot."""

    pid: int
    start_ticks: int
    boot_id: str

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """The process that has this pid now; None when there is none."""
        record = shim.identity(pid)
        return cls(**record) if record["start_ticks"] else None

    @classmethod
    def parse(cls, record: Any) -> Identity | None:
        """From a record of `shim.identity`; None when it is not one."""
        try:
            return cls(int(record["pid"]), int(record["start_ticks"]), str(record["boot_id"]))
        except (KeyError, TypeError, ValueError):
            return None

    def alive(self) -> bool:
        """Whether this very process still runs (a zombie does not)."""
        fields = shim.stat_fields(self.pid)
        return fields is not None and fields[0] != "Z" and Identity.of(self.pid) == self


class Handle:
    """An open pidfd on a process that was verified after opening."""

    def __init__(self, identity: Identity, fd: int) -> None:
        self.identity = identity
        self._fd = fd

    @classmethod
    def open(cls, identity: Identity) -> Handle | None:
        """None when that very process is not there any more."""
        try:
            fd = os.pidfd_open(identity.pid)
        except OSError:
            return None
        if Identity.of(identity.pid) != identity:
            os.close(fd)
            return None
        return cls(identity, fd)

    def send(self, number: int) -> None:
        """Signal it, if it still runs."""
        with contextlib.suppress(ProcessLookupError, OSError):
            signal.pidfd_send_signal(self._fd, number)

    async def ended(self) -> None:
        """Return when it has exited (at once if it has). Several tasks may wait."""
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        fd = os.dup(self._fd)

        def exited() -> None:
            if not done.done():
                done.set_result(None)

        loop.add_reader(fd, exited)
        try:
            await done
        finally:
            loop.remove_reader(fd)
            os.close(fd)

    def close(self) -> None:
        """Give the descriptor back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def marked(mark: str) -> list[Identity]:
    """Every live process of this user whose environment carries the mark."""
    needle = f"{MARK}={mark}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if needle in (entry / "environ").read_bytes().split(b"\0"):
                identity = Identity.of(int(entry.name))
                if identity and identity.alive():
                    found.append(identity)
    return found


async def kill_all(identities: list[Identity], limit_s: float) -> list[Identity]:
    """SIGKILL them and wait; those still alive after ``limit_s`` seconds."""
    for identity in identities:
        handle = Handle.open(identity)
        if handle:
            handle.send(signal.SIGKILL)
            handle.close()
    deadline = asyncio.get_running_loop().time() + limit_s
    while left := [i for i in identities if i.alive()]:
        if asyncio.get_running_loop().time() >= deadline:
            return left
        await asyncio.sleep(0.02)
    return []


def owns_listener(address: int | str, pids: list[int]) -> bool | None:
    """Whether one of ``pids`` listens on the TCP port or Unix socket; None when nobody listens there."""
    inodes = _tcp_listeners(address) if isinstance(address, int) else _unix_listeners(address)
    if not inodes:
        return None
    targets = {f"socket:[{inode}]" for inode in inodes}
    for pid in pids:
        with contextlib.suppress(OSError):
            for fd in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    if str(fd.readlink()) in targets:
                        return True
    return False


def _unix_listeners(path: str) -> set[str]:
    """Socket inodes that accept connections on that path."""
    found = set()
    with contextlib.suppress(OSError):
        for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
            fields = line.split()
            if len(fields) >= 8 and fields[7] == path and int(fields[3], 16) & SO_ACCEPTCON:
                found.add(fields[6])
    return found


def _tcp_listeners(port: int) -> set[str]:
    """Socket inodes in state LISTEN on the port, IPv4 and IPv6."""
    suffix, found = f":{port:04X}", set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[1].endswith(suffix) and fields[3] == "0A":
                    found.add(fields[9])
    return found


def resources(pids: list[int]) -> tuple[int, int]:
    """Bytes read so far and resident bytes, summed over live processes."""
    read = resident = 0
    page = os.sysconf("SC_PAGE_SIZE")
    for pid in pids:
        with contextlib.suppress(OSError, ValueError, IndexError):
            io = Path(f"/proc/{pid}/io").read_text()
            read += int(io.partition("rchar:")[2].split()[0])
            resident += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page
    return read, resident
