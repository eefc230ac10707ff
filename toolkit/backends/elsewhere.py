"""Engines of another machine: what a plan takes as given when its engine need not be installed here.

A plan for `deploy` is made where the user sits, and runs where the GPUs are.
"""

from __future__ import annotations

from toolkit.backends.base import Backend, Engine, EngineCommand, Signals, value_of
from toolkit.types import MemoryPlan

PROGRAMS = {"vllm": ("vllm", "serve"), "llama-server": ("llama-server",)}
"""The engines whose images `deploy` knows."""
FEATURES = ("--cache-ram", "--fit")
"""Options of llama.cpp's builds since the end of 2025."""


class Elsewhere:
    """A backend that is taken to be installed, on the devices of the memory plan."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.name: str = backend.name
        self.signals: Signals = backend.signals

    def find(self) -> Engine | None:
        """Nothing is looked for; see `engine`."""
        return None

    def refuses(self, memory: MemoryPlan) -> str | None:
        """Only what no machine could mend: a plan made for another engine, or a format it does not read."""
        wanted = "vllm" if self.name == "vllm" else "llama.cpp"
        if memory.engine != wanted:
            return f"the memory plan was made for {memory.engine}"
        path = value_of(memory, "model_path")
        if self.name == "vllm" and isinstance(path, str) and path.endswith(".gguf"):
            return "vLLM serves Hugging Face folders; this model is a GGUF file"
        return None

    def command(self, memory: MemoryPlan, engine: Engine, served_name: str) -> EngineCommand:
        """The backend's own command."""
        return self._backend.command(memory, engine, served_name)


def engine(name: str, memory: MemoryPlan) -> Engine | None:
    """The engine as the other machine will have it; None for one whose image is not known."""
    if name not in PROGRAMS:
        return None
    return Engine(
        backend=name,
        argv0=PROGRAMS[name],
        version=memory.engine_version if name == "vllm" else None,
        where="the machine it will run on",
        gpu=any(device.name != "CPU" for device in memory.devices),
        features=FEATURES if name == "llama-server" else (),
    )
