"""From a question to a `MemoryPlan`: the engine's estimate, then how many users, how long a context, what to change."""

from __future__ import annotations

from typing import Protocol

from toolkit.errors import InputError
from toolkit.size.ask import Ask, Device, Estimate, check, setting
from toolkit.size.certainty import certainty
from toolkit.size.search import largest
from toolkit.types import GIB, Advice, GridRow, MemoryPlan, MinimumGpus, Setting

GRID_ROWS = 10
COUNTS = (1, 2, 4, 8)
"""Devices per machine that are sold and that tensor parallelism divides by."""

CONTEXT_STEP = 256
"""Contexts are answered in whole steps of this many tokens (llama.cpp pads cells to it; vLLM's blocks divide it)."""


class Engine(Protocol):
    """What an engine's module knows of an ask."""

    def estimate(self, ask: Ask) -> Estimate:
        """What it takes on every device."""

    def margin(self, ask: Ask) -> int:
        """Bytes left on the tightest device; negative when it does not fit."""

    def most_sequences(self, ask: Ask) -> int:
        """How many it holds and runs at once at the asked context, whatever number is asked about; 0 = none."""

    def release(self, ask: Ask) -> str | None:
        """The release that is sized; None where that is just a current one."""

    def changes(self, ask: Ask) -> list[tuple[str, Ask]]:
        """Single settings of its own that may save memory and that the user did not fix, gentlest first."""


def engine(ask: Ask) -> Engine:
    """The asked engine. The modules of the other one are not imported: they would lengthen every short command."""
    if ask.engine == "vllm":
        from toolkit.size import vllm

        return vllm
    from toolkit.size import llamacpp

    return llamacpp


def plan(ask: Ask) -> MemoryPlan:
    """The memory plan of one model on given devices.

    Raises:
        InputError: settings that contradict one another or the model.
    """
    check(ask)
    found = engine(ask).estimate(ask)
    context = ask.context or ask.model.max_context
    return MemoryPlan(
        model=ask.model.name,
        engine=ask.engine,
        engine_version=engine(ask).release(ask),
        quant=ask.model.quant,
        context=context,
        concurrency=ask.concurrency,
        tp=ask.tp or (1 if ask.engine == "llama.cpp" or ask.pp else len(ask.devices)),
        pp=ask.pp or 1,
        inputs=_inputs(ask) | found.inputs,
        devices=found.devices,
        kv_bytes_per_token=found.kv_bytes_per_token,
        kv_pool_bytes=found.kv_pool_bytes,
        reserved_bytes=found.reserved_bytes,
        kv_pool_tokens=found.kv_pool_tokens,
        max_context=max_context(ask),
        max_concurrency=max_concurrency(ask),
        fits=found.margin_bytes >= 0,
        certainty=certainty(found.margin_bytes, found.error_bytes),
        advice=tuple(advice(ask, found)),
        warnings=tuple(_warnings(ask, context)),
        grid=grid(ask),
    )


def margin(ask: Ask) -> int:
    """Bytes left on the tightest device; negative when it does not fit."""
    return engine(ask).margin(ask)


def max_context(ask: Ask) -> int:
    """Longest context at the asked concurrency, in tokens; at most what the model was made for. 0 = none."""
    top = ask.model.max_context
    found = largest(lambda c: margin(ask.with_(context=c)) >= 0, top, CONTEXT_STEP)
    return top if found + CONTEXT_STEP > top and margin(ask.with_(context=top)) >= 0 else found


def max_concurrency(ask: Ask) -> int:
    """Most sequences at the asked context; 0 = none.

    For vLLM also at most ``max_num_seqs``, which is what it runs at once.
    """
    return engine(ask).most_sequences(ask)


GRID_FROM = 2048
"""Shortest context of the grid, tokens; then doubled."""


