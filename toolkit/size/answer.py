"""From a question to a `MemoryPlan`: the engine's estimate, then how many users, how long a context, what to change."""

from __future__ import annotations

from toolkit.errors import InputError
from toolkit.size import llamacpp, vllm, vllm_settings
from toolkit.size.ask import Ask, Device, Estimate, check, setting
from toolkit.size.certainty import certainty
from toolkit.size.search import largest
from toolkit.types import GIB, Advice, GridRow, MemoryPlan, MinimumGpus, Setting

MAX_CONCURRENCY = 65_536
"""Where the search for users stops."""

GRID_ROWS = 10
COUNTS = (1, 2, 4, 8)
"""Devices per machine that are sold and that tensor parallelism divides by."""

CONTEXT_STEP = 256
"""Contexts are answered in whole steps of this many tokens (llama.cpp pads cells to it; vLLM's blocks divide it)."""


def plan(ask: Ask) -> MemoryPlan:
    """The memory plan of one model on given devices.

    Raises:
        InputError: settings that contradict one another or the model.
    """
    check(ask)
    found = _estimate(ask)
    context = ask.context or ask.model.max_context
    return MemoryPlan(
        model=ask.model.name,
        engine=ask.engine,
        engine_version=_version(ask),
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


def _estimate(ask: Ask) -> Estimate:
    return vllm.estimate(ask) if ask.engine == "vllm" else llamacpp.estimate(ask)


def margin(ask: Ask) -> int:
    """Bytes left on the tightest device; negative when it does not fit."""
    return vllm.margin(ask) if ask.engine == "vllm" else llamacpp.margin(ask)


def max_context(ask: Ask) -> int:
    """Longest context at the asked concurrency, in tokens; at most what the model was made for. 0 = none."""
    top = ask.model.max_context
    found = largest(lambda c: margin(ask.with_(context=c)) >= 0, top, CONTEXT_STEP)
    return top if found + CONTEXT_STEP > top and margin(ask.with_(context=top)) >= 0 else found


def max_concurrency(ask: Ask) -> int:
    """Most sequences at the asked context; 0 = none.

    For vLLM also at most ``max_num_seqs``, which is what it runs at once.
    """
    most = MAX_CONCURRENCY
    if ask.engine == "vllm":
        most = min(most, vllm_settings.resolve(ask).max_num_seqs)
    return largest(lambda n: margin(_with_users(ask, n)) >= 0, most)


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
            found = _estimate(tried)
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
    changes: list[tuple[str, Ask]] = []
    if ask.engine == "vllm":
        r = vllm_settings.resolve(ask)
        if ask.max_num_seqs is None and r.max_num_seqs > max(ask.concurrency, 64):
            fewer = max(ask.concurrency, 64)
            changes.append((f"max_num_seqs {r.max_num_seqs} → {fewer}", ask.with_(max_num_seqs=fewer)))
        if ask.prefix_caching is None and any(s.kind != "none" for s in ask.model.recurrent):
            changes.append(("prefix caching off", ask.with_(prefix_caching=False)))
        if not r.eager:
            changes.append(("eager, without CUDA graphs (slower)", ask.with_(eager=True)))
        if ask.gpu_memory_utilization is None and not r.cpu:
            changes.append(("gpu_memory_utilization → 0.95", ask.with_(gpu_memory_utilization=0.95)))
        if ask.kv_dtype is None and not r.cpu:
            changes.append(("KV cache in fp8 (quality to be checked)", ask.with_(kv_dtype="fp8")))
        if ask.draft is not None:
            changes.append(("no drafting", ask.with_(draft=None, num_speculative_tokens=None)))
    elif ask.kv_dtype is None and ask.flash_attn != "off" and all(a.head_dim_k % 32 == 0 for a in ask.model.attention):
        changes.append(("KV cache in q8_0 (quality to be checked)", ask.with_(kv_dtype="q8_0")))
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


def _version(ask: Ask) -> str | None:
    if ask.engine == "vllm" and ask.engine_version is None:
        return ".".join(map(str, vllm_settings.CURRENT))
    return ask.engine_version


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
