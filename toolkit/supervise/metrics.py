"""What Prometheus sees of one served name. Names are a contract with the dashboards."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from toolkit.supervise.gpu import Reading
from toolkit.types import State

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
GAP_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 120)


class Metrics:
    """One registry a supervisor; every series carries the label ``server``."""

    def __init__(self, server: str, usd_per_hour: Decimal | None = None) -> None:
        self._registry = CollectorRegistry()
        self._server = server
        self._begun_s = time.monotonic()
        self._usd_per_hour = usd_per_hour
        self._seen = 0.0
        self._last: dict[str, float] = {}
        self._baseline: set[str] = set()
        self._state = self._gauges("state", "1 for the state it is in, 0 for the others", "state")
        self._restarts = self._counters("restarts", "Restarts by what ended the run before", "reason")
        self._requests = self._counters("requests", "Requests to the engine by HTTP status", "status")
        self._tokens = self._counters("tokens", "Tokens by the engine's own count", "kind")
        self._oom_steps = self._counters("oom_steps", "Reductions after a load that ran out of memory", "step")
        self.orphans = self._counters("orphans_killed", "Processes that an engine left behind").labels(server)
        self.load_s = self._gauges("ready_seconds", "How long the last load took").labels(server)
        self.stalled_s = self._gauges("stall_seconds", "Busy seconds since the last progress").labels(server)
        self.dropped = self._gauges("log_dropped_bytes", "Log bytes of this run not written").labels(server)
        self.in_flight = self._gauges("in_flight", "Requests inside the engine").labels(server)
        self.queued = self._gauges("queued", "Requests that wait for a place").labels(server)
        self.probe_s = self._histogram("probe_seconds", "How long idle token probes took", SECONDS)
        self.ttft_s = self._histogram("ttft_seconds", "Request to first bytes of the body", SECONDS)
        self.itl_s = self._histogram("itl_seconds", "Time between pieces of a stream", GAP_SECONDS)
        self.e2e_s = self._histogram("e2e_seconds", "Request to last byte", SECONDS)
        self._kv_use = self._gauges("kv_cache_use_ratio", "Share of the KV cache in use, by the engine's word")
        self._gpu_watts = self._gauges("gpu_power_watts", "Power that the device draws", "gpu")
        self._gpu_used = self._gauges("gpu_memory_used_bytes", "Memory in use on the device, by anyone", "gpu")
        self._gpu_total = self._gauges("gpu_memory_total_bytes", "Memory of the device", "gpu")
        self._usd_hour = self._gauges("usd_per_hour", "What the machine costs, as it was told")
        self._usd_spent = self._gauges("usd_spent", "Machine cost since the supervisor started")
        self._usd_mtok = self._gauges("usd_per_million_tokens", "Machine cost per million tokens so far, in and out")
        self.enter("stopped")

    def enter(self, state: State) -> None:
        """The state it is in now."""
        for known in get_args(State):
            self._state.labels(self._server, known).set(known == state)

    def restarted(self, reason: str) -> None:
        """One more restart."""
        self._restarts.labels(self._server, reason).inc()

    def oom_step(self, step: str) -> None:
        """One more reduction for lack of memory."""
        self._oom_steps.labels(self._server, step).inc()

    def another_engine(self) -> None:
        """From here on the engine's counters are another engine's, which began at zero."""
        self._last.clear()

    def continued(self) -> None:
        """The engine ran before this supervisor did: what it has counted so far is not of this supervisor's time."""
        self._baseline = {"prompt", "output"}

    def kv_use(self, share: float) -> None:
        """How full the engine says its KV cache is."""
        self._kv_use.labels(self._server).set(share)

    def gpus(self, readings: list[Reading]) -> None:
        """What the devices of this machine say."""
        for gpu in readings:
            labels = (self._server, str(gpu.index))
            self._gpu_used.labels(*labels).set(gpu.used_bytes)
            self._gpu_total.labels(*labels).set(gpu.total_bytes)
            if gpu.watts is not None:
                self._gpu_watts.labels(*labels).set(gpu.watts)

    def usd_per_mtok(self) -> Decimal | None:
        """Dollars per million tokens since the supervisor started; None without a price or before the first token."""
        spent = self._spent()
        return None if spent is None or not self._seen else spent * 1_000_000 / Decimal(self._seen)

    def _spent(self) -> Decimal | None:
        if self._usd_per_hour is None:
            return None
        return self._usd_per_hour * Decimal(time.monotonic() - self._begun_s) / 3600

    def answered(self, status: int) -> None:
        """One request answered by the engine or for it."""
        self._requests.labels(self._server, str(status)).inc()

    def engine_count(self, kind: str, total: float) -> None:
        """A counter of the engine's; a fall means that the engine was started anew."""
        before = self._last.get(kind, total if kind in self._baseline else 0.0)
        self._baseline.discard(kind)
        self._last[kind] = total
        fresh = total - before if total >= before else total
        self._seen += fresh
        self._tokens.labels(self._server, kind).inc(fresh)

    def text(self) -> bytes:
        """The exposition format."""
        spent, per_mtok = self._spent(), self.usd_per_mtok()
        if self._usd_per_hour is not None and spent is not None:
            self._usd_hour.labels(self._server).set(float(self._usd_per_hour))
            self._usd_spent.labels(self._server).set(float(spent))
        if per_mtok is not None:
            self._usd_mtok.labels(self._server).set(float(per_mtok))
        return generate_latest(self._registry)

    def _gauges(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"selfhost_{name}", text, ("server", *labels), registry=self._registry)

    def _counters(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"selfhost_{name}", text, ("server", *labels), registry=self._registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        family = Histogram(f"selfhost_{name}", text, ("server",), buckets=buckets, registry=self._registry)
        return family.labels(self._server)
