"""One stretch of load as one process sees it, and what one of its users keeps."""

from __future__ import annotations

from collections import deque
from time import perf_counter_ns
from typing import Any

from gevent.event import Event

from bench.answer import Answer
from bench.connection import Connection


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
        self.ready = self.busy = self.unsent = self.turn = 0
        self.idle_users: list[LoadState] = []
        self.backlog: deque[int] = deque()
        self.scheduling = not self.closed_loop

    @property
    def over(self) -> bool:
        """Whether the phase was ended before its time."""
        return self.stop.is_set()

    def may_send(self) -> bool:
        """Whether a closed-loop user may start another request; takes one from the quota."""
        if self.over or perf_counter_ns() >= self.end_ns or self.quota == 0:
            return False
        if self.quota is not None:
            self.quota -= 1
        return True


class LoadState:
    """What one user keeps between requests: its connection and, in open loop, the job handed to it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.answer: Answer | None = None
        self.wake = Event()
        self.job: int | None = None
        self.failures = 0
