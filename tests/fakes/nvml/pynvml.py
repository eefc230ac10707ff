"""A fake NVML for a child process: put its folder on PYTHONPATH. Reads who holds memory from FAKE_NVML (JSON)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace


class NVMLError(Exception):
    pass


def nvmlInit() -> None:
    pass


def nvmlDeviceGetCount() -> int:
    return 1


def nvmlDeviceGetHandleByIndex(index: int) -> int:
    return index


def nvmlDeviceGetMemoryInfo(device: int) -> SimpleNamespace:
    """80 GiB in all, less what the file says is held."""
    held = sum(size for _, size in json.loads(Path(os.environ["FAKE_NVML"]).read_text()))
    return SimpleNamespace(total=80 * 2**30, used=held, free=80 * 2**30 - held)


def nvmlDeviceGetComputeRunningProcesses(device: int) -> list[SimpleNamespace]:
    """[[pid, bytes], …] as the file says now."""
    held = json.loads(Path(os.environ["FAKE_NVML"]).read_text())
    return [SimpleNamespace(pid=pid, usedGpuMemory=size) for pid, size in held]
