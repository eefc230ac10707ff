"""vLLM's memory beside weights and cache: the profile run's peak, CUDA graphs, what is not PyTorch's."""

from __future__ import annotations

from toolkit.size.vllm_settings import Resolved, rules
from toolkit.types import GIB, MIB, ModelSpec

CPU_RUNTIME = int(1.75 * GIB)
"""API server, engine core and worker: v0.32 with 0.25 GiB of weights and 1 GiB of cache held 3.03 GiB (2026-11-24)."""


def activations(model: ModelSpec, r: Resolved) -> tuple[int, str]:
    """Peak of the profile run on one rank: the sampler's rows or the MLP's tokens, whichever is larger.

    Guessing k tokens ahead samples 1 + k rows a sequence. On top come the fused-MoE workspace since v0.17, and the
    encoder's profile of models that see.
    """
    rule, rows = rules(r.version), 1 + r.drafted
    sampler = int(rule.sampler_bytes * model.vocab * r.max_num_seqs * rows) + rule.sampler_extra_bytes
    if r.cpu:
        sampler = 0
    mlp = r.max_num_batched_tokens * (3 * model.intermediate // r.tp + 3 * model.hidden) * 2
    extra = moe_workspace(model, r) + (vision_profile(model) if sees(model) and not r.cpu else 0)
    if sampler >= mlp:
        how = f"sampler warm-up: {rule.sampler_bytes} B × {model.vocab:,} vocabulary × {r.max_num_seqs} max_num_seqs"
        how += f" × {rows} rows" if rows > 1 else ""
    else:
        how = f"MLP over {r.max_num_batched_tokens:,} batched tokens"
    return max(sampler, mlp) + extra, how + (" + workspaces" if extra else "")


def moe_workspace(model: ModelSpec, r: Resolved) -> int:
    """Fused-MoE buffers: for each token and active expert the wider of gate+up and hidden, and the inner size.

    vllm `fused_experts_impl`; held beside the sampler since v0.17 (DeepSeek-V2-Lite logs 1.93 GiB where the sampler
    alone is 1.54). MXFP4 kernels take another path and show none. With whole experts on each rank the inner size is
    not divided.
    """
    if not model.experts or model.quant == "mxfp4" or r.version < (0, 17):
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
    """CUDA graph capture: logged 0.1-1.3 GiB; grows with depth and with tensor parallelism; none when eager."""
    if r.eager:
        return 0
    return int((0.25 + 0.005 * model.layers) * GIB) + (256 * MIB if r.tp > 1 else 0)


def non_torch(r: Resolved) -> int:
    """Memory of one rank that PyTorch does not manage: context, NCCL, kernels' own workspaces."""
    rule = rules(r.version)
    if r.cpu:
        return CPU_RUNTIME
    return rule.non_torch_tp1 if r.tp * r.pp == 1 else rule.non_torch_tp
