"""How a served model's events and state look in a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from toolkit.cli.output import color, note

if TYPE_CHECKING:
    from toolkit.types import Deployment, Event

CLEAR = "\r\x1b[2K"


def line(event: Event) -> str:
    """One event on one line: local time, what, detail."""
    return f"{event.at[11:19]}  {event.what:<10} {event.detail}".rstrip()


class Live:
    """Event lines, and below them one line that moves when stderr is a terminal."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._moving = color(sys.stderr)
        self._told = False

    def event(self, event: Event) -> None:
        """Print an event, above the moving line."""
        note((CLEAR if self._moving else "") + line(event))
        if event.what == "ready":
            self._told = False

    def tick(self, status: Deployment) -> None:
        """Once a second: where to reach it (once), and how it is."""
        if status.state == "ready" and not self._told:
            self._told = True
            note(f"{CLEAR if self._moving else ''}serving {status.served_name} at {status.base_url}  (Ctrl-C stops)")
        if self._moving:
            sys.stderr.write(CLEAR + summary(status))
            sys.stderr.flush()


def summary(status: Deployment) -> str:
    """The state in one line of at most 79 characters."""
    parts = [status.name, status.state, f"{status.in_flight} in flight"]
    if status.queued:
        parts.append(f"{status.queued} waiting")
    if status.output_tok_s is not None:
        parts.append(f"{status.output_tok_s:.1f} tok/s")
    if status.uptime_s is not None:
        parts.append(f"up {duration(status.uptime_s)}")
    if status.restarts:
        parts.append(f"{status.restarts} restarts")
    return " · ".join(parts)[:79]


def duration(seconds: float) -> str:
    """``0:42``, ``12:05``, ``3:07:12``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
