"""May two benches be compared at all? What was recorded about them, side by side. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from toolkit.types import BenchResult, Difference

_Fact = Callable[[BenchResult], Any]

_MUST_AGREE: dict[str, _Fact] = {
    "endpoint": lambda r: r.endpoint,
    "model": lambda r: r.model,
    "input tokens": lambda r: r.workload.input_tokens.model_dump(),
    "output tokens": lambda r: r.workload.output_tokens.model_dump(),
    "shared prefix": lambda r: r.workload.shared_prefix_share,
    "prompt material": lambda r: r.workload.material,
    "processor": lambda r: r.environment.machine.get("cpu"),
    "usable cores": lambda r: r.environment.machine.get("usable_cores"),
    "GPUs": lambda r: r.environment.machine.get("gpus"),
    "server on the client's machine": lambda r: r.environment.machine.get("runs_the_server_too"),
    "load processes": lambda r: r.environment.client.get("processes"),
}
"""Facts that change the figures whatever the server does."""

_MAY_DIFFER: dict[str, _Fact] = {
    "target": lambda r: r.target,
    "engine": lambda r: r.environment.engine.get("name") or r.environment.engine.get("backend"),
    "engine version": lambda r: r.environment.engine.get("version"),
    "engine command": lambda r: r.environment.engine.get("argv"),
    "model file": lambda r: r.environment.model_file.get("sha256"),
    "seed": lambda r: r.seed,
    "selfhost": lambda r: r.environment.toolkit_version,
}
"""What a comparison is usually about."""


def differences(a: BenchResult, b: BenchResult) -> tuple[Difference, ...]:
    """Every recorded fact in which they differ, the ones that forbid a comparison first."""
    found = [_difference(what, fact, a, b, unlike=True) for what, fact in _MUST_AGREE.items()]
    found += [_difference(what, fact, a, b, unlike=False) for what, fact in _MAY_DIFFER.items()]
    return tuple(one for one in found if one is not None)


def _difference(what: str, fact: _Fact, a: BenchResult, b: BenchResult, *, unlike: bool) -> Difference | None:
    of_a, of_b = fact(a), fact(b)
    return None if of_a == of_b else Difference(what=what, a=_words(of_a), b=_words(of_b), unlike=unlike)


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items() if v is not None)[:300]
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))[:300] or "none"
    return "unknown" if value is None else str(value)[:300]
