"""Looks at the server beside the load: its own metrics, its CPU, its GPUs, twice a second, in a thread of our own.

Nothing here can fail a bench: what does not answer is left out, and a page that never answered is asked no more.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from time import perf_counter_ns
from typing import Any, Literal

import orjson
import psutil

from toolkit.load import scrape
from toolkit.load.power import Meter, Power
from toolkit.load.rapl import Rapl
from toolkit.load.scrape import Reading
from toolkit.load.server_cpu import ServerCpu
from toolkit.load.spec import Endpoint
from toolkit.types import Energy, Gauge, ServerSide

SAMPLES = "server.jsonl"
EVERY_S = 0.5
GIVE_UP = 3
"""Scrapes in vain, before the first that works, after which the page is asked no more."""
STOP_S = 5.0
PATIENCE_S = 1.5
"""How long the end of a level waits for a last look."""


@dataclass(frozen=True)
class Look:
    """One moment, ``at_s`` seconds since the start of the bench on the clock of its rows."""

    at_s: float
    server: Reading | None
    cpu_s: float | None
    machine_busy: float | None
    power: Power | None

    def record(self) -> dict[str, Any]:
        """As a line of `server.jsonl`."""
        return {
            "at_s": round(self.at_s, 6),
            **(asdict(self.server) if self.server else {}),
            "cpu_s": self.cpu_s,
            "machine_busy": self.machine_busy,
            **(asdict(self.power) if self.power else {}),
        }


class Observer:
    """Use as a context manager around the load."""

    def __init__(self, endpoint: Endpoint, key: str | None, epoch_ns: int, pid: int | None = None) -> None:
        """``pid`` is the engine's, when the supervisor knows it."""
        self._endpoint = endpoint
        self._key = key
        self._epoch_ns = epoch_ns
        local = endpoint.host in ("localhost", "127.0.0.1", "::1")
        self._cpu = ServerCpu(endpoint.port, pid) if local else None
        self._meter = Meter() if local else None
        self._rapl = Rapl() if self._meter is not None and self._meter.why_not is not None else None
        self._misses = 0
        self._worked = False
        self._looks: list[Look] = []
        self._nudge = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="bench-observer", daemon=True)

    def __enter__(self) -> Observer:
        psutil.cpu_percent()  # the first call has nothing to compare with
        if self._cpu is not None and self._meter is not None:
            self._cpu.seconds()
            self._meter.watch(self._cpu.pids)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._nudge.set()
        self._thread.join(STOP_S)

    @property
    def facts(self) -> dict[str, str]:
        """What was watched and what could not be, in words, for the record of the environment."""
        page = next((look.server.source for look in self._looks if look.server), None)
        said = {"server_metrics": f"of {page}" if page else "none: the server has no metrics page that we know"}
        if self._meter is None:
            said["gpu_energy"] = "not measured: the server is on another machine"
        elif self._meter.why_not is not None:
            said["gpu_energy"] = f"not measured: {self._meter.why_not}"
        else:
            said["gpu_energy"] = f"of {', '.join(self._meter.names)}"
        if self._rapl is not None:
            said["cpu_energy"] = (
                f"not measured: {self._rapl.why_not}" if self._rapl.why_not else f"of {', '.join(self._rapl.names)}"
            )
        return said

    def level(self, begin_s: float, end_s: float, tokens: int, output_tokens: int) -> dict[str, Any]:
        """The fields ``server`` and ``energy`` of `types.Level` for that stretch of time."""
        looks = self._until(end_s)
        meter = self._rapl or self._meter
        source: Literal["nvml", "rapl"] = "nvml" if self._rapl is None else "rapl"
        used = energy(looks, begin_s, end_s, tokens, output_tokens, meter.names if meter else (), source)
        return {"server": server_side(looks, begin_s, end_s), "energy": used}

    def write(self, out: Path) -> None:
        """Keep every look as a line of ``out/server.jsonl``; nothing when there was nothing to see."""
        lines = [orjson.dumps(look.record(), option=orjson.OPT_APPEND_NEWLINE) for look in self._looks]
        with suppress(OSError):
            (out / SAMPLES).unlink(missing_ok=True)
            if any(look.server or look.cpu_s is not None or look.power for look in self._looks):
                (out / SAMPLES).write_bytes(b"".join(lines))

    def _until(self, end_s: float) -> list[Look]:
        """All looks, one after that moment among them if the server answers in time."""
        self._nudge.set()
        limit = perf_counter_ns() + int(PATIENCE_S * 1e9)
        while perf_counter_ns() < limit and not (self._looks and self._looks[-1].at_s >= end_s):
            time.sleep(0.01)
        return list(self._looks)

    def _watch(self) -> None:
        while not self._stop.is_set():
            self._nudge.clear()
            self._look()
            self._nudge.wait(EVERY_S)

    def _look(self) -> None:
        page = self._scrape()
        cpu = self._cpu.seconds() if self._cpu else None
        meter = self._rapl or self._meter
        look = Look(
            at_s=(perf_counter_ns() - self._epoch_ns) / 1e9,
            server=page,
            cpu_s=cpu,
            machine_busy=psutil.cpu_percent() / 100 if self._cpu else None,
            power=meter.read() if meter else None,
        )
        self._looks.append(look)

    def _scrape(self) -> Reading | None:
        if self._misses >= GIVE_UP and not self._worked:
            return None
        found = scrape.fetch(self._endpoint, self._key)
        self._worked = self._worked or found is not None
        self._misses += found is None
        return found


