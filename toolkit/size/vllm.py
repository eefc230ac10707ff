"""vLLM's memory: what it takes besides weights and cache, by version.

    pool = usable × gpu_memory_utilization − weights − activation peak − non-torch (− CUDA graphs from v0.21)

The activation peak is mostly the sampler's warm-up over ``max_num_seqs`` full-vocabulary rows, unless the MLP over
``max_num_batched_tokens`` is larger. The constants were fitted on logged start-ups of known version (see
`docs/memory.md`): no calculator that ignores engine version and ``max_num_seqs`` can be right near the limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from toolkit.size import kv, vllm_kv, vllm_peak, vllm_weights
from toolkit.size.ask import MTP, Ask, Device, Estimate, Same, setting
from toolkit.size.vllm_kv import Cache, Layout
from toolkit.size.vllm_settings import CURRENT, Resolved, resolve, rules
from toolkit.types import GIB, Basis, DevicePlan, Line, ModelSpec, Setting

CONCURRENCY_TOKENS_SINCE = (0, 20)
"""First release whose "KV cache size" line is concurrency × model length."""


@dataclass(frozen=True)
class Parts:
    """Bytes on one rank, with the arithmetic of each in words."""

    weights: int
    draft: int
    lora: int
    activations: int
    activations_how: str
    non_torch: int
    graphs: int
    budget: int
    pool: int


def parts(ask: Ask, usable_bytes: int, r: Resolved) -> Parts:
    """What one rank holds, and the KV pool that is left of its budget (may be negative). Context changes nothing."""
    draft = Same(ask.draft) if isinstance(ask.draft, ModelSpec) else ask.draft
    return _parts(Same(ask.model), draft, usable_bytes, replace(r, context=0))


@lru_cache(maxsize=256)
def _parts(key: Same, drafting: Same | Literal["mtp"] | None, usable_bytes: int, r: Resolved) -> Parts:
    """Kept, because the searches for users and contexts ask the same again and again."""
    rule, model = rules(r.version), key.model
    weights = vllm_weights.per_rank(model, r)
    draft = vllm_weights.draft_per_rank(model, drafting.model if isinstance(drafting, Same) else drafting, r)
    lora = vllm_weights.adapters_per_rank(model, r)
    act, how = vllm_peak.activations(model, r)
    non_torch, graph = vllm_peak.non_torch(r), vllm_peak.graphs(model, r)
    budget = usable_bytes if r.cpu else int(usable_bytes * r.utilization)
    pool = budget - weights - draft - lora - act - non_torch - (graph if rule.graphs_in_budget else 0)
    return Parts(weights, draft, lora, act, how, non_torch, graph, budget, pool)


def kv_layout(ask: Ask, r: Resolved) -> Layout:
    """The block pool on the fullest rank."""
    draft = Same(ask.draft) if isinstance(ask.draft, ModelSpec) else None
    return _layout(Same(ask.model), r.cache(ask.model), draft, predicts=ask.draft == MTP)


@lru_cache(maxsize=256)
def _layout(key: Same, cache: Cache, draft: Same | None, *, predicts: bool) -> Layout:
    """Kept, as the parts are."""
    beside = draft.model if draft else None
    if predicts:
        beside = _predicting(key.model)
    return vllm_kv.layout(key.model, cache, beside)


def _predicting(model: ModelSpec) -> ModelSpec:
    """A model's prediction layers as a model of their own, whose cache stands beside the model's."""
    layers = model.mtp_attention
    return model.model_copy(update={"attention": layers, "recurrent": (), "layers": len(layers)})


def sequence_bytes(ask: Ask, r: Resolved) -> int:
    """KV bytes of one sequence at the asked context on the fullest rank, in whole blocks of every layer group."""
    found = kv_layout(ask, r)
    return found.blocks(r.context, r.max_num_batched_tokens) * found.block_bytes


def needed_bytes(ask: Ask, r: Resolved) -> int:
    """KV bytes of all sequences on the fullest rank."""
    return sequence_bytes(ask, r) * ask.concurrency


def _wanted(need: int, r: Resolved) -> int:
    """The pool that holds them: the CPU build is told its size in whole GiB, and takes no more."""
    return -(-need // GIB) * GIB if r.cpu else need


def pool_tokens(ask: Ask, r: Resolved, pool_bytes: int) -> int:
    """What the engine logs as "GPU KV cache size" in tokens.

    Up to v0.19 blocks ÷ groups × block size; since then the concurrency at the model length × that length.
    """
    found = kv_layout(ask, r)
    if r.version < CONCURRENCY_TOKENS_SINCE:
        return found.logged_tokens(pool_bytes)
    each = found.blocks(r.context, r.max_num_batched_tokens)
    return found.pool_blocks(pool_bytes) * r.context // each if each else 0


def token_bytes(model: ModelSpec, r: Resolved) -> int:
    """KV bytes one token adds on one rank while no window is full."""
    width = kv.vllm_width(r.kv_dtype)
    row = sum(kv.rank_elements(layer, r.tp) for layer in model.attention[: r.stage(model)]) * width
    return -(-row // r.dcp)


def error_bytes(model: ModelSpec, r: Resolved, usable_bytes: int) -> int:
    """Half width of the error band of the pool.

    0.5 GiB + 0.5 % of the card alone; 1.5 GiB more with several ranks, 1 GiB more with a vision tower.
    The 19 runs on v0.19 err by 0.06 GiB on average; non-torch memory varies by 0.4-7 GiB on
    eight ranks, which no setting explains.
    """
    spread = int(0.5 * GIB + 0.005 * usable_bytes) + (GIB if vllm_peak.sees(model) else 0)
    return spread + (int(1.5 * GIB) if r.tp * r.pp > 1 else 0)


def estimate(ask: Ask) -> Estimate:
    """The whole picture of one rank (all are alike; the smallest device decides), and the pool's margin."""
    r = resolve(ask)
    used = ask.devices[: r.tp * r.pp]
    need = needed_bytes(ask, r)
    plans = tuple(_device_plan(ask, d, r, need) for d in used)
    smallest = _smallest(ask, r)
    p = parts(ask, smallest, r)
    wanted = _wanted(need, r)
    pool = min(p.pool, wanted) if r.cpu else p.pool
    return Estimate(
        devices=plans,
        kv_bytes_per_token=token_bytes(ask.model, r),
        kv_pool_bytes=max(0, pool),
        reserved_bytes=p.budget - (p.pool - pool),
        kv_pool_tokens=pool_tokens(ask, r, pool),
        margin_bytes=p.pool - wanted,
        error_bytes=error_bytes(ask.model, r, smallest),
        inputs=_inputs(ask, r),
    )


