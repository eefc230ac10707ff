"""What the GPUs of this machine draw, by NVML: watts, utilisation, and their own energy counter where they have one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Power:
    """One look at all watched GPUs together. ``joules`` is a total since an unknown start."""

    watts: float
    gpu_busy: float | None
    """Mean share of time in which a kernel ran, 0…1, over NVML's last sample period (up to 1 s)."""
    joules: float | None


class Meter:
    """NVML, opened once. ``why_not`` says why there is nothing to read."""

    def __init__(self) -> None:
        self.why_not: str | None = None
        self.names: tuple[str, ...] = ()
        self._handles: list[Any] = []
        try:
            import pynvml

            self._nvml: Any = pynvml
            pynvml.nvmlInit()
            every = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
            self._every = [(handle, _text(pynvml.nvmlDeviceGetName(handle))) for handle in every]
        except ImportError:
            self.why_not = "nvidia-ml-py is not installed"
        except Exception as error:  # NVML's own class cannot be named without the library
            self.why_not = f"NVML does not start: {error}"
        else:
            self.watch(())
            if not self._handles:
                self.why_not = "NVML sees no GPU"

    def watch(self, pids: Collection[int]) -> None:
        """Watch the GPUs on which these processes hold memory; all GPUs where NVML cannot tell."""
        if self.why_not is not None:
            return
        mine = [(handle, name) for handle, name in self._every if self._holders(handle) & set(pids)]
        chosen = mine or self._every
        self._handles, self.names = [handle for handle, _ in chosen], tuple(name for _, name in chosen)

    def read(self) -> Power | None:
        """Now; None when NVML does not answer."""
        if self.why_not is not None or not self._handles:
            return None
        nvml = self._nvml
        try:
            watts = sum(nvml.nvmlDeviceGetPowerUsage(handle) for handle in self._handles) / 1000
        except nvml.NVMLError:
            return None
        busy = self._each(lambda handle: float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu) / 100)
        used = self._each(lambda handle: float(nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1000)
        return Power(watts, sum(busy) / len(busy) if busy else None, sum(used) if used else None)

    def _each(self, ask: Any) -> list[float]:
        """The answer of every GPU; empty when one has none (cards before Volta have no energy counter)."""
        try:
            return [ask(handle) for handle in self._handles]
        except self._nvml.NVMLError:
            return []

    def _holders(self, handle: Any) -> set[int]:
        try:
            return {int(process.pid) for process in self._nvml.nvmlDeviceGetComputeRunningProcesses(handle)}
        except self._nvml.NVMLError:
            return set()


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
