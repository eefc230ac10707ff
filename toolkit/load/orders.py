"""What the load process is told: the spec it starts with, the prompts, and an order for each level."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from toolkit.load.material import Planned
from toolkit.load.prompts import NONCE_WORDS
from toolkit.load.spec import PATHS, BenchSpec, LoadLevel

PROMPTS = "prompts.jsonl"
TRACE = "trace.jsonl"
SLACK_S = 45.0
"""Beyond its plan a level may take this long to arm, cut and report before the load process counts as lost."""
OPEN_DRAIN_S = 60.0


def write_prompts(folder: Path, bodies: Iterable[dict[str, Any]]) -> None:
    """Write what `prompts.bodies` made where the load process reads it."""
    (folder / PROMPTS).write_text("\n".join(map(json.dumps, bodies)))


def write_trace(folder: Path, trace: Iterable[Planned]) -> None:
    """Write when to send what, one request a line."""
    (folder / TRACE).write_text("\n".join(map(json.dumps, trace)))


def child_spec(spec: BenchSpec, folder: Path, epoch_ns: int, silence_s: float | None = None) -> dict[str, Any]:
    """The start of a load process. The key is not in it, only the name of the variable that holds it.

    ``silence_s`` limits a request while none has had a token; without it the limit of a request does.
    """
    endpoint = spec.endpoint
    return {
        "epoch_ns": epoch_ns,
        "work_dir": str(folder),
        "host": endpoint.host,
        "port": endpoint.port,
        "tls": endpoint.scheme == "https",
        "host_header": endpoint.authority,
        "path": endpoint.base_path + PATHS[spec.kind],
        "endpoint": spec.kind,
        "api_key_env": spec.api_key_env,
        "prompts": str(folder / PROMPTS),
        "trace": str(folder / TRACE) if spec.trace else None,
        "unique": spec.busts_caches,
        "turns": spec.turns,
        "think_s": spec.think_s,
        "nonce_words": NONCE_WORDS,
        "nonce_salt": random.SystemRandom().getrandbits(24),  # new each run: the last run's cache must not help
        "workers": spec.machines.workers if spec.machines else 0,
        "limits": {**spec.limits.model_dump(), "silence_s": silence_s or spec.limits.request_s},
    }


def order(spec: BenchSpec, number: int, load: LoadLevel) -> dict[str, Any]:
    """One level."""
    return {
        "level": number,
        "users": spec.users(load),
        "rate": load.rate,
        "ramp": load.ramp,
        "replay": load.replay is not None,
        "arrival": spec.arrival,
        "seed": spec.seed + number,
        "warmup_s": spec.warmup_s,
        "duration_s": spec.seconds(load),
        "max_requests": spec.max_requests,
        "drain_s": drain_s(spec, load),
    }


def drain_s(spec: BenchSpec, load: LoadLevel) -> float:
    """How long running requests may take after the last was sent; an overloaded open loop is cut sooner."""
    if load.rate is None:
        return spec.limits.request_s + 1
    return min(spec.limits.request_s + 1, max(OPEN_DRAIN_S, spec.seconds(load)))


def longest_s(spec: BenchSpec, load: LoadLevel) -> float:
    """When a level must be over, however badly it goes."""
    return spec.warmup_s + spec.seconds(load) + 2 * drain_s(spec, load) + SLACK_S
