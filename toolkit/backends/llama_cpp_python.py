"""`python -m llama_cpp.server`: the last resort when no `llama-server` is there.

It has one slot, no `/health` and no counters, so the proxy lets one request in at a time and queues the rest.
"""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from toolkit import machine
from toolkit.backends.base import Engine, EngineCommand, Signals, gpu_device_present, value_of
from toolkit.types import MemoryPlan

SERVER_NEEDS = ("fastapi", "uvicorn", "starlette_context", "sse_starlette", "pydantic_settings")
"""Modules of the package's ``server`` extra."""
PLACED = ("n_cpu_moe", "override_tensor", "tensor_split", "split_mode", "main_gpu", "lora")
"""Inputs that only `llama-server` is told."""


class LlamaCppPython:
    """Backend for the server inside the `llama-cpp-python` package."""

    name = "llama-cpp-python"
    signals = Signals(health_path=None, metrics_path=None, max_in_flight=1, key_env="API_KEY")

    def find(self) -> Engine | None:
        """The package in this Python environment, with its server extra. It is not imported."""
        spec = find_spec("llama_cpp")
        if spec is None or not spec.origin or any(find_spec(m) is None for m in SERVER_NEEDS):
            return None
        try:
            installed = version("llama-cpp-python")
        except PackageNotFoundError:
            return None
        libraries = Path(spec.origin).parent / "lib"
        gpu_library = any(next(libraries.glob(f"libggml-{n}*"), None) for n in ("cuda", "hip", "vulkan", "metal"))
        return Engine(
            backend=self.name,
            argv0=(sys.executable, "-m", "llama_cpp.server"),
            version=installed,
            where="this Python environment",
            gpu=gpu_library and gpu_device_present(),
        )

    def refuses(self, memory: MemoryPlan) -> str | None:
        """It serves GGUF files only, and memory plans made for llama.cpp."""
        if memory.engine != "llama.cpp":
            return "the memory plan was made for vLLM; llama.cpp lays memory out differently"
        path = value_of(memory, "model_path")
        if path is None:
            return "its GGUF file is not on this machine; download it and give the file"
        if isinstance(path, str) and not path.endswith(".gguf"):
            return "llama.cpp reads GGUF files, and this model is not one"
        if value_of(memory, "draft") is not None:
            return "its server drafts with no second model; llama-server does"
        if any(value_of(memory, name) is not None for name in PLACED):
            return "its server cannot place tensors or load adapters as this plan does; llama-server can"
        return None

    def command(self, memory: MemoryPlan, engine: Engine, served_name: str) -> EngineCommand:
        """One request at a time, never interrupted by the next one."""
        argv = [*engine.argv0, "--model", "{model}", "--model_alias", served_name]
        argv += ["--host", "{host}", "--port", "{port}", "--n_ctx", str(memory.context)]
        argv += ["--interrupt_requests", "False", "--verbose", "False"]
        reasons = ["one request at a time: this server has a single slot, the proxy queues the rest"]
        layers = value_of(memory, "gpu_layers")
        if engine.gpu:
            argv += ["--n_gpu_layers", str(layers if isinstance(layers, int) else -1)]
        else:
            threads = str(machine.engine_threads())
            argv += ["--n_threads", threads, "--n_threads_batch", threads]
            reasons.append(f"{threads} threads: llama.cpp's workers spin, so one core is left to the client")
        ubatch = value_of(memory, "ubatch")
        if isinstance(ubatch, int) and not isinstance(ubatch, bool):
            argv += ["--n_ubatch", str(ubatch)]
        return EngineCommand(argv=tuple(argv), env=engine.env, max_in_flight=1, reasons=tuple(reasons))


BACKEND = LlamaCppPython()