def _inputs(ask: Ask, r: Resolved) -> dict[str, Setting]:
    """Every resolved setting; those that change the command only when they are used."""
    found = {
        "gpu_memory_utilization": setting(ask.gpu_memory_utilization, r.utilization),
        "max_num_seqs": setting(ask.max_num_seqs, r.max_num_seqs),
        "max_num_batched_tokens": setting(ask.max_num_batched_tokens, r.max_num_batched_tokens),
        "kv_dtype": setting(ask.kv_dtype, r.kv_dtype),
        "block_size": setting(ask.block_size, kv_layout(ask, r).block_tokens),
        "tp": setting(ask.tp, r.tp),
        "pp": setting(ask.pp, r.pp),
        "eager": setting(ask.eager or None, r.eager),
        "prefix_caching": setting(ask.prefix_caching, None),
        "expert_parallel": setting(ask.expert_parallel or None, False),
        "dcp": setting(ask.dcp, r.dcp),
    }
    if r.lora_rank:
        found["max_lora_rank"] = setting(ask.max_lora_rank, r.lora_rank)
        found["max_loras"] = setting(ask.max_loras, r.loras)
    if ask.draft is not None:
        name = MTP if ask.draft == MTP else drafted_path(ask)
        found["draft"] = Setting(value=name, origin="user")
        found["num_speculative_tokens"] = setting(ask.num_speculative_tokens, r.drafted)
    return found


def drafted_path(ask: Ask) -> str | None:
    """Where an engine finds the draft model."""
    return (ask.draft.path or ask.draft.name) if isinstance(ask.draft, ModelSpec) else None


def margin(ask: Ask) -> int:
    """Bytes of the KV pool left beyond what the sequences need; negative when they do not fit."""
    r = resolve(ask)
    return parts(ask, _smallest(ask, r), r).pool - _wanted(needed_bytes(ask, r), r)


