"""What this machine has: cores, memory, GPUs, disk, ports. The only module that asks the operating system.

Container limits are respected: cores by affinity and cgroup quota, memory by the cgroup limit. GPUs come from
NVML (`nvidia-ml-py`) when its library and a driver are there.
"""

from __future__ import annotations

import contextlib
import ctypes.util
import math
import os
import platform
from pathlib import Path
from typing import Any

from toolkit.types import Frozen

CGROUP = Path("/sys/fs/cgroup")


class NvmlGpu(Frozen):
    """One NVIDIA GPU as NVML sees it. Bytes are physical; ``free_bytes`` is now."""

    index: int
    name: str
    uuid: str
    total_bytes: int
    free_bytes: int
    compute_capability: str
    driver: str


class Machine(Frozen):
    """A snapshot of this machine. ``memory_available_bytes`` is what a new process can take now."""

    cpu: str
    cores: int
    usable_cores: int
    memory_bytes: int
    memory_available_bytes: int
    disk_free_bytes: int
    gpus: tuple[NvmlGpu, ...]
    gpu_note: str | None
    """Why no GPU was read, when none was."""
    os: str
    python: str


def snapshot() -> Machine:
    """Read everything once (a few milliseconds without a GPU)."""
    import shutil

    total, available = memory()
    gpus, note = nvidia_gpus()
    return Machine(
        cpu=cpu_name(),
        cores=os.cpu_count() or 1,
        usable_cores=usable_cores(),
        memory_bytes=total,
        memory_available_bytes=available,
        disk_free_bytes=shutil.disk_usage(Path.home()).free,
        gpus=gpus,
        gpu_note=note,
        os=platform.platform(terse=True),
        python=platform.python_version(),
    )


def usable_cores() -> int:
    """Cores this process may use: the least of affinity and the cgroup's CPU quota, at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        quota, period = (CGROUP / "cpu.max").read_text().split()
        if quota != "max":
            cores = min(cores, max(1, math.floor(int(quota) / int(period))))
    return cores


def engine_threads() -> int:
    """Threads for a CPU engine: every usable core but one, which the client and the supervisor need."""
    return max(1, usable_cores() - 1)


def memory() -> tuple[int, int]:
    """Total and available memory in bytes, bounded by the cgroup limit when there is one."""
    import psutil

    vm = psutil.virtual_memory()
    total, available = int(vm.total), int(vm.available)
    with contextlib.suppress(OSError, ValueError):
        limit = int((CGROUP / "memory.max").read_text())
        used = int((CGROUP / "memory.current").read_text()) - _reclaimable()
        total, available = min(total, limit), min(available, max(0, limit - used))
    return total, available


def _reclaimable() -> int:
    """Bytes of page cache the kernel gives back under pressure (cgroup v2 ``inactive_file``)."""
    for line in (CGROUP / "memory.stat").read_text().splitlines():
        key, _, value = line.partition(" ")
        if key == "inactive_file":
            return int(value)
    return 0


def cpu_name() -> str:
    """The processor's marketing name."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def nvidia_gpus() -> tuple[tuple[NvmlGpu, ...], str | None]:
    """GPUs by NVML, and why there are none when there are none. Never raises."""
    if ctypes.util.find_library("nvidia-ml") is None:
        return (), "no NVIDIA driver library (libnvidia-ml) on this machine"
    try:
        import pynvml
    except ImportError:
        return (), "nvidia-ml-py is not installed (pip install 'selfhost-toolkit[gpu]')"
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return (), f"NVML does not start: {error}"
    try:
        count = int(pynvml.nvmlDeviceGetCount())
        driver = _text(pynvml.nvmlSystemGetDriverVersion())
        return tuple(_read_gpu(pynvml, i, driver) for i in range(count)), None
    except pynvml.NVMLError as error:
        return (), f"NVML failed: {error}"
    finally:
        with contextlib.suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def _read_gpu(pynvml: Any, index: int, driver: str) -> NvmlGpu:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    mem = pynvml.nvmlDeviceGetMemoryInfo(handle)
    major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
    return NvmlGpu(
        index=index,
        name=_text(pynvml.nvmlDeviceGetName(handle)),
        uuid=_text(pynvml.nvmlDeviceGetUUID(handle)),
        total_bytes=int(mem.total),
        free_bytes=int(mem.free),
        compute_capability=f"{major}.{minor}",
        driver=driver,
    )


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def holder_of_port(port: int) -> str | None:
    """Who listens on a TCP port, as ``pid 123 (name: command)``; None when nobody does.

    A listener of another user is named without its command where the system hides it.
    """
    import psutil

    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return _holder_unknown(port)
    for c in connections:
        if c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port:
            return _describe(c.pid)
    return None


def _describe(pid: int | None) -> str:
    import psutil

    if pid is None:
        return "a process of another user"
    try:
        process = psutil.Process(pid)
        command = " ".join(process.cmdline())
        return f"pid {pid} ({process.name()}: {command[:120]})"
    except psutil.Error:
        return f"pid {pid}"


def _holder_unknown(port: int) -> str | None:
    import socket

    with socket.socket() as probe:
        probe.settimeout(0.5)
        return "a process that this user may not see" if probe.connect_ex(("127.0.0.1", port)) == 0 else None
