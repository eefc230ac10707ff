"""What `selfhost serve` shows in the foreground: one screen that is redrawn on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol, get_args

from toolkit.cli.events import duration, line
from toolkit.cli.output import note

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from toolkit.types import Deployment, Event

EVENTS = 8
"""Last events on the screen."""
SPEEDS = 60
"""Seconds of speed in the small chart."""
BARS = "▁▂▃▄▅▆▇█"
STYLES = {"ready": "bold green", "degraded": "bold yellow", "fatal": "bold red", "crash_loop": "bold red"}


class View(Protocol):
    """Whoever shows a server that runs in this process."""

    def event(self, event: Event) -> None:
        """Something happened."""

    def tick(self, status: Deployment) -> None:
        """A second has passed."""


@contextlib.contextmanager
def following() -> Iterator[View]:
    """The view for this terminal. However the body ends, the terminal is as it was before."""
    if not sys.stderr.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        yield Lines()
        return
    from rich.live import Live

    from toolkit.cli.output import console

    terminal = console(stderr=True)
    with Live(console=terminal, auto_refresh=False, vertical_overflow="crop") as live:
        yield Screen(terminal, live)


class Lines:
    """A line an event, and one that says where to reach it each time it becomes ready."""

    def __init__(self) -> None:
        self._told = False

    def event(self, event: Event) -> None:
        """Print it."""
        note(line(event))
        self._told = self._told and event.what != "ready"

    def tick(self, status: Deployment) -> None:
        """Say once where it can be reached."""
        if status.state == "ready" and not self._told:
            self._told = True
            note(f"serving {status.served_name} at {status.base_url}  (Ctrl-C stops)")


class Screen:
    """The whole state, redrawn in place."""

    def __init__(self, console: Console, live: Live) -> None:
        self._console = console
        self._live = live
        self._speeds: deque[float] = deque(maxlen=SPEEDS)
        self._events: deque[Event] = deque(maxlen=EVENTS)
        self._status: Deployment | None = None

    def event(self, event: Event) -> None:
        """Draw it below the others, at once; the state with it, when it is one."""
        self._events.append(event)
        from toolkit.types import State

        if self._status and event.what in get_args(State):
            self._status = self._status.model_copy(update={"state": event.what})
        self._draw()

    def tick(self, status: Deployment) -> None:
        """Draw the state of this second."""
        self._status = status
        self._speeds.append(status.output_tok_s or 0.0)
        self._draw()

    def _draw(self) -> None:
        from rich.text import Text

        text = Text(no_wrap=True, overflow="ellipsis")
        if self._status:
            _head(text, self._status, self._console.width)
            for label, value in facts(self._status, list(self._speeds)):
                text.append(f"  {label:<11}", "dim").append(f"{value}\n")
            text.append("\n")
        for event in list(self._events)[-max(1, self._console.height - 12) :]:
            text.append(f"{line(event)}\n", "red" if event.what in ("crash", "fatal") else "")
        text.append(self._hint(), "dim")
        self._live.update(text, refresh=True)

    def _hint(self) -> str:
        match self._events[-1].what if self._events else "":
            case "stopped" | "fatal":
                return ""
            case "draining":
                return "waiting for requests in flight; Ctrl-C cuts them"
            case _:
                return "Ctrl-C drains and stops"


def _head(text: Text, status: Deployment, width: int) -> None:
    """Name and state at the left, the endpoint at the right where there is room."""
    text.append(f"{status.name}  ", "bold").append(status.state, STYLES.get(status.state, "bold"))
    serving = status.state in ("ready", "degraded", "draining")
    up = f"  up {duration(status.uptime_s)}" if serving and status.uptime_s is not None else ""
    left = len(status.name) + 2 + len(status.state) + len(up)
    text.append(up)
    if left + 2 + len(status.base_url) <= width:
        text.append(" " * (width - left - len(status.base_url)))
    else:
        text.append("\n")
    text.append(f"{status.base_url}\n", "cyan")


def facts(status: Deployment, speeds: list[float]) -> list[tuple[str, str]]:
    """The lines below the head: what, and how much. What is not known has no line."""
    found = [("model", f"{status.served_name} on {status.backend}")]
    if status.reason:
        found.append(("because", status.reason))
    if status.output_tok_s is not None:
        found.append(("tokens/s", f"{status.output_tok_s:<8.1f} {chart(speeds)}".rstrip()))
    limit = status.effective_config.get("max_in_flight")
    found.append(("in flight", f"{status.in_flight}{f' of {limit}' if limit else ''}, {status.queued} waiting"))
    if status.kv_use is not None:
        found.append(("KV cache", f"{status.kv_use:.0%} in use"))
    if status.restarts:
        last = f", the last after {status.last_exit.reason}" if status.last_exit else ""
        found.append(("restarts", f"{status.restarts}{last}"))
    if status.usd_per_mtok is not None:
        found.append(("cost", f"${status.usd_per_mtok:,.2f} per million tokens so far"))
    return found


def chart(speeds: list[float]) -> str:
    """Speeds as a row of bars against the highest; empty before the first token."""
    top = max(speeds, default=0.0)
    if top <= 0:
        return ""
    return "".join(BARS[min(len(BARS) - 1, int(speed / top * len(BARS)))] for speed in speeds[-SPEEDS // 2 :])
