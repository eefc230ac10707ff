"""What llama.cpp's quantizer would make of a model: a GGML type for every tensor of a file type such as Q4_K_M.

A "Q4_K_M" file mixes types: the head is Q6_K, some value and down projections get more bits, norms stay F32. The
rules are those of `llama_tensor_get_type` (llama.cpp src/llama-quant.cpp) without an importance matrix, for
architectures other than Falcon; sizes are tested against the quantizer's published table for Llama-3.1-8B.
"""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.models import ggml
from toolkit.models.tensors import TensorShape

MIXES: dict[str, str] = {
    "F16": "F16",
    "BF16": "BF16",
    "Q8_0": "Q8_0",
    "Q6_K": "Q6_K",
    "Q5_0": "Q5_0",
    "Q5_K_M": "Q5_K",
    "Q5_K_S": "Q5_K",
    "Q4_0": "Q4_0",
    "Q4_K_M": "Q4_K",
    "Q4_K_S": "Q4_K",
    "IQ4_NL": "IQ4_NL",
    "IQ4_XS": "IQ4_XS",
    "Q3_K_L": "Q3_K",
    "Q3_K_M": "Q3_K",
    "Q3_K_S": "Q3_K",
    "Q2_K": "Q2_K",
}
"""File type → the type most tensors get."""

UNQUANTIZED = ("F16", "BF16")
FALLBACK = {"Q2_K": "Q4_0", "Q3_K": "Q4_0", "IQ4_XS": "IQ4_NL", "Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
"""What a row that is no multiple of 256 gets instead."""


@dataclass(frozen=True)
class Facts:
    """What the rules look at besides the tensor."""

    layers: int
    heads_per_kv: int
    experts: int
    tied: bool
    large: bool
    """The 70B class, whose value projections always get more bits."""


def canonical(name: str) -> str | None:
    """The file type of that name, whatever its case; None when there is none.

    ``BF16`` and ``F16`` are file types only in capitals: ``bf16`` is a checkpoint's dtype.
    """
    if name.upper() in UNQUANTIZED:
        return name if name in UNQUANTIZED else None
    return next((mix for mix in MIXES if mix.lower() == name.lower()), None)


def bytes_of(tensor: TensorShape, mix: str, facts: Facts) -> int:
    """Bytes of one tensor in a file of that type."""
    if len(tensor.shape) < 2 or tensor.role in ("norm", "router") or tensor.name.endswith("bias"):
        return tensor.elements * 4
    if tensor.role == "vision":
        return tensor.elements * 2
    dtype, row = type_of(tensor, mix, facts), tensor.shape[-1]
    if row % ggml.BLOCKS[dtype][0]:
        dtype = FALLBACK.get(dtype, "F16")
    if row % ggml.BLOCKS[dtype][0]:
        dtype = "F16"
    return ggml.row_bytes(dtype, row) * (tensor.elements // row)


def type_of(tensor: TensorShape, mix: str, facts: Facts) -> str:
    """GGML type of a weight matrix."""
    base = MIXES[mix]
    if mix in UNQUANTIZED:
        return base
    if tensor.role == "head" or (tensor.role == "embedding" and facts.tied):
        return base if base == "Q8_0" else "Q6_K"
    return base if tensor.layer is None else _in_layer(tensor, mix, base, tensor.layer, facts)


def _in_layer(tensor: TensorShape, mix: str, base: str, layer: int, facts: Facts) -> str:
    if ".v_proj." in tensor.name:
        return _value(mix, base, layer, facts)
    if ".k_proj." in tensor.name and facts.experts == 8:
        return "Q8_0"
    if "down_proj" in tensor.name:
        return _down(mix, base, layer, facts)
    return _output(mix, base, facts) if ".o_proj." in tensor.name else base


def _more_bits(i: int, n: int) -> bool:
    """The layers that get more bits: the first and last eighth and every third between."""
    return i < n // 8 or i >= 7 * n // 8 or (i - n // 8) % 3 == 2


def _value(mix: str, base: str, i: int, facts: Facts) -> str:
    chosen = base
    if mix == "Q2_K":
        chosen = "Q4_K" if facts.heads_per_kv >= 4 else "Q3_K"
    elif mix == "Q3_K_M":
        chosen = "Q5_K" if i < 2 else "Q4_K"
    elif mix == "Q3_K_L" or (mix in ("IQ4_NL", "IQ4_XS") and facts.heads_per_kv >= 4) or (mix == "Q4_K_S" and i < 4):
        chosen = "Q5_K"
    elif mix in ("Q4_K_M", "Q5_K_M") and _more_bits(i, facts.layers):
        chosen = "Q6_K"
    if facts.large and chosen in ("Q3_K", "Q4_K"):
        chosen = "Q5_K"
    return "Q8_0" if facts.experts == 8 else chosen


def _down(mix: str, base: str, i: int, facts: Facts) -> str:
    n = facts.layers
    if mix == "Q2_K":
        return "Q3_K"
    if mix == "Q3_K_M":
        return "Q5_K" if i < n // 16 else "Q4_K"
    if mix == "Q3_K_L" or (mix in ("IQ4_NL", "IQ4_XS", "Q4_K_S") and i < n // 8):
        return "Q5_K"
    if mix in ("Q4_K_M", "Q5_K_M") and _more_bits(i, n):
        return "Q6_K"
    return base


def _output(mix: str, base: str, facts: Facts) -> str:
    if facts.experts == 8 and base in ("Q2_K", "Q3_K", "Q4_K", "IQ4_NL", "IQ4_XS"):
        return "Q5_K"
    return {"Q2_K": "Q3_K", "Q3_K_M": "Q4_K", "Q3_K_L": "Q5_K"}.get(mix, base)
