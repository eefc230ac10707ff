"""vLLM's memory beside weights and cache: the profile run's peak, CUDA graphs, what is not PyTorch's.

The constants are those of logged starts: 27 measured runs on H100 (v0.11, v0.19), and public logs of other cards and
releases (`docs/memory.md` lists them with the error of each).
"""

from __future__ import annotations

from toolkit.size.vllm_settings import CHUNKED_SINCE, SAMPLER_SINCE, Resolved, rules
from toolkit.types import GIB, MIB, ModelSpec

CPU_RUNTIME = int(1.75 * GIB)
"""API server, engine core and worker: v0.32 with 0.25 GiB of weights and 1 GiB of cache held 3.03 GiB (2026-11-24)."""

WORKSPACE = int(0.09 * GIB)
"""Matrix libraries' own workspace on large cards, inside PyTorch's memory since v0.17: Llama, Qwen and Phi on H100 log
0.15-0.16 GiB beside the sampler, of which the hidden rows of a step are 0.06-0.08."""

MOE_WORKSPACE_SINCE = (0, 13)
"""First release whose experts keep their workspace while the sampler runs (Qwen3-30B-A3B logs it on v0.15, not v0.12).
"""

EAGER_ROWS, EAGER_RANKS_ROWS, COMPILED_ROWS = 4.0, 5.5, 3.0
"""Hidden rows alive beside the MLP's. The engine before v0.8 ran uncompiled: Qwen2.5-1.5B over 32,768 tokens logs 4.0
alone; with ranks, whose sums are copies, Qwen2.5-32B and 72B log 5.0 and 5.9."""

PIECE = 0.0135 * GIB
"""Graphs of one layer over the 51 usual batch sizes (0.45-0.55 GiB at 28-36 layers, 0.6-1.2 at 48-64)."""

USUAL_GRAPHS = 51


def activations(model: ModelSpec, r: Resolved) -> tuple[int, str]:
    """Peak of the profile run on one rank: the sampler's rows or the MLP's tokens, whichever is larger.

    Guessing k tokens ahead samples 1 + k rows a sequence. On top come the fused-MoE workspace, and the encoder's
    profile of models that see.
    """
    rule, rows = rules(r.version), 1 + r.drafted
    sampler = 0
    if not r.cpu:
        sampler = int(rule.sampler_bytes * model.vocab * r.max_num_seqs * rows)
        sampler += r.max_num_batched_tokens * model.hidden * 2 if rule.keeps_rows else 0
        sampler += WORKSPACE if r.large and r.version >= SAMPLER_SINCE else 0
    mlp = int(r.max_num_batched_tokens * (3 * model.intermediate // r.tp + hidden_rows(r) * model.hidden) * 2)
    extra = moe_workspace(model, r) + (vision_profile(model) if sees(model) and not r.cpu else 0)
    if sampler >= mlp:
        how = f"sampler warm-up: {rule.sampler_bytes} B × {model.vocab:,} vocabulary × {r.max_num_seqs} max_num_seqs"
        how += f" × {rows} rows" if rows > 1 else ""
    else:
        how = f"MLP over {r.max_num_batched_tokens:,} batched tokens"
    return max(sampler, mlp) + extra, how + (" + workspaces" if extra else "")


def hidden_rows(r: Resolved) -> float:
    """Hidden rows of a token that live beside the MLP's inner ones."""
    if r.version >= CHUNKED_SINCE:
        return COMPILED_ROWS
    return EAGER_RANKS_ROWS if r.tp > 1 else EAGER_ROWS


def moe_workspace(model: ModelSpec, r: Resolved) -> int:
    """Fused-MoE buffers: for each token and active expert the wider of gate+up and hidden, and the inner size.

    vllm `fused_experts_impl` (DeepSeek-V2-Lite logs 1.93 GiB where the sampler alone is 1.54). MXFP4 kernels take
    another path and show none. With whole experts on each rank the inner size is not divided.
    """
    if not model.experts or model.quant == "mxfp4" or r.version < MOE_WORKSPACE_SINCE:
        return 0
    inner = model.moe_intermediate // (1 if r.expert_parallel else r.tp)
    return r.max_num_batched_tokens * model.experts_per_token * (max(2 * inner, model.hidden) + inner) * 2


def sees(model: ModelSpec) -> bool:
    """Whether it has a vision tower."""
    return any(g.role == "vision" for g in model.weights)


def vision_profile(model: ModelSpec) -> int:
    """The encoder's dummy inputs: 0.1 GiB and 38 kB per hidden element, fitted on Gemma-3 4B, 12B and 27B.

    Other towers profile differently (InternVL3-78B: 15.7 GiB); the error band of models that see is wider for it.
    """
    return int(0.1 * GIB) + 38_000 * model.hidden


def graphs(model: ModelSpec, r: Resolved) -> int:
    """CUDA graph capture: grows with depth, with the batch sizes captured and with ranks; none when eager."""
    if r.eager:
        return 0
    share = min(1.0, captured(r.max_num_seqs) / USUAL_GRAPHS)
    return int(0.1 * GIB + PIECE * model.layers * share) + (256 * MIB if r.tp > 1 else 0)


def captured(max_num_seqs: int) -> int:
    """Batch sizes that are captured: 1, 2, 4, every 8th up to 256, every 16th up to twice the sequences or 512.

    vllm `VllmConfig._set_cudagraph_sizes`.
    """
    most = min(2 * max_num_seqs, 512)
    return sum(n <= most for n in (1, 2, 4, *range(8, 256, 8), *range(256, 513, 16)))


def non_torch(r: Resolved) -> int:
    """Memory of one rank that PyTorch does not manage: context, kernels' own workspaces, and between ranks NCCL's.

    Alone, v0.7-0.16 log 0.02-0.10 GiB on cards up to the A100 and 0.07-0.14 on H100; later ones 0.23-0.26 on large
    cards. Ranks on PCIe add little (0.1-0.3 GiB on A40, 3090, 4090; two to eight ranks). On a fabric two ranks log 0.55
    GiB (once 1.38) on v0.11 and 2.07 on v0.19, four to eight 1.8-2.3 on v0.7, v0.10 and v0.19.
    """
    if r.cpu:
        return CPU_RUNTIME
    newer = r.version >= SAMPLER_SINCE
    ranks = r.tp * r.pp
    if ranks == 1:
        gib = (0.25 if newer else 0.13) if r.large else (0.12 if newer else 0.06)
    elif r.fabric:
        gib = 2.1 if newer or ranks > 2 else 0.55
    else:
        gib = 0.4 if newer else 0.25
    return int(gib * GIB)
