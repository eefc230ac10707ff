"""MemoryPlan + backends → LaunchPlan: which engine serves this, with which words, and why not another.

Preference: the first backend of `ORDER` that is installed and does not refuse. vLLM where a GPU and vLLM are;
llama-server for GGUF; llama-cpp-python as the last resort. Every other backend is listed with its reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from toolkit.backends.base import Backend, Engine
from toolkit.errors import DeclinedError, NoEngineError, UnknownNameError
from toolkit.types import LaunchPlan, MemoryPlan, Rejection

ORDER = ("vllm", "llama-server", "llama-cpp-python")
"""Built-in preference; backends of other packages come after these, `command` is never chosen by itself."""

INSTALL = {
    "vllm": "pip install 'selfhost-toolkit[vllm]'",
    "llama-server": "make install-llama (in a source checkout), or put a llama-server on PATH",
    "llama-cpp-python": "pip install 'selfhost-toolkit[llama]'",
}
"""What mends a missing engine."""


def launch_plan(
    memory: MemoryPlan,
    backends: Iterable[Backend],
    engines: Mapping[str, Engine | None],
    *,
    wanted: str = "auto",
    served_name: str | None = None,
) -> LaunchPlan:
    """Choose a backend and build its command. ``engines`` says what `find()` found for each backend name.

    Raises:
        UnknownNameError: ``wanted`` is no backend.
        NoEngineError: nothing installed can serve this; carries the install command.
        DeclinedError: the model does not fit, or the wanted backend refuses it.
    """
    by_name = {b.name: b for b in backends}
    if wanted not in ("auto", *by_name):
        raise UnknownNameError("backend", wanted, by_name, f"backends: auto, {', '.join(by_name)}.")
    if memory.certainty == "no":
        raise DeclinedError(
            f"{memory.model} does not fit: {memory.context:,} tokens × {memory.concurrency} users",
            _first_fix(memory),
        )
    name = served_name or slug(memory.model)
    rejected: list[Rejection] = []
    candidates = [wanted] if wanted != "auto" else _ordered(by_name)
    for candidate in candidates:
        backend, engine = by_name[candidate], engines.get(candidate)
        reason = backend.refuses(memory) or (None if engine else _missing(candidate))
        if reason is None and engine is not None:
            return _build(memory, backend, engine, name, rejected, [n for n in _ordered(by_name) if n != candidate])
        rejected.append(Rejection(backend=candidate, reason=str(reason)))
    raise _nothing(memory, rejected, engines, by_name)


def slug(name: str) -> str:
    """A served name from a model name: letters, digits, ``.``, ``_`` and ``-`` only, at most 63."""
    return re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._")[:63] or "model"


def _ordered(by_name: Mapping[str, Backend]) -> list[str]:
    known = [n for n in ORDER if n in by_name]
    return known + [n for n in by_name if n not in ORDER and n != "command"]


def _missing(name: str) -> str:
    return f"not installed; to install it: {INSTALL.get(name, f'install the package that provides {name}')}"


def _build(
    memory: MemoryPlan,
    backend: Backend,
    engine: Engine,
    name: str,
    rejected: list[Rejection],
    others: list[str],
) -> LaunchPlan:
    command = backend.command(memory, engine, name)
    path = memory.inputs["model_path"].value
    seen = {r.backend for r in rejected}
    lower = [Rejection(backend=n, reason=f"{backend.name} is preferred") for n in others if n not in seen]
    return LaunchPlan(
        backend=backend.name,
        argv=command.argv,
        env={**engine.env, **command.env},
        model_path=str(path) if path else None,
        served_name=name,
        health_path=backend.signals.health_path,
        max_in_flight=command.max_in_flight or backend.signals.max_in_flight,
        engine_version=engine.version,
        reasons=(f"{backend.name} found: {engine.where}", *command.reasons),
        rejected=(*rejected, *lower),
        memory=memory,
    )


def _first_fix(memory: MemoryPlan) -> str | None:
    fixes = [a.change for a in memory.advice if a.fits_then]
    return f"it fits with: {fixes[0]}." if fixes else None


def _nothing(
    memory: MemoryPlan, rejected: list[Rejection], engines: Mapping[str, Engine | None], by_name: Mapping[str, Backend]
) -> NoEngineError | DeclinedError:
    why = "; ".join(f"{r.backend}: {r.reason}" for r in rejected)
    willing = [r.backend for r in rejected if engines.get(r.backend) is None and not by_name[r.backend].refuses(memory)]
    if willing:
        return NoEngineError(f"no installed engine can serve {memory.model} ({why})", _missing(willing[0]) + ".")
    return DeclinedError(f"no engine can serve {memory.model} here ({why})")
