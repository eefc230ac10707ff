"""What memory an engine holds, what is free, whether it has been given back, and whom the kernel has killed."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path

from toolkit import machine
from toolkit.supervise import gpu
from toolkit.types import GIB, MemoryPlan

POLL_S = 0.25
STEADY_S = 1.0
STEADY_BYTES = 64 * 2**20
MARGIN = 1.1
"""A second engine of the same kind needs about what the first one holds; the tenth is for what it has not touched."""
CGROUP = Path("/sys/fs/cgroup")


def kernel_kills() -> int:
    """How often the kernel has ended a process for lack of memory, as near to us as it counts.

    The counter of our own cgroup (v2 ``memory.events``), else that of the machine (``/proc/vmstat``, Linux 4.13).
    """
    with contextlib.suppress(OSError, ValueError, IndexError):
        own = Path("/proc/self/cgroup").read_text().partition("0::/")[2].splitlines()[0]
        return _count((CGROUP / own.strip("/") / "memory.events").read_text())
    with contextlib.suppress(OSError, ValueError):
        return _count(Path("/proc/vmstat").read_text())
    return 0


def _count(text: str) -> int:
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == "oom_kill":
            return int(value)
    raise ValueError("no oom_kill in it")


async def settled(limit_s: float) -> None:
    """Return when free memory (of the GPUs, else of the machine) has stopped growing, at most after ``limit_s``."""
    loop = asyncio.get_running_loop()
    deadline, best, since = loop.time() + limit_s, _free(), loop.time()
    while loop.time() < deadline and loop.time() - since < STEADY_S:
        await asyncio.sleep(POLL_S)
        now = await asyncio.to_thread(_free)
        if now > best + STEADY_BYTES:
            best, since = now, loop.time()


def _free() -> int:
    free = gpu.free_bytes()
    return sum(free.values()) if free else machine.memory()[1]


@dataclass(frozen=True)
class Room:
    """One kind of memory: what a second engine needs of it and what is free. Bytes."""

    where: str
    needed: int
    free: int


def rooms(pids: list[int], plan: MemoryPlan | None) -> list[Room]:
    """What a second engine like the one of these processes would need, and what there is."""
    found = [Room("RAM", int(_host_bytes(pids, plan) * MARGIN), machine.memory()[1])]
    free = gpu.free_bytes() or {}
    held = gpu.held_bytes(pids)
    planned = [d.total_bytes for d in plan.devices if d.name != "CPU"] if plan else []
    for index, free_bytes in sorted(free.items()):
        # A container may hide which process holds what; then the plan's figure stands for it.
        needed = held.get(index, 0) or (planned[index] if index < len(planned) else 0)
        if needed:
            found.append(Room(f"GPU {index}", int(needed * MARGIN), free_bytes))
    return found


def _host_bytes(pids: list[int], plan: MemoryPlan | None) -> int:
    """Memory of its own now, or what the plan says it will come to. Mapped weights are shared, so they count once."""
    own = sum(_own_bytes(pid) for pid in pids)
    for device in plan.devices if plan else ():
        if device.name == "CPU":
            weights = sum(line.bytes for line in device.lines if line.what == "weights")
            own = max(own, device.total_bytes - (weights if own < weights else 0))
    return own


def _own_bytes(pid: int) -> int:
    """Anonymous and shared-segment pages of one process (``smaps_rollup``: Pss_Anon, Pss_Shmem)."""
    total = 0
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            key, _, value = line.partition(":")
            if key in ("Pss_Anon", "Pss_Shmem"):
                total += int(value.split()[0]) * 1024
    return total


def lacking(found: list[Room]) -> str | None:
    """The sums of what does not suffice for a second engine; None when all does."""
    short = [
        f"{room.where}: it needs {room.needed / GIB:.2f} GiB, {room.free / GIB:.2f} GiB are free"
        for room in found
        if room.needed > room.free
    ]
    return "; ".join(short) or None
