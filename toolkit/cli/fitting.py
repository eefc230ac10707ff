"""What is asked of a ranking, and which devices hold the model: `size` says so, count by count."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from toolkit.cli.supported import why_not
from toolkit.cost.machine_price import MachinePrice
from toolkit.errors import InputError
from toolkit.load.slo import Slo
from toolkit.models.gguf_mix import MIXES
from toolkit.size import Ask, Device, answer
from toolkit.size.ask import Estimate
from toolkit.size.certainty import certainty
from toolkit.size.usable import fabric, usable_bytes
from toolkit.types import Certainty, Gpu, ModelSpec

COUNTS = (1, 2, 4, 8)
"""Devices of a replica: those of one server; powers of two, by which heads and layers can be shared out."""
MOST_USERS = 256
"""Sequences at once on one replica, at most: what engines run by default on most devices."""


@dataclass(frozen=True)
class Deployed:
    """What stands already: devices of a replica, replicas, how they are rented, and the plan's own memory settings.

    ``settings`` are fields of `size.Ask`.
    """

    count: int
    replicas: int
    spot: bool
    settings: dict[str, Any]


@dataclass(frozen=True)
class Own:
    """Devices that stand here already: how many there are, and what one costs per hour."""

    gpu: Gpu
    count: int
    price: MachinePrice


@dataclass(frozen=True)
class Load:
    """What is asked: tokens per request, users at once or tokens per day, expected times, a budget; what is there."""

    context: int
    users: int | None
    tokens_per_day: int | None
    input_share: float
    slo: Slo | None
    max_usd_per_hour: Decimal | None
    there: Deployed | None = None
    count: int | None = None
    """Devices of a replica, where the user says how many."""

    @property
    def counts(self) -> tuple[int, ...]:
        """Devices of a replica to try."""
        asked = self.there.count if self.there else self.count
        return (asked,) if asked else COUNTS

    @property
    def prompt(self) -> int:
        """Input tokens per request."""
        return min(self.context - 1, max(1, round(self.context * self.input_share)))


@dataclass(frozen=True)
class Candidate:
    """Devices that hold the model: how surely, how many requests at once, how many bytes each.

    ``cache_share`` is the size of its KV cache beside a 16-bit one.
    """

    spec: ModelSpec
    gpu: Gpu
    count: int
    engine: Literal["vllm", "llama.cpp"]
    sure: Certainty
    most: int
    bytes_each: int
    cache_share: float
    price: MachinePrice
    owned: int | None = None
    """Devices there are, where they stand here already; None for as many as one rents."""


def engine_of(spec: ModelSpec) -> Literal["vllm", "llama.cpp"]:
    """llama.cpp for its own weight formats, vLLM for the others."""
    return "llama.cpp" if spec.source == "gguf" or spec.quant in MIXES else "vllm"


def fitting(
    spec: ModelSpec, gpu: Gpu, load: Load, price: MachinePrice, owned: int | None = None
) -> Iterator[Candidate | str]:
    """Those counts of that device that hold the model and one request, by `size`, the smaller first.

    In place of the one count that was asked for, why it cannot be laid out.
    """
    for ask in _asks(spec, gpu, load, owned):
        try:
            estimate = answer.engine(ask).estimate(ask)
        except InputError as error:
            if load.count:
                yield error.message
            continue
        if estimate.margin_bytes < 0:
            continue
        most = min(answer.max_concurrency(ask), ask.parallel or ask.max_num_seqs or MOST_USERS)
        sure = certainty(estimate.margin_bytes, estimate.error_bytes)
        each = max(plan.total_bytes for plan in estimate.devices)
        share = _cache_share(ask, estimate)
        count = len(ask.devices)
        yield Candidate(spec, gpu, count, engine_of(spec), sure, most, each, share, price, owned)


def longest_context(spec: ModelSpec, gpu: Gpu, load: Load) -> int:
    """Tokens of the longest request that some count of that device holds, by `size`; 0 where there is none."""
    found = [0]
    for ask in _asks(spec, gpu, load, None):
        with contextlib.suppress(InputError):
            found.append(answer.max_context(ask))
    return max(found)


def _asks(spec: ModelSpec, gpu: Gpu, load: Load, owned: int | None) -> Iterator[Ask]:
    """The question to `size` for each count there can be, unless its memory is less than the weights."""
    size, how = usable_bytes(gpu)
    kind: Literal["cpu", "gpu"] = "cpu" if gpu.device_class == "cpu" else "gpu"
    device = Device(gpu.name, size, kind, how, gpu.compute_capability, fabric(gpu))
    engine = engine_of(spec)
    if engine == "vllm" and why_not(spec.quant, gpu):
        return
    for count in load.counts:
        if count > (owned or count) or spec.weights_bytes > 1.05 * size * count:
            continue
        ask = Ask(
            model=spec,
            devices=(device,) * count,
            engine=engine,
            context=load.context,
            tp=count if engine == "vllm" else None,
        )
        yield ask.with_(**load.there.settings) if load.there else ask


def _cache_share(ask: Ask, estimate: Estimate) -> float:
    if ask.kv_dtype is None:
        return 1.0
    usual = answer.engine(ask).estimate(ask.with_(kv_dtype=None)).kv_bytes_per_token
    return estimate.kv_bytes_per_token / usual if usual else 1.0
