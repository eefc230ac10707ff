"""What a weight format really keeps: which tensors it packs, and bytes per packed weight with its scales.

Embeddings, head and norms stay 16-bit in every one of these formats; a checkpoint's own list of modules that were
not converted is respected. That is why "4-bit" is not parameters / 2.
"""

from __future__ import annotations

import fnmatch
import re
from fractions import Fraction
from typing import Any

from toolkit.errors import InputError, UnknownNameError
from toolkit.models.tensors import TensorShape
from toolkit.types import Role

DENSE = frozenset[Role]({"attention", "mlp", "experts"})
EXPERTS = frozenset[Role]({"experts"})

FORMATS: dict[str, tuple[Fraction, frozenset[Role]]] = {
    "bf16": (Fraction(2), frozenset()),
    "fp16": (Fraction(2), frozenset()),
    "fp32": (Fraction(4), frozenset()),
    # 4-bit weights, one 16-bit scale and one 4-bit zero point per group of 128 (AutoAWQ, GPTQ packing)
    "awq": (Fraction(1, 2) + Fraction(2, 128) + Fraction(1, 256), DENSE),
    "gptq": (Fraction(1, 2) + Fraction(2, 128) + Fraction(1, 256), DENSE),
    # one byte a weight; per-channel or 128x128-block scales are below 0.1 %
    "fp8": (Fraction(1), DENSE),
    "int8": (Fraction(1), DENSE),
    # OCP MX: 32 four-bit values share one 8-bit scale; only the experts are packed (gpt-oss)
    "mxfp4": (Fraction(17, 32), EXPERTS),
    # 16 four-bit values share one fp8 scale
    "nvfp4": (Fraction(9, 16), DENSE),
}
"""Format → (bytes per packed weight, roles that are packed)."""

ALIASES = {
    "bfloat16": "bf16",
    "float16": "fp16",
    "half": "fp16",
    "float32": "fp32",
    "compressed-tensors": "fp8",
    "fbgemm_fp8": "fp8",
    "awq_marlin": "awq",
    "gptq_marlin": "gptq",
    "w8a8": "int8",
    "modelopt_fp4": "nvfp4",
}


def canonical(name: str) -> str:
    """The format's name here.

    Raises:
        UnknownNameError: no such format.
    """
    key = ALIASES.get(name.lower(), name.lower())
    if key not in FORMATS:
        raise UnknownNameError("weight format", name, FORMATS, f"formats: {', '.join(FORMATS)}.")
    return key


def of_config(config: dict[str, Any]) -> str:
    """The format a `config.json` declares: its quantization method, else its dtype (bf16 when silent)."""
    quantization = config.get("quantization_config") or {}
    method = str(quantization.get("quant_method") or "").lower()
    if method in ("modelopt", "compressed-tensors"):
        return _bits_of(quantization)
    if method:
        return canonical(method)
    return canonical(str(config.get("torch_dtype") or config.get("dtype") or "bf16").removeprefix("torch."))


def _bits_of(quantization: dict[str, Any]) -> str:
    """`modelopt` and `compressed-tensors` name a container; the weights' own bits decide."""
    algorithm = str(quantization.get("quant_algo") or "").lower()
    if algorithm:
        return canonical(algorithm)
    groups = (quantization.get("config_groups") or {}).values()
    kinds = {
        (w.get("type"), w.get("num_bits"))
        for g in groups
        if isinstance(g, dict) and isinstance(w := g.get("weights"), dict)
    }
    named = {("float", 8): "fp8", ("int", 8): "int8", ("int", 4): "gptq", ("float", 4): "nvfp4"}
    if len(kinds) == 1 and (kind := kinds.pop()) in named:
        return named[kind]
    raise InputError(
        f"the checkpoint's quantization_config mixes or hides its weight formats ({sorted(map(str, kinds))})",
        "name the weight format yourself.",
    )


def unconverted(config: dict[str, Any]) -> list[str]:
    """Module patterns a checkpoint kept in 16 bits."""
    quantization = config.get("quantization_config") or {}
    listed = quantization.get("modules_to_not_convert") or quantization.get("ignore") or []
    return [str(p) for p in listed]


def bytes_of(tensor: TensorShape, fmt: str, kept: list[str]) -> int:
    """Bytes of one tensor in a format; ``kept`` are patterns of modules left in 16 bits."""
    per_weight, packed = FORMATS[fmt]
    if not packed:
        return int(tensor.elements * per_weight)
    weight_matrix = len(tensor.shape) >= 2 and not tensor.name.endswith("bias")
    if tensor.role in packed and weight_matrix and not any(_matches(tensor.name, p) for p in kept):
        return int(tensor.elements * per_weight)
    return tensor.elements * 2


def _matches(name: str, pattern: str) -> bool:
    if pattern.startswith("re:"):
        return re.search(pattern[3:], name) is not None
    return fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(name, f"*{pattern}*")
