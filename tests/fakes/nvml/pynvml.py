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


def nvmlDeviceGetComputeRunningProcesses(device: int) -> list[SimpleNamespace]:
    """[[pid, bytes], …] as the file says now."""
    held = json.loads(Path(os.environ["FAKE_NVML"]).read_text())
    return [SimpleNamespace(pid=pid, usedGpuMemory=size) for pid, size in held]
