"""What is told about a served name: its events, its last exit, when it became ready. Kept by the supervisor alone."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from toolkit.supervise import shim
from toolkit.supervise.store import EVENTS_SHOWN, Folder
from toolkit.types import Event, LastExit


class Record:
    """Facts of the present run and of those before it. Times are of the monotonic clock, in seconds."""

    def __init__(self, folder: Folder, on_event: Callable[[Event], None]) -> None:
        self._folder = folder
        self._on_event = on_event
        self.events: deque[Event] = deque(maxlen=EVENTS_SHOWN)
        self.reason: str | None = None
        """Why it is in its state."""
        self.restarts = 0
        self.last_exit: LastExit | None = None
        self.started_s = 0.0
        self.ready_s: float | None = None
        """How long the last load took."""
        self.ready_at_s: float | None = None
        """Since when it is ready; None while it is not."""
        self.ever_ready = False

    def begin(self) -> None:
        """A start begins."""
        self.ready_s = None
        self.started_s = time.monotonic()

    def ready(self, load_s: float | None = None) -> float:
        """It is ready from now on; how long that took."""
        now = time.monotonic()
        self.ready_s = round(now - self.started_s, 3) if load_s is None else load_s
        self.ready_at_s = now
        self.reason = None
        self.ever_ready = True
        return self.ready_s

    def uptime_s(self) -> float | None:
        """Seconds since it became ready."""
        return None if self.ready_at_s is None else round(time.monotonic() - self.ready_at_s, 3)

    def event(self, what: str, detail: str) -> Event:
        """One more event, in memory and in the log."""
        event = Event(at=shim.now(), what=what, detail=detail)
        self.events.append(event)
        self._folder.add_event(event)
        return event

    def publish(self, event: Event) -> None:
        """Show it to whoever follows in this process."""
        self._on_event(event)