def read_looks(folder: Path) -> list[dict[str, Any]]:
    """The lines of a bench's `server.jsonl`; none when there is no such file, or up to where it is broken."""
    found: list[dict[str, Any]] = []
    with suppress(OSError, ValueError):
        for line in (folder / SAMPLES).read_bytes().splitlines():
            look = orjson.loads(line)
            if isinstance(look, dict) and isinstance(look.get("at_s"), int | float):
                found.append(look)
    return found


def server_side(looks: Sequence[Look], begin_s: float, end_s: float) -> ServerSide | None:
    """What the server did between two moments; None when nothing was seen. Pure."""
    inside = [look for look in looks if begin_s <= look.at_s <= end_s]
    pages = [look.server for look in inside if look.server]
    around = _around(looks, begin_s, end_s)
    hits = _grown(around, "prefix_hit_tokens")
    asked = _grown(around, "prefix_asked_tokens")
    found = ServerSide(
        source=pages[0].source if pages else None,
        samples=len(pages),
        running=gauge([page.running for page in pages]),
        queued=gauge([page.queued for page in pages]),
        kv_use=gauge([page.kv_use for page in pages]),
        preemptions=_whole(_grown(around, "preemptions")),
        prefix_hit_share=hits / asked if hits is not None and asked else None,
        restarts=_restarts(around),
        cpu_cores=_cores(around),
        machine_busy=gauge([look.machine_busy for look in inside]),
    )
    seen = pages or found.cpu_cores is not None or found.machine_busy is not None
    return found if seen else None


def energy(
    looks: Sequence[Look],
    begin_s: float,
    end_s: float,
    tokens: int,
    output_tokens: int,
    gpus: Sequence[str],
    source: Literal["nvml", "rapl"] = "nvml",
) -> Energy | None:
    """Joules between two moments: by the devices' own counters, else the integral of their power. Pure."""
    seen = [(look.at_s, look.power) for look in looks if look.power]
    inside = [power for at, power in seen if begin_s <= at <= end_s]
    if len(seen) < 2 or not inside:
        return None
    counted = [(at, power.joules) for at, power in seen if power.joules is not None]
    if len(counted) == len(seen):
        joules = _at(counted, end_s) - _at(counted, begin_s)
    else:
        joules = _integral([(at, power.watts) for at, power in seen], begin_s, end_s)
    watts = [power.watts for power in inside]
    return Energy(
        gpus=tuple(gpus),
        source=source,
        joules=joules,
        how="counter" if len(counted) == len(seen) else "power",
        watts=Gauge(mean=joules / (end_s - begin_s), max=max(watts)) if end_s > begin_s else None,
        gpu_busy=gauge([power.gpu_busy for power in inside]),
        joules_per_token=joules / tokens if tokens else None,
        joules_per_output_token=joules / output_tokens if output_tokens else None,
    )


def gauge(values: Sequence[float | None]) -> Gauge | None:
    """Mean and maximum of the known values."""
    known = [v for v in values if v is not None]
    return Gauge(mean=sum(known) / len(known), max=max(known)) if known else None


def _around(looks: Sequence[Look], begin_s: float, end_s: float) -> list[Look]:
    """The looks inside, the last before and the first after."""
    before = [look for look in looks if look.at_s < begin_s][-1:]
    after = [look for look in looks if look.at_s > end_s][:1]
    return [*before, *(look for look in looks if begin_s <= look.at_s <= end_s), *after]


def _grown(looks: Sequence[Look], name: str) -> float | None:
    """By how much a total grew; one that fell was started anew at zero."""
    values: list[float | None] = [getattr(look.server, name) for look in looks if look.server]
    known = [v for v in values if v is not None]
    if len(known) < 2:
        return None
    return sum(b - a if b >= a else b for a, b in pairwise(known))


def _restarts(looks: Sequence[Look]) -> int | None:
    """How often the server began anew: by our own proxy's count, else by its start time, else by a total that fell.

    Behind one address there may be several servers that answer in turn. Then a start time goes back, or a total
    that fell is back at once: that is no restart, and nothing is said.
    """
    pages = [look.server for look in looks if look.server]
    if (counted := _grown(looks, "restarts")) is not None:
        return round(counted)
    starts = [page.started_at for page in pages if page.started_at is not None]
    if len(starts) >= 2:
        later = [b > a + 1 for a, b in pairwise(starts)]
        return None if any(b < a - 1 for a, b in pairwise(starts)) else sum(later)
    totals = [page.prompt_tokens for page in pages if page.prompt_tokens is not None]
    falls = [i for i in range(1, len(totals)) if totals[i] < totals[i - 1]]
    if len(totals) < 2 or any(max(totals[i : i + 3]) >= totals[i - 1] for i in falls):
        return None
    return len(falls)


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _cores(looks: Sequence[Look]) -> float | None:
    points = [(look.at_s, look.cpu_s) for look in looks if look.cpu_s is not None]
    if len(points) < 2 or points[-1][0] <= points[0][0]:
        return None
    return (points[-1][1] - points[0][1]) / (points[-1][0] - points[0][0])


def _at(points: Sequence[tuple[float, float]], at: float) -> float:
    """A total at a moment, straight lines between the looks, flat outside them."""
    if at <= points[0][0]:
        return points[0][1]
    for (t0, v0), (t1, v1) in pairwise(points):
        if at <= t1:
            return v0 + (v1 - v0) * (at - t0) / (t1 - t0) if t1 > t0 else v1
    return points[-1][1]


def _integral(points: Sequence[tuple[float, float]], begin: float, end: float) -> float:
    cuts = [begin, *(t for t, _ in points if begin < t < end), end]
    corners = [(t, _at(points, t)) for t in cuts]
    return sum((b - a) * (x + y) / 2 for (a, x), (b, y) in pairwise(corners))
