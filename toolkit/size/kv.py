"""The KV cache: bytes per token and per sequence, for every kind of attention layer.

Per token and full layer: K and V rows of ``kv_heads × head_dim`` elements; MLA keeps one latent row instead. A
sliding layer stops growing at its window. Cache types other than 16-bit are stored in blocks with scales, so a
row's bytes are whole blocks (llama.cpp ``ggml_row_size``).
"""

from __future__ import annotations

from toolkit.errors import UnknownNameError
from toolkit.models import ggml
from toolkit.types import LayerAttention

VLLM_BYTES = {"auto": 2, "bfloat16": 2, "float16": 2, "fp8": 1, "fp8_e4m3": 1, "fp8_e5m2": 1}
"""vLLM ``--kv-cache-dtype`` → bytes per element (vllm `STR_DTYPE_TO_TORCH_DTYPE`)."""

LLAMACPP_TYPES = ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")
"""llama.cpp ``--cache-type-k/v`` values (common/arg.cpp `kv_cache_types`)."""


def vllm_width(kv_dtype: str) -> int:
    """Bytes per cache element in vLLM.

    Raises:
        UnknownNameError: no such cache dtype.
    """
    if kv_dtype not in VLLM_BYTES:
        raise UnknownNameError("KV cache dtype", kv_dtype, VLLM_BYTES, f"vLLM takes {', '.join(VLLM_BYTES)}.")
    return VLLM_BYTES[kv_dtype]


def llamacpp_types(kv_dtype: str) -> tuple[str, str]:
    """The GGML types of keys and values: ``q8_0`` for both, or ``q8_0/f16``.

    Raises:
        UnknownNameError: no such cache dtype.
    """
    keys, _, values = kv_dtype.partition("/")
    return llamacpp_type(keys), llamacpp_type(values or keys)


def llamacpp_type(kv_dtype: str) -> str:
    """The GGML type of a llama.cpp cache dtype.

    Raises:
        UnknownNameError: no such cache dtype.
    """
    if kv_dtype not in LLAMACPP_TYPES:
        raise UnknownNameError(
            "KV cache dtype", kv_dtype, LLAMACPP_TYPES, f"llama.cpp takes {', '.join(LLAMACPP_TYPES)}."
        )
    return kv_dtype.upper()


def elements(layer: LayerAttention) -> int:
    """Elements one token adds to one layer's cache."""
    if layer.kind == "mla":
        return layer.latent_dim
    return layer.kv_heads * (layer.head_dim_k + layer.head_dim_v)


def row_bytes(layer: LayerAttention, types: tuple[str, str]) -> int:
    """Bytes one token adds to one layer's cache in the GGML types of K and V: K row + V row, each in whole blocks."""
    if layer.kind == "mla":
        return ggml.row_bytes(types[0], layer.latent_dim)
    k, v = layer.kv_heads * layer.head_dim_k, layer.kv_heads * layer.head_dim_v
    return ggml.row_bytes(types[0], k) + ggml.row_bytes(types[1], v)


def heads_per_rank(layer: LayerAttention, tp: int) -> int:
    """KV heads on one tensor-parallel rank; with more ranks than heads each keeps one whole head."""
    return max(1, layer.kv_heads // tp) if layer.kv_heads else 0


def rank_elements(layer: LayerAttention, tp: int) -> int:
    """Elements one token adds to one layer's cache on one rank. MLA latents are replicated, never divided."""
    if layer.kind == "mla":
        return layer.latent_dim
    return heads_per_rank(layer, tp) * (layer.head_dim_k + layer.head_dim_v)
