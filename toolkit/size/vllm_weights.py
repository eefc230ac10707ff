"""What one vLLM rank loads: its share of the weights, of a draft's, and the buffers for adapters."""

from __future__ import annotations

from toolkit.size.ask import MTP
from toolkit.size.vllm_settings import Resolved
from toolkit.types import ModelSpec, Role, WeightGroup

SPLIT_ROLES = frozenset[Role]({"embedding", "head", "attention", "mlp", "experts", "recurrent", "mtp"})
"""Roles divided over tensor-parallel ranks; norms, routers and MLA's down-projections are replicated."""

ADAPTER_BYTES = 2
"""Bytes per element of an adapter (``lora_dtype`` auto: the model's 16 bits)."""


def per_rank(model: ModelSpec, r: Resolved) -> int:
    """Bytes of loaded weights on the fullest rank: split roles divided, others replicated, layers dealt to stages.

    Prediction (MTP) layers stay in the file. What loading adds is counted too: rotary tables in 16 bits, the absorbed
    projections of MLA, and the padding of MXFP4 experts.
    """
    layers = r.stage(model)
    total = model.rope_cache_elements * 2 + _absorbed(model, r.tp, layers)
    for group in model.weights:
        if group.role == "mtp" or (group.layer is not None and group.layer >= layers):
            continue
        if group.role == "experts":
            total += _experts(model, group.bytes, r)
        else:
            total += group.bytes // r.tp if group.role in SPLIT_ROLES else group.bytes
            total += _whole_heads(model, group, r.tp) if group.role == "attention" else 0
    return total


def _whole_heads(model: ModelSpec, group: WeightGroup, tp: int) -> int:
    """What a rank holds of keys and values beyond its share: with more ranks than KV heads, one whole head each."""
    layer = model.attention[group.layer] if group.layer is not None else None
    if layer is None or not 0 < layer.kv_heads < tp or layer.kind == "mla":
        return 0
    rows = (layer.head_dim_k + layer.head_dim_v) * (tp - layer.kv_heads) // tp
    return rows * model.hidden * group.bytes // max(1, group.params)


def _experts(model: ModelSpec, size: int, r: Resolved) -> int:
    """Experts of one layer: each divided over the ranks, or whole ones dealt out; MXFP4 pads their inner size."""
    if model.quant == "mxfp4":
        size = size * _padded(model.moe_intermediate or model.intermediate) // max(1, model.moe_intermediate)
    if r.expert_parallel:
        return size * -(-model.experts // r.tp) // model.experts
    return size // r.tp


def _padded(inner: int) -> int:
    """MXFP4 kernels round an expert's inner size up to 256 (gpt-oss: 2,880 → 3,072; 12.82 → 13.47 GiB logged)."""
    return -(-inner // 256) * 256


def _absorbed(model: ModelSpec, tp: int, layers: int) -> int:
    """MLA keeps W_UK and W_UV once more in 16 bits (vllm `MLACommonImpl.process_weights_after_loading`)."""
    return sum(layer.absorbed_elements * 2 // tp for layer in model.attention[:layers])


def draft_per_rank(model: ModelSpec, draft: ModelSpec | str | None, r: Resolved) -> int:
    """Bytes of what guesses ahead: a whole draft model, divided like the model itself, or its prediction layers."""
    if draft is None:
        return 0
    if isinstance(draft, ModelSpec):
        return per_rank(draft, r)
    assert draft == MTP  # noqa: S101 - the only word there is; `resolve` has refused a model without the layers
    return sum(g.bytes for g in model.weights if g.role == "mtp") // r.tp


def adapters_per_rank(model: ModelSpec, r: Resolved) -> int:
    """Bytes of the buffers that adapters are copied into: (max_loras × rank) of every linear layer's two sides.

    vllm `lora/layers`: A is (rank, in), B is (out, rank); column-parallel layers divide B, row-parallel ones A,
    replicated ones and embeddings neither.
    """
    if not r.lora_rank:
        return 0
    layers = r.stage(model)
    sites = [s for s in model.adapters if s.layer is None or s.layer < layers]
    each = sum(s.whole + -(-s.split // r.tp) for s in sites)
    return each * r.lora_rank * r.loras * ADAPTER_BYTES
