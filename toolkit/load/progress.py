"""What a bench is doing now, from the load processes' samples: for a progress line, and for the client's CPU share."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from toolkit.load.slo import percentile

Stage = Literal["prepare", "warmup", "measure", "drain"]
SPEED_WINDOW_S = 2.0


@dataclass(frozen=True)
class Progress:
    """One moment. ``tok_s`` is of the last two seconds, ``ttft_p95_s`` of the level so far, ``left_s`` of its plan."""

    stage: Stage
    label: str
    number: int
    """Which level, from 1."""
    of: int | None
    """How many there will be; None while a search decides."""
    tok_s: float | None = None
    ttft_p95_s: float | None = None
    in_flight: int = 0
    completed: int = 0
    failed: int = 0
    left_s: float | None = None


OnProgress = Callable[[Progress], None]


@dataclass
class Tracker:
    """Collects the events of one level."""

    label: str
    number: int
    of: int | None
    measure_s: float = 0.0
    end_s: float = 0.0
    warmup: bool = True
    ttft_s: list[float] = field(default_factory=list)
    """Of the measured requests completed so far, as the level counts it."""
    given_up: str | None = None
    """Why the level was ended before its time."""
    _last: dict[int, dict[str, Any]] = field(default_factory=dict)
    _first: dict[int, dict[str, Any]] = field(default_factory=dict)
    _cpu: dict[int, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    _speed: deque[tuple[float, int]] = field(default_factory=deque)

    def phase(self, event: dict[str, Any]) -> None:
        """A phase begins."""
        self.warmup, self.measure_s, self.end_s = event["warmup"], event["measure_s"], event["end_s"]

    def sample(self, event: dict[str, Any]) -> Progress:
        """A load process reports."""
        worker, at_s = event["worker"], event["at_s"]
        self._first.setdefault(worker, event)
        self._last[worker] = event
        self.ttft_s += event["ttft_s"]
        if not self.warmup and at_s >= self.measure_s - 0.001:
            self._cpu[worker].append((at_s, event["cpu_s"]))
        self._speed.append((at_s, sum(e["tokens"] for e in self._last.values())))
        while len(self._speed) > 2 and self._speed[0][0] < at_s - SPEED_WINDOW_S:
            self._speed.popleft()
        return self._now(at_s)

    def failed(self) -> int:
        """Failures since the level began, warm-up included."""
        return self._since("failed")

    def completed(self) -> int:
        """Completed requests since the level began, warm-up included."""
        return self._since("completed")

    def busy(self) -> float | None:
        """CPU share of the busiest load process while measuring, 0…1 of one core."""
        shares = [
            (points[-1][1] - points[0][1]) / (points[-1][0] - points[0][0])
            for points in self._cpu.values()
            if len(points) > 1 and points[-1][0] > points[0][0]
        ]
        return max(shares, default=None)

    def _since(self, what: str) -> int:
        return sum(int(self._last[w][what]) - int(self._first[w][what]) for w in self._last)

    def _now(self, at_s: float) -> Progress:
        (then_s, then), (now_s, now) = self._speed[0], self._speed[-1]
        stage: Stage = "warmup" if self.warmup or at_s < self.measure_s else "measure"
        return Progress(
            stage="drain" if stage == "measure" and at_s > self.end_s else stage,
            label=self.label,
            number=self.number,
            of=self.of,
            tok_s=(now - then) / (now_s - then_s) if now_s > then_s else None,
            ttft_p95_s=percentile(sorted(self.ttft_s), 95) if self.ttft_s else None,
            in_flight=sum(e["in_flight"] for e in self._last.values()),
            completed=self.completed(),
            failed=self.failed(),
            left_s=max(0.0, self.end_s - at_s),
        )
