"""vLLM's memory: what it takes besides weights and cache, by version.

    pool = usable × gpu_memory_utilization − weights − activation peak − non-torch (− CUDA graphs from v0.21)

The activation peak is mostly the sampler's warm-up over ``max_num_seqs`` full-vocabulary rows, unless the MLP over
``max_num_batched_tokens`` is larger. The constants below were fitted on logged start-ups of known version (see
`docs/memory.md`): no calculator that ignores engine version and ``max_num_seqs`` can be right near the limit.
"""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.errors import InputError
from toolkit.size import kv, vllm_kv
from toolkit.size.ask import Ask, Device, Estimate, setting
from toolkit.size.vllm_kv import Layout
from toolkit.types import GIB, MIB, Basis, DevicePlan, Line, ModelSpec, Role

CURRENT = (0, 33)
"""The release assumed when none is named (September 2026)."""

CONCURRENCY_TOKENS_SINCE = (0, 20)
"""First release whose "KV cache size" line is concurrency × model length."""

SPLIT_ROLES = frozenset[Role]({"embedding", "head", "attention", "mlp", "experts", "recurrent"})
"""Roles divided over tensor-parallel ranks; norms and routers are replicated."""


@dataclass(frozen=True)
class Rules:
    """What depends on the release."""

    utilization: float
    sampler_bytes: float
    """Bytes per (vocabulary entry × sequence) of the sampler's warm-up."""
    sampler_extra_bytes: int
    non_torch_tp1: int
    non_torch_tp: int
    graphs_in_budget: bool


def rules(version: tuple[int, int]) -> Rules:
    """Constants of a release.

    Sources: sampler 38.9 B up to v0.16 (7 of 7 text runs 38.4-39.6) and 14.2 B + 0.15 GiB from v0.17; non-torch
    0.13/0.55 GiB on v0.11 and 0.25/2.10 GiB on v0.19 (27 measured H100 runs, llm-d-planner accuracy report);
    default utilisation 0.92 by v0.22; graphs subtracted from v0.21.
    """
    old_sampler = version < (0, 17)
    return Rules(
        utilization=0.92 if version >= (0, 22) else 0.90,
        sampler_bytes=38.9 if old_sampler else 14.2,
        sampler_extra_bytes=0 if old_sampler else int(0.15 * GIB),
        non_torch_tp1=int((0.13 if old_sampler else 0.25) * GIB),
        non_torch_tp=int((0.55 if old_sampler else 2.10) * GIB),
        graphs_in_budget=version >= (0, 21),
    )


def parse_version(text: str | None) -> tuple[int, int]:
    """``0.19.1rc2`` → (0, 19); None → the current release.

    Raises:
        InputError: not a version.
    """
    if text is None:
        return CURRENT
    parts = text.lstrip("v").split(".")
    try:
        return int(parts[0]), int(parts[1]) if len(parts) > 1 else 0
    except ValueError:
        raise InputError(f"{text!r} is no vLLM version; versions look like 0.19") from None


def scheduler_defaults(usable_bytes: int, name: str) -> tuple[int, int]:
    """(max_num_batched_tokens, max_num_seqs) of the API server by GPU (vllm `EngineArgs`, usage context)."""
    if usable_bytes >= 160 * GIB:
        return 16384, 1024
    if usable_bytes >= 70 * GIB and "a100" not in name.lower():
        return 8192, 1024
    return 2048, 256


@dataclass(frozen=True)
class Resolved:
    """Every setting of one vLLM start-up, defaults filled in."""

    version: tuple[int, int]
    utilization: float
    max_num_seqs: int
    max_num_batched_tokens: int
    kv_dtype: str
    tp: int
    pp: int
    context: int


def resolve(ask: Ask) -> Resolved:
    """Fill in the release's defaults.

    Raises:
        InputError: more ranks than devices, or heads that tensor parallelism cannot divide.
    """
    version = parse_version(ask.engine_version)
    first = ask.devices[0]
    batched, seqs = scheduler_defaults(first.usable_bytes, first.name)
    tp, pp = ask.tp or (1 if ask.pp else len(ask.devices)), ask.pp or 1
    if tp * pp > len(ask.devices):
        raise InputError(
            f"tensor parallel {tp} × pipeline parallel {pp} needs {tp * pp} devices, {len(ask.devices)} given"
        )
    if ask.model.heads % tp:
        raise InputError(f"{ask.model.heads} attention heads cannot be divided over {tp} devices")
    return Resolved(
        version=version,
        utilization=ask.gpu_memory_utilization or rules(version).utilization,
        max_num_seqs=ask.max_num_seqs or seqs,
        max_num_batched_tokens=ask.max_num_batched_tokens or batched,
        kv_dtype=ask.kv_dtype or "auto",
        tp=tp,
        pp=pp,
        context=ask.context or ask.model.max_context,
    )


@dataclass(frozen=True)
class Parts:
    """Bytes on one rank, with the arithmetic of each in words."""

    weights: int
    activations: int
    activations_how: str
    non_torch: int
    graphs: int
    budget: int
    pool: int


