"""The seam between selfhost and an inference engine: one small Protocol and three frozen records.

A backend knows four things: where its program is (`find`), what it cannot serve (`refuses`), how to start it
(`command`) and how to read its pulse (`signals`). It starts nothing itself; the supervisor does. Register one
under the entry point group ``selfhost.backends`` and every command knows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Protocol

from toolkit.types import Frozen, MemoryPlan

GROUP = "selfhost.backends"


class Engine(Frozen):
    """An installed engine: the words that start it, and the environment it needs."""

    backend: str
    argv0: tuple[str, ...]
    version: str | None = None
    env: dict[str, str] = {}
    where: str
    """How it was found, for the reader: ``PATH``, ``site-packages/bin``, an environment variable."""
    gpu: bool = False
    """True when this build can use an accelerator that is present."""


class Signals(Frozen):
    """How the supervisor reads an engine's pulse. Paths are HTTP paths; names are Prometheus series."""

    health_path: str | None = "/health"
    models_path: str = "/v1/models"
    metrics_path: str | None = "/metrics"
    progress_counters: tuple[str, ...] = ()
    """Series whose change proves that tokens are being computed."""
    busy_gauges: tuple[str, ...] = ()
    """Series whose sum > 0 means that requests are running or waiting."""
    unhealthy_means_dead: bool = False
    """A 503 from `health_path` after ready is final (vLLM: the engine process died)."""
    max_in_flight: int | None = None
    key_env: str | None = None
    """Environment variable by which the engine takes its API key; never argv."""
    load_timeout_env: str | None = None
    """Environment variable that raises the engine's own start limit, in seconds."""


class EngineCommand(Frozen):
    """What to run. ``{host} {port} {uds} {model}`` are filled in by the supervisor."""

    argv: tuple[str, ...]
    env: dict[str, str] = {}
    max_in_flight: int | None = None
    reasons: tuple[str, ...] = ()
    """Why these settings, one sentence each, for the plan's reader."""


class Backend(Protocol):
    """An engine family. Implementations are stateless modules or instances."""

    name: str
    signals: Signals

    def find(self) -> Engine | None:
        """The installed engine, or None. Fast: no model is loaded, no GPU touched."""
        ...

    def refuses(self, memory: MemoryPlan) -> str | None:
        """Why this backend cannot serve that plan, in one sentence; None when it can."""
        ...

    def command(self, memory: MemoryPlan, engine: Engine, served_name: str) -> EngineCommand:
        """The exact command for that plan on that engine."""
        ...


def installed() -> Iterator[Backend]:
    """Every registered backend, in registration order. Each is imported as it is reached."""
    for point in entry_points(group=GROUP):
        yield point.load()