def _smallest(ask: Ask, r: Resolved) -> int:
    """Memory of the device that decides, bytes."""
    return min(d.usable_bytes for d in ask.devices[: r.tp * r.pp])


def most_sequences(ask: Ask) -> int:
    """As many as the pool holds at the asked context, and one step takes; 0 = none."""
    r = resolve(ask)
    pool, each = parts(ask, _smallest(ask, r), r).pool, sequence_bytes(ask, r)
    pool = pool // GIB * GIB if r.cpu else pool
    return max(0, min(r.max_num_seqs, pool // max(1, each)))


def release(ask: Ask) -> str:
    """The release that is sized: the named one, else the current one."""
    return ask.engine_version or ".".join(map(str, CURRENT))


FEW_SEQS = 64
"""As far down as ``max_num_seqs`` is advised, unless more users are asked about."""


def changes(ask: Ask) -> list[tuple[str, Ask]]:
    """Single settings that may save memory and that the user did not fix, gentlest first."""
    r, found = resolve(ask), []
    if ask.max_num_seqs is None and r.max_num_seqs > (fewer := max(ask.concurrency, FEW_SEQS)):
        found.append((f"max_num_seqs {r.max_num_seqs} → {fewer}", ask.with_(max_num_seqs=fewer)))
    if ask.prefix_caching is None and any(s.kind != "none" for s in ask.model.recurrent):
        found.append(("prefix caching off", ask.with_(prefix_caching=False)))
    if not r.eager:
        found.append(("eager, without CUDA graphs (slower)", ask.with_(eager=True)))
    if ask.gpu_memory_utilization is None and not r.cpu:
        found.append(("gpu_memory_utilization → 0.95", ask.with_(gpu_memory_utilization=0.95)))
    if ask.kv_dtype is None and not r.cpu:
        found.append(("KV cache in fp8 (quality to be checked)", ask.with_(kv_dtype="fp8")))
    if ask.draft is not None:
        found.append(("no drafting", ask.with_(draft=None, num_speculative_tokens=None)))
    return found


def _device_plan(ask: Ask, device: Device, r: Resolved, need: int) -> DevicePlan:
    lines = tuple(_lines(ask, parts(ask, device.usable_bytes, r), r, need))
    total = sum(line.bytes for line in lines)
    return DevicePlan(
        name=device.name,
        usable_bytes=device.usable_bytes,
        lines=lines,
        total_bytes=total,
        free_bytes=device.usable_bytes - total,
        error_bytes=error_bytes(ask.model, r, device.usable_bytes),
    )


def _lines(ask: Ask, p: Parts, r: Resolved, need: int) -> Iterator[Line]:
    release = ".".join(map(str, r.version))
    inside = "inside" if rules(r.version).graphs_in_budget else "outside"
    basis: Basis = "engine" if ask.model.weights_basis == "engine" else "computed"
    ranks = f"one of {r.tp * r.pp} ranks"
    yield Line(what="weights", bytes=p.weights, basis=basis, how=f"tensor list, {ranks}")
    how = f"{ask.concurrency} sequences × {r.context:,} tokens, whole blocks of every layer group"
    if ask.draft is not None:
        how += ", the draft's layers too"
        named = "prediction layers" if ask.draft == MTP else f"{drafted_path(ask)}"
        text = f"{named}, {r.drafted} tokens ahead, {ranks}"
    yield Line(what="kv_cache", bytes=need, basis="computed", how=how)
    if ask.draft is not None:
        yield Line(what="draft", bytes=p.draft, basis="computed", how=text)
    if r.lora_rank:
        text = f"{r.loras} adapters of rank {r.lora_rank} beside every linear layer, {ranks}"
        yield Line(what="lora", bytes=p.lora, basis="computed", how=text)
    yield Line(what="activations", bytes=p.activations, basis="computed", how=p.activations_how)
    text = "eager: none are captured" if r.eager else f"logged 0.1-1.3 GiB; {inside} the budget in v{release}"
    yield Line(what="cuda_graphs", bytes=p.graphs, basis="computed", how=text)
    text = "the process itself" if r.cpu else "non-torch memory, as v0.11 and v0.19 logged it"
    yield Line(what="runtime", bytes=p.non_torch, basis="computed", how=text)
