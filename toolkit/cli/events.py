"""How a served model's events and times look in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolkit.types import Event


def line(event: Event) -> str:
    """One event on one line: local time, what, detail."""
    return f"{event.at[11:19]}  {event.what:<10} {event.detail}".rstrip()


def duration(seconds: float) -> str:
    """``0:42``, ``12:05``, ``3:07:12``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