def parts(model: ModelSpec, usable_bytes: int, r: Resolved) -> Parts:
    """What one rank holds, and the KV pool that is left of its budget (may be negative)."""
    rule = rules(r.version)
    weights = weights_per_rank(model, r.tp, r.pp)
    act, how = activations(model, r)
    non_torch = rule.non_torch_tp1 if r.tp * r.pp == 1 else rule.non_torch_tp
    graph = graphs(model, r)
    budget = int(usable_bytes * r.utilization)
    pool = budget - weights - act - non_torch - (graph if rule.graphs_in_budget else 0)
    return Parts(weights, act, how, non_torch, graph, budget, pool)


def weights_per_rank(model: ModelSpec, tp: int, pp: int) -> int:
    """Bytes of loaded weights on the fullest rank: split roles divided, others replicated, layers dealt to stages.

    Prediction (MTP) layers stay in the file. What loading adds is counted too: rotary tables in 16 bits, the absorbed
    projections of MLA, and the padding of MXFP4 experts.
    """
    layers = -(-model.layers // pp)
    total = model.rope_cache_elements * 2 + absorbed_bytes(model, tp, layers)
    for group in model.weights:
        if group.role == "mtp" or (group.layer is not None and group.layer >= layers):
            continue
        size = group.bytes
        if group.role == "experts" and model.quant == "mxfp4":
            size = size * _padded(model.moe_intermediate or model.intermediate) // max(1, model.moe_intermediate)
        total += size // tp if group.role in SPLIT_ROLES else size
    return total


def _padded(inner: int) -> int:
    """MXFP4 kernels round an expert's inner size up to 256 (gpt-oss: 2,880 → 3,072; 12.82 → 13.47 GiB logged)."""
    return -(-inner // 256) * 256


def absorbed_bytes(model: ModelSpec, tp: int, layers: int) -> int:
    """MLA keeps W_UK and W_UV once more in 16 bits (vllm `MLACommonImpl.process_weights_after_loading`)."""
    return sum(layer.absorbed_elements * 2 // tp for layer in model.attention[:layers])


def activations(model: ModelSpec, r: Resolved) -> tuple[int, str]:
    """Peak of the profile run on one rank: the sampler's rows or the MLP's tokens, whichever is larger.

    On top come the fused-MoE workspace since v0.17, and the encoder's profile of models that see.
    """
    rule = rules(r.version)
    sampler = int(rule.sampler_bytes * model.vocab * r.max_num_seqs) + rule.sampler_extra_bytes
    mlp = r.max_num_batched_tokens * (3 * model.intermediate // r.tp + 3 * model.hidden) * 2
    extra = moe_workspace(model, r) + (vision_profile(model) if _sees(model) else 0)
    if sampler >= mlp:
        how = f"sampler warm-up: {rule.sampler_bytes} B × {model.vocab:,} vocabulary × {r.max_num_seqs} max_num_seqs"
    else:
        how = f"MLP over {r.max_num_batched_tokens:,} batched tokens"
    return max(sampler, mlp) + extra, how + (" + workspaces" if extra else "")


def moe_workspace(model: ModelSpec, r: Resolved) -> int:
    """Fused-MoE buffers: for each token and active expert the wider of gate+up and hidden, and the inner size.

    vllm `fused_experts_impl`; held beside the sampler since v0.17 (DeepSeek-V2-Lite logs 1.93 GiB where the sampler
    alone is 1.54). MXFP4 kernels take another path and show none.
    """
    if not model.experts or model.quant == "mxfp4" or r.version < (0, 17):
        return 0
    inner = model.moe_intermediate // r.tp
    return r.max_num_batched_tokens * model.experts_per_token * (max(2 * inner, model.hidden) + inner) * 2


def _sees(model: ModelSpec) -> bool:
    return any(g.role == "vision" for g in model.weights)


def vision_profile(model: ModelSpec) -> int:
    """The encoder's dummy inputs: 0.1 GiB and 38 kB per hidden element, fitted on Gemma-3 4B, 12B and 27B.

    Other towers profile differently (InternVL3-78B: 15.7 GiB); the error band of models that see is wider for it.
    """
    return int(0.1 * GIB) + 38_000 * model.hidden


def graphs(model: ModelSpec, r: Resolved) -> int:
    """CUDA graph capture: logged 0.1-1.3 GiB; grows with depth and with tensor parallelism."""
    return int((0.25 + 0.005 * model.layers) * GIB) + (256 * MIB if r.tp > 1 else 0)


def kv_layout(model: ModelSpec, r: Resolved) -> Layout:
    """The block pool on the fullest rank."""
    return vllm_kv.layout(model, r.tp, _stage(model, r), kv.vllm_width(r.kv_dtype), r.version)


def sequence_bytes(model: ModelSpec, r: Resolved, context: int) -> int:
    """KV bytes of one sequence of ``context`` tokens on the fullest rank, in whole blocks of every layer group."""
    found = kv_layout(model, r)
    return found.blocks(context, r.max_num_batched_tokens) * found.block_bytes


def _stage(model: ModelSpec, r: Resolved) -> int:
    """Layers of the fullest pipeline stage."""
    return -(-model.layers // r.pp)


def pool_tokens(model: ModelSpec, r: Resolved, pool_bytes: int) -> int:
    """What the engine logs as "GPU KV cache size" in tokens.

    Up to v0.19 blocks ÷ groups × block size; since then the concurrency at the model length × that length.
    """
    found = kv_layout(model, r)
    if r.version < CONCURRENCY_TOKENS_SINCE:
        return found.logged_tokens(pool_bytes)
    each = found.blocks(r.context, r.max_num_batched_tokens)
    return found.pool_blocks(pool_bytes) * r.context // each if each else 0


def token_bytes(model: ModelSpec, r: Resolved) -> int:
    """KV bytes one token adds on one rank while no window is full."""
    width = kv.vllm_width(r.kv_dtype)
    return sum(kv.rank_elements(layer, r.tp) for layer in model.attention[: _stage(model, r)]) * width


def error_bytes(model: ModelSpec, r: Resolved, usable_bytes: int) -> int:
    """Half width of the error band of the pool.

    0.5 GiB + 0.5 % of the card alone; 1.5 GiB more with several ranks, 1 GiB more with a vision tower.
    The 19 runs on v0.19 err by 0.06 GiB on average; non-torch memory varies by 0.4-7 GiB on
    eight ranks, which no setting explains.
    """
    spread = int(0.5 * GIB + 0.005 * usable_bytes) + (GIB if _sees(model) else 0)
    return spread + (int(1.5 * GIB) if r.tp * r.pp > 1 else 0)


def estimate(ask: Ask) -> Estimate:
    """The whole picture of one rank (all are alike; the smallest device decides), and the pool's margin."""
    r = resolve(ask)
    used = ask.devices[: r.tp * r.pp]
    need = sequence_bytes(ask.model, r, r.context) * ask.concurrency
    plans = tuple(_device_plan(ask, d, r, need) for d in used)
    smallest = min(used, key=lambda d: d.usable_bytes)
    p = parts(ask.model, smallest.usable_bytes, r)
    per_token = token_bytes(ask.model, r)
    return Estimate(
        devices=plans,
        kv_bytes_per_token=per_token,
        kv_pool_bytes=max(0, p.pool),
        reserved_bytes=p.budget,
        kv_pool_tokens=pool_tokens(ask.model, r, p.pool),
        margin_bytes=p.pool - need,
        error_bytes=error_bytes(ask.model, r, smallest.usable_bytes),
        inputs={
            "gpu_memory_utilization": setting(ask.gpu_memory_utilization, r.utilization),
            "max_num_seqs": setting(ask.max_num_seqs, r.max_num_seqs),
            "max_num_batched_tokens": setting(ask.max_num_batched_tokens, r.max_num_batched_tokens),
            "kv_dtype": setting(ask.kv_dtype, r.kv_dtype),
            "block_size": setting(None, kv_layout(ask.model, r).block_tokens),
            "tp": setting(ask.tp, r.tp),
            "pp": setting(ask.pp, r.pp),
        },
    )


def margin(ask: Ask) -> int:
    """Bytes of the KV pool left beyond what the sequences need; negative when they do not fit."""
    r = resolve(ask)
    smallest = min(d.usable_bytes for d in ask.devices[: r.tp * r.pp])
    return parts(ask.model, smallest, r).pool - sequence_bytes(ask.model, r, r.context) * ask.concurrency


def _device_plan(ask: Ask, device: Device, r: Resolved, need: int) -> DevicePlan:
    p = parts(ask.model, device.usable_bytes, r)
    release = ".".join(map(str, r.version))
    inside = "inside" if rules(r.version).graphs_in_budget else "outside"
    basis: Basis = "engine" if ask.model.weights_basis == "engine" else "computed"
    lines = (
        Line(what="weights", bytes=p.weights, basis=basis, how=f"tensor list, one of {r.tp * r.pp} ranks"),
        Line(
            what="kv_cache",
            bytes=need,
            basis="computed",
            how=f"{ask.concurrency} sequences × {r.context:,} tokens, whole blocks of every layer group",
        ),
        Line(what="activations", bytes=p.activations, basis="computed", how=p.activations_how),
        Line(
            what="cuda_graphs",
            bytes=p.graphs,
            basis="computed",
            how=f"logged 0.1-1.3 GiB; {inside} the budget in v{release}",
        ),
        Line(what="runtime", bytes=p.non_torch, basis="computed", how="non-torch memory, as v0.11 and v0.19 logged it"),
    )
    total = sum(line.bytes for line in lines)
    return DevicePlan(
        name=device.name,
        usable_bytes=device.usable_bytes,
        lines=lines,
        total_bytes=total,
        free_bytes=device.usable_bytes - total,
        error_bytes=error_bytes(ask.model, r, device.usable_bytes),
    )
