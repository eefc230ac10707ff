"""The seam between selfhost and an inference engine: one small Protocol and three frozen records.

A backend knows four things: where its program is (`find`), what it cannot serve (`refuses`), how to start it
(`command`) and how to read its pulse (`signals`). It starts nothing itself; the supervisor does. Register one
under the entry point group ``selfhost.backends`` and every command knows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol

from toolkit.errors import UnknownNameError
from toolkit.types import Frozen, MemoryPlan

GROUP = "selfhost.backends"

Series = str | tuple[str, ...] | None
"""A Prometheus series; of several names, the first that is there counts."""


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
    features: tuple[str, ...] = ()
    """Options and traits of this very build that `command` must know, found without loading a model."""


class Knobs(Frozen):
    """What an engine's memory depends on: its words when it has too little, and the options that ask for less.

    Patterns are regular expressions on its log. An option that is not in the command is never added with a guess.
    """

    out_of_memory: str
    """Every way in which it says that memory did not suffice."""
    cache_too_small: str | None = None
    """Its memory budget leaves too little for the KV cache: a smaller budget would be worse."""
    context_allowed: str | None = None
    """One group: the longest context, in tokens a request, that its message says would fit."""
    context_helps: str | None = None
    """It names no such context, but what it could not have grows with it: half is tried."""
    context: str | None = None
    context_is_total: bool = False
    """The context option counts the tokens of all sequences together."""
    sequences: str | None = None
    sequences_setting: str = "max_num_seqs"
    """What a memory plan calls it."""
    utilization: str | None = None
    """Share of the device's memory that it may use."""
    small_cache: tuple[str, ...] = ()
    """Words that store the KV cache in eight bits; used only where that is allowed."""
    small_cache_dtype: str = ""


class Signals(Frozen):
    """How the supervisor reads an engine's pulse. Paths are HTTP paths; names are Prometheus series."""

    health_path: str | None = "/health"
    models_path: str = "/v1/models"
    metrics_path: str | None = "/metrics"
    progress_counters: tuple[str, ...] = ()
    """Series whose change proves that tokens are being computed."""
    busy_gauges: tuple[str, ...] = ()
    """Series whose sum > 0 means that requests are running or waiting."""
    prompt_tokens_counter: Series = None
    """Series that counts prompt tokens processed since the engine started."""
    output_tokens_counter: Series = None
    """Series that counts tokens generated since the engine started."""
    kv_use_gauge: Series = None
    """Series that says which share of the KV cache is in use, 0 to 1."""
    unhealthy_means_dead: bool = False
    """A 503 from `health_path` after ready is final (vLLM: the engine process died)."""
    max_in_flight: int | None = None
    key_env: str | None = None
    """Environment variable by which the engine takes its API key; never argv."""
    load_timeout_env: str | None = None
    """Environment variable that raises the engine's own start limit, in seconds."""
    knobs: Knobs | None = None
    """How it can be started with less memory; None when it cannot."""


class EngineCommand(Frozen):
    """What to run. ``{host} {port} {uds} {model} {term_s}`` are filled in by the supervisor.

    ``{term_s}`` is how many whole seconds the engine has between SIGTERM and SIGKILL, less two.
    """

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


def named(name: str) -> Backend:
    """The registered backend of that name, with did-you-mean.

    Raises:
        UnknownNameError: nothing is registered under it.
    """
    points = {point.name: point for point in entry_points(group=GROUP)}
    if name not in points:
        raise UnknownNameError("backend", name, points)
    backend: Backend = points[name].load()
    return backend


def value_of(memory: MemoryPlan, key: str) -> str | int | float | bool | list[str] | None:
    """One resolved input of a memory plan; None when the plan does not name it."""
    setting = memory.inputs.get(key)
    return None if setting is None else setting.value


def gpu_device_present() -> bool:
    """Whether the system shows an NVIDIA or AMD compute device. Looks at device files only."""
    return any(Path(p).exists() for p in ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg"))
