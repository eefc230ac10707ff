"""What the processor packages of this machine draw, by Linux's powercap counters (RAPL): for machines without a GPU.

Everything that runs on the machine is in it, the load generator too. Since 2020 the kernel lets only root read the
counters; unreadable is unknown, never zero. Files: https://docs.kernel.org/power/powercap/powercap.html
"""

from __future__ import annotations

import re
from pathlib import Path
from time import perf_counter

from toolkit.load.power import Power

ROOT = Path("/sys/class/powercap")
ZONE = re.compile(r"^intel-rapl:\d+$")
"""Whole packages; ``intel-rapl:0:0`` is a part of one. AMD's processors have the same names."""
MOST_ZONES = 64
SHORTEST_S = 0.01
"""Between two looks whose difference is a power."""


class Rapl:
    """The counters of every package. ``why_not`` says why there is nothing to read."""

    def __init__(self, root: Path = ROOT) -> None:
        self.why_not: str | None = None
        self.names: tuple[str, ...] = ()
        self._zones: list[_Zone] = []
        try:
            found = sorted(zone for zone in root.iterdir() if ZONE.match(zone.name))[:MOST_ZONES]
            named = [(zone, (zone / "name").read_text().strip()) for zone in found]
            self._zones = [_Zone(zone) for zone, name in named if name.startswith("package")]
            self.names = tuple(name for _, name in named if name.startswith("package"))
        except PermissionError:
            self.why_not = "only root may read the processor's energy counters"
        except (OSError, ValueError) as error:
            self.why_not = f"no energy counters of the processor: {error}"
        if self.why_not is None and not self._zones:
            self.why_not = "no energy counters of the processor"
        self._last = (perf_counter(), 0.0)
        self._watts: float | None = None

    def read(self) -> Power | None:
        """Joules since the start, and watts since the look before; None when a counter cannot be read."""
        if self.why_not is not None:
            return None
        try:
            joules = sum(zone.joules() for zone in self._zones)
        except (OSError, ValueError):
            return None
        now, (then, before) = perf_counter(), self._last
        if now - then >= SHORTEST_S:
            self._watts = (joules - before) / (now - then)
            self._last = (now, joules)
        return Power(self._watts, None, joules) if self._watts is not None else None


class _Zone:
    """One package: its counter goes round at a known value, which takes minutes."""

    def __init__(self, folder: Path) -> None:
        self._counter = folder / "energy_uj"
        self._range = int((folder / "max_energy_range_uj").read_text())
        self._at = int(self._counter.read_text())
        self._total = 0

    def joules(self) -> float:
        """Since it was opened."""
        now = int(self._counter.read_text())
        self._total += now - self._at if now >= self._at else now + self._range - self._at
        self._at = now
        return self._total / 1e6
