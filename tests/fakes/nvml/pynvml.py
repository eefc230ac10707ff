"""A fake NVML for a child process: put its folder on PYTHONPATH. Reads who holds memory from FAKE_NVML (JSON).

The one GPU draws FAKE_NVML_WATTS (100) all the time and is busy for three quarters of it. With FAKE_NVML_OLD it has
no energy counter, like cards before Volta. While a file named as FAKE_NVML with `.lost` exists, the GPU is lost.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from types import SimpleNamespace

NVML_ERROR_GPU_IS_LOST = 15
"""As in NVIDIA's `nvml.h`."""


class NVMLError(Exception):
    def __init__(self, value: int) -> None:
        super().__init__(value)
        self.value = value


def nvmlInit() -> None:
    pass


def nvmlDeviceGetCount() -> int:
    return 1


def nvmlDeviceGetHandleByIndex(index: int) -> int:
    if Path(os.environ.get("FAKE_NVML", "") + ".lost").exists():
        raise NVMLError(NVML_ERROR_GPU_IS_LOST)
    return index


def nvmlDeviceGetMemoryInfo(device: int) -> SimpleNamespace:
    """80 GiB in all, less what the file says is held."""
    held = sum(size for _, size in json.loads(Path(os.environ["FAKE_NVML"]).read_text()))
    return SimpleNamespace(total=80 * 2**30, used=held, free=80 * 2**30 - held)


def nvmlDeviceGetComputeRunningProcesses(device: int) -> list[SimpleNamespace]:
    """[[pid, bytes], …] as the file says now."""
    held = json.loads(Path(os.environ["FAKE_NVML"]).read_text()) if "FAKE_NVML" in os.environ else []
    return [SimpleNamespace(pid=pid, usedGpuMemory=size) for pid, size in held]


def nvmlDeviceGetName(device: int) -> str:
    return "Fake GPU"


def nvmlDeviceGetPowerUsage(device: int) -> int:
    """Milliwatts."""
    return round(1000 * _watts())


def nvmlDeviceGetTotalEnergyConsumption(device: int) -> int:
    """Millijoules since an unknown start."""
    if "FAKE_NVML_OLD" in os.environ:
        raise NVMLError(3)  # not supported
    return round(1000 * _watts() * time.monotonic())


def nvmlDeviceGetUtilizationRates(device: int) -> SimpleNamespace:
    return SimpleNamespace(gpu=75, memory=40)


def _watts() -> float:
    return float(os.environ.get("FAKE_NVML_WATTS", "100"))
