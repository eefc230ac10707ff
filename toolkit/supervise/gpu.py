"""Who holds GPU memory, by NVML, so that a new engine does not start before the old one's memory is back.

Without `nvidia-ml-py` or a driver there is nothing to wait for, and this module says so by None.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import lru_cache
from typing import Any

from toolkit.types import GIB

POLL_S = 0.2


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
