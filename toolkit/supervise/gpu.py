"""Who holds GPU memory, by NVML, so that a new engine does not start before the old one's memory is back.

Without `nvidia-ml-py` or a driver there is nothing to wait for, and this module says so by None.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from toolkit.types import GIB

POLL_S = 0.2


@dataclass(frozen=True)
class Reading:
    """One device now. ``watts`` is None where the device does not tell its power."""

    index: int
    used_bytes: int
    total_bytes: int
    watts: float | None


@lru_cache(maxsize=1)
def _nvml() -> Any:
    """The library, started once a process; None where there is none."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # a missing module, a missing driver, a version mismatch: all mean no NVML
        return None
    return pynvml


def holders() -> dict[int, int] | None:
    """Bytes of GPU memory by pid, summed over devices; None without NVML. A size the driver hides counts as 0."""
    nvml = _nvml()
    if nvml is None:
        return None
    found: dict[int, int] = {}
    with contextlib.suppress(nvml.NVMLError):
        for index in range(nvml.nvmlDeviceGetCount()):
            device = nvml.nvmlDeviceGetHandleByIndex(index)
            for process in nvml.nvmlDeviceGetComputeRunningProcesses(device):
                found[process.pid] = found.get(process.pid, 0) + int(process.usedGpuMemory or 0)
    return found


def free_bytes() -> dict[int, int] | None:
    """Free bytes by device; None without NVML."""
    nvml = _nvml()
    if nvml is None:
        return None
    found: dict[int, int] = {}
    with contextlib.suppress(nvml.NVMLError):
        for index in range(nvml.nvmlDeviceGetCount()):
            found[index] = int(nvml.nvmlDeviceGetMemoryInfo(nvml.nvmlDeviceGetHandleByIndex(index)).free)
    return found


def held_bytes(pids: list[int]) -> dict[int, int]:
    """Bytes that these processes hold, by device; empty without NVML."""
    nvml = _nvml()
    found: dict[int, int] = {}
    if nvml is None:
        return found
    with contextlib.suppress(nvml.NVMLError):
        for index in range(nvml.nvmlDeviceGetCount()):
            device = nvml.nvmlDeviceGetHandleByIndex(index)
            running = nvml.nvmlDeviceGetComputeRunningProcesses(device)
            found[index] = sum(int(p.usedGpuMemory or 0) for p in running if p.pid in pids)
    return found


def readings() -> list[Reading]:
    """Memory and power of every device; empty without NVML. A device that does not answer is left out."""
    nvml = _nvml()
    found: list[Reading] = []
    if nvml is None:
        return found
    with contextlib.suppress(nvml.NVMLError):
        for index in range(nvml.nvmlDeviceGetCount()):
            with contextlib.suppress(nvml.NVMLError):
                device, watts = nvml.nvmlDeviceGetHandleByIndex(index), None
                memory = nvml.nvmlDeviceGetMemoryInfo(device)
                with contextlib.suppress(nvml.NVMLError):
                    watts = nvml.nvmlDeviceGetPowerUsage(device) / 1000  # NVML counts milliwatts
                found.append(Reading(index, int(memory.used), int(memory.total), watts))
    return found


def lost() -> str | None:
    """A device that has fallen off the bus, in words; None while all answer, and without NVML."""
    nvml = _nvml()
    if nvml is None:
        return None
    with contextlib.suppress(nvml.NVMLError):
        for index in range(nvml.nvmlDeviceGetCount()):
            try:
                nvml.nvmlDeviceGetMemoryInfo(nvml.nvmlDeviceGetHandleByIndex(index))
            except nvml.NVMLError as error:
                if getattr(error, "value", None) == nvml.NVML_ERROR_GPU_IS_LOST:
                    return f"GPU {index} is lost: `dmesg` has its Xid; a reset or a reboot brings it back, then restart"
    return None


def without() -> str | None:
    """What is not watched for lack of NVML, in one sentence; None where there is one."""
    if _nvml() is not None:
        return None
    off = "GPU memory and power are not watched, and no start waits for memory to come back"
    if Path("/dev/nvidiactl").exists():
        return f"an NVIDIA GPU is here, but NVML cannot be used (pip install nvidia-ml-py): {off}"
    return f"no NVIDIA GPU here: {off}"


async def still_held(pids: set[int], limit_s: float) -> str | None:
    """Wait until none of ``pids`` holds GPU memory; who still does after ``limit_s`` seconds, in words."""
    deadline = asyncio.get_running_loop().time() + limit_s
    while True:
        held = {pid: size for pid, size in (holders() or {}).items() if pid in pids}
        if not held:
            return None
        if asyncio.get_running_loop().time() >= deadline:
            return ", ".join(f"pid {pid} holds {size / GIB:.2f} GiB" for pid, size in sorted(held.items()))
        await asyncio.sleep(POLL_S)
