"""One stretch of load as one process sees it, what one of its users keeps, and what is to be sent."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any

from gevent.event import Event

from bench.answer import Answer
from bench.arrivals import offsets, ramp
from bench.connection import Connection
from bench.embedding import Embedding


@dataclass(frozen=True, slots=True)
class Job:
    """One request that is due: when (monotonic ns), and which prompt and answer length if a trace says so."""

    due_ns: int
    prompt: int | None = None
    asked: int | None = None


Planned = tuple[float, int | None, int | None]
"""Seconds from the start of the load, prompt number, output tokens."""


class Phase:
    """One stretch of load, seen from one process. Times are nanoseconds."""

    def __init__(self, order: dict[str, Any], clock_steps: int) -> None:
        self.order = order
        self.clock_steps_before = clock_steps
        self.closed_loop = order["rate"] is None
        self.go = Event()
        self.stop = Event()
        self.start_ns = self.measure_ns = self.end_ns = 0
        self.quota: int | None = None
        self.part, self.parts = 0, 1
        self.ready = self.busy = self.unsent = self.turn = self.begun = 0
        self.idle_users: list[LoadState] = []
        self.backlog: deque[Job] = deque()
        self.scheduling = not self.closed_loop

    @property
    def over(self) -> bool:
        """Whether the phase was ended before its time."""
        return self.stop.is_set()

    def turn_to_begin(self) -> int:
        """Which user of all processes this one is, in the order of their beginning."""
        self.begun += 1
        return (self.begun - 1) * self.parts + self.part

    def spread_s(self, share: float) -> float:
        """Seconds between two users when all begin within that share of the phase."""
        return share * self.order["duration_s"] / self.order["users"]

    def may_send(self) -> bool:
        """Whether a closed-loop user may start another request; takes one from the quota."""
        if self.over or perf_counter_ns() >= self.end_ns or self.quota == 0:
            return False
        if self.quota is not None:
            self.quota -= 1
        return True

    def planned(self, trace: list[Planned]) -> Iterator[Planned]:
        """What an open loop is to send."""
        order = self.order
        if order.get("replay"):
            return iter(trace)
        if order.get("ramp"):
            begin, end = order["ramp"]
            times = ramp(begin, end, order["duration_s"], order["arrival"], order["seed"], hold=order["warmup_s"])
        else:
            times = offsets(order["rate"], order["arrival"], order["seed"])
        return ((at, None, None) for at in times)


class LoadState:
    """What one user keeps between requests: its connection and, in open loop, the job handed to it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.answer: Answer | Embedding | None = None
        self.wake = Event()
        self.job: Job | None = None
        self.failures = 0
        self.asked_wait_s: float | None = None
        """What the last refusal asked for."""
