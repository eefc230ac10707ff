"""What Prometheus sees of one served name. Names are a contract with the dashboards."""

from __future__ import annotations

from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from toolkit.types import State

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
GAP_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 120)


class Metrics:
    """One registry a supervisor; every series carries the label ``server``."""

    def __init__(self, server: str) -> None:
        self._registry = CollectorRegistry()
        self._server = server
        self._last: dict[str, float] = {}
        self._state = self._gauges("state", "1 for the state it is in, 0 for the others", "state")
        self._restarts = self._counters("restarts", "Restarts by what ended the run before", "reason")
        self._requests = self._counters("requests", "Requests to the engine by HTTP status", "status")
        self._tokens = self._counters("tokens", "Tokens by the engine's own count", "kind")
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
        self.enter("stopped")

    def enter(self, state: State) -> None:
        """The state it is in now."""
        for known in get_args(State):
            self._state.labels(self._server, known).set(known == state)

    def restarted(self, reason: str) -> None:
        """One more restart."""
        self._restarts.labels(self._server, reason).inc()

    def answered(self, status: int) -> None:
        """One request answered by the engine or for it."""
        self._requests.labels(self._server, str(status)).inc()

    def engine_count(self, kind: str, total: float) -> None:
        """A counter of the engine's; a fall means that the engine was started anew."""
        before = self._last.get(kind, 0.0)
        self._last[kind] = total
        self._tokens.labels(self._server, kind).inc(total - before if total >= before else total)

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self._registry)

    def _gauges(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"selfhost_{name}", text, ("server", *labels), registry=self._registry)

    def _counters(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"selfhost_{name}", text, ("server", *labels), registry=self._registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        family = Histogram(f"selfhost_{name}", text, ("server",), buckets=buckets, registry=self._registry)
        return family.labels(self._server)