def grid(ask: Ask) -> tuple[GridRow, ...]:
    """Most sequences at every doubled context up to the model's own."""
    contexts: list[int] = []
    context = min(GRID_FROM, ask.model.max_context)
    while context < ask.model.max_context and len(contexts) < GRID_ROWS - 1:
        contexts.append(context)
        context *= 2
    contexts.append(ask.model.max_context)
    return tuple(GridRow(context=c, max_concurrency=max_concurrency(ask.with_(context=c))) for c in contexts)


def minimum(ask: Ask, device: Device) -> MinimumGpus:
    """The fewest devices of that kind that hold the plan, out of 1, 2, 4 and 8.

    vLLM splits over all of them (tensor parallel), llama.cpp deals out layers. A count whose ranks do not divide the
    model's heads is passed over.
    """
    for count in COUNTS:
        tried = ask.with_(devices=(device,) * count, tp=count if ask.engine == "vllm" else None, pp=None)
        try:
            found = engine(tried).estimate(tried)
        except InputError:
            continue
        if found.margin_bytes >= 0:
            sure = certainty(found.margin_bytes, found.error_bytes)
            return MinimumGpus(gpu=device.name, count=count, certainty=sure, max_concurrency=max_concurrency(tried))
    return MinimumGpus(gpu=device.name, count=None, certainty="no", max_concurrency=0)


def _with_users(ask: Ask, users: int) -> Ask:
    return ask.with_(concurrency=users, parallel=users if ask.engine == "llama.cpp" else ask.parallel)


def advice(ask: Ask, found: Estimate) -> list[Advice]:
    """Single changes that would help, each tested by the same model; none when the plan is sure to fit."""
    if certainty(found.margin_bytes, found.error_bytes) == "sure":
        return []
    return [
        Advice(change=text, saves_bytes=gain, fits_then=found.margin_bytes + gain >= 0)
        for text, changed in _changes(ask)
        if (gain := margin(changed) - found.margin_bytes) > 0
    ]


def _changes(ask: Ask) -> list[tuple[str, Ask]]:
    """Candidates, gentlest first. Only what the user did not fix and the engine has."""
    changes = engine(ask).changes(ask)
    if (users := max_concurrency(ask)) and users < ask.concurrency:
        changes.append((f"{users} users instead of {ask.concurrency}", _with_users(ask, users)))
    context = max_context(ask)
    if 0 < context < (ask.context or ask.model.max_context):
        changes.append((f"context of {context:,} tokens", ask.with_(context=context)))
    return changes


def _inputs(ask: Ask) -> dict[str, Setting]:
    """What was asked, with who chose it; engine-specific settings are added by the engine."""
    return {
        "model_source": Setting(value=ask.model.source, origin="profile"),
        "model_path": Setting(value=ask.model.path, origin="profile"),
        "revision": Setting(value=ask.model.revision, origin="profile"),
        "architecture": Setting(value=ask.model.architecture, origin="profile"),
        "gpus": Setting(value=[d.name for d in ask.devices if d.kind == "gpu"], origin="profile"),
        "context": setting(ask.context, ask.model.max_context, "profile"),
        "concurrency": Setting(value=ask.concurrency, origin="user"),
    }


def _warnings(ask: Ask, context: int) -> list[str]:
    found = list(ask.model.notes)
    if context > ask.model.max_context:
        found.append(
            f"a context of {context:,} tokens is beyond the {ask.model.max_context:,} this model was made for; "
            "the sums are right but its answers may not be"
        )
    if ask.placing.n_cpu_moe and all(d.kind == "cpu" for d in ask.devices):
        found.append(
            "no GPU: the experts are in host memory with everything else, and keeping them there saves nothing"
        )
    if ask.engine == "vllm" and len({d.usable_bytes for d in ask.devices}) > 1:
        small = min(d.usable_bytes for d in ask.devices) / GIB
        found.append(f"the devices differ; every rank is held to the smallest ({small:.1f} GiB)")
    return found
