"""An architecture without a reader of its own: read as a plain decoder, where the headers prove that it is one.

Many architectures differ from Llama or Mixtral only in norms and activations, which cost no memory worth naming. One
is taken for such when its config gives the usual numbers, every layer holds a key and a value projection of exactly
that size, and nothing in it hints at another kind of cache. Anything less is declined.
"""

from __future__ import annotations

from typing import Any

from toolkit.errors import DeclinedError, ModelFileError
from toolkit.models import architectures, roles
from toolkit.models.layers import Attention, Decoder
from toolkit.models.safetensors import Tensor

EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")

OTHER_CACHES = {
    "kv_lora_rank": "latent attention",
    "num_kv_shared_layers": "layers that share a cache",
    "cross_attention_layers": "cross-attention",
    "attention_chunk_size": "chunked attention",
    "index_topk": "a sparse-attention indexer",
    "is_encoder_decoder": "an encoder and a decoder",
    "ssm_state_size": "a recurrent state",
    "mamba_d_state": "a recurrent state",
    "linear_num_value_heads": "linear attention",
    "compress_ratios": "a compressed cache",
}
"""Config keys that change what a token leaves behind, and what they stand for."""

PLAIN = frozenset(
    {
        *("q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj", "query_key_value", "dense", "out_proj"),
        *("q_norm", "k_norm", "q_layernorm", "k_layernorm", "query_layernorm", "key_layernorm"),
        *("rotary_emb", "sinks", "g_proj", "gate_proj", "attn_sub_norm", "inner_attn_ln"),
    }
)
"""Modules of attention that keep keys and values and nothing else."""

KINDS = frozenset({"full_attention", "sliding_attention"})


def read(config: dict[str, Any], name: str, tensors: tuple[Tensor, ...]) -> Decoder:
    """The decoder of an architecture that `architectures` does not list.

    Raises:
        DeclinedError: its cache cannot be told from its config and headers; the message says why.
    """
    listed = config.get("architectures")
    architecture = str(listed[0]) if isinstance(listed, list) and listed else str(config.get("model_type") or "?")
    text = config["text_config"] if isinstance(config.get("text_config"), dict) else config
    if reason := _unusual(text):
        raise _declined(name, architecture, reason)
    stand_in = "MixtralForCausalLM" if any(text.get(k) for k in EXPERTS) else "LlamaForCausalLM"
    try:
        decoder = architectures.read({**config, "architectures": [stand_in]}, name)
    except ModelFileError as error:
        raise _declined(name, architecture, error.message) from None
    if reason := _contradicted(decoder, tensors):
        raise _declined(name, architecture, reason)
    return decoder


def _declined(name: str, architecture: str, reason: str) -> DeclinedError:
    return DeclinedError(
        f"{name}: {architecture} is not modelled ({reason}), and its KV cache would be a guess",
        "a GGUF file of it may be readable; else wait for a reader of this architecture.",
    )


def _unusual(text: dict[str, Any]) -> str | None:
    """What in a config points at another kind of cache."""
    for key, what in OTHER_CACHES.items():
        if text.get(key):
            return what
    kinds = text.get("layer_types")
    if isinstance(kinds, list) and (odd := [k for k in kinds if k not in KINDS]):
        return f"layers of the kind {odd[0]!r}"
    if text.get("sliding_window") and text.get("use_sliding_window") is not False and not isinstance(kinds, list):
        return "config.json names a sliding window and not which layers slide"
    return None


def _contradicted(decoder: Decoder, tensors: tuple[Tensor, ...]) -> str | None:
    """Why the headers are not those of this decoder; None when every layer proves it."""
    rows: dict[int, dict[str, int]] = {}
    for t in tensors:
        role, layer = roles.of(t.name, len(decoder.layers))
        if role == "recurrent":
            return f"its tensor {t.name[:80]!r} keeps a state"
        if role not in ("attention", "latent") or layer is None:
            continue
        module, last = _module(t.name)
        if module not in PLAIN:
            return f"its tensor {t.name[:80]!r} is of no known attention"
        if (count := _rows(t, last)) is not None:
            rows.setdefault(layer, {})[module] = count
    for i, wanted in enumerate(decoder.layers):
        if not _proves(rows.get(i, {}), wanted.attention):
            return f"layer {i} does not hold keys and values of {wanted.attention.kv_heads} heads"
    return None


def _module(name: str) -> tuple[str, str]:
    """The attention module a tensor belongs to and what of it the tensor is: (`k_proj`, `weight`)."""
    parts = name.split(".")
    at = max((i for i, p in enumerate(parts) if p in roles.ATTENTION), default=0)
    return parts[at + 1] if at + 1 < len(parts) else "", parts[-1]


def _rows(tensor: Tensor, last: str) -> int | None:
    """Outputs of a projection: rows of a weight; columns of the scales of AWQ and GPTQ, which pack the weight."""
    if len(tensor.shape) != 2:
        return None
    if last in ("weight", "weight_packed"):
        return tensor.shape[0]
    return tensor.shape[1] if last == "scales" else None


def _proves(rows: dict[str, int], a: Attention) -> bool:
    key, value = a.kv_heads * a.head_dim, a.kv_heads * a.v_head_dim
    fused = rows.get("qkv_proj", rows.get("query_key_value"))
    if fused is not None:
        return fused == a.heads * a.head_dim + key + value
    return rows.get("k_proj") == key and rows.get("v_proj") == value
