"""What a weight format really keeps: which tensors it packs, and bytes per packed weight with its scales.

Embeddings, head and norms stay 16-bit in every safetensors format; a checkpoint's own list of modules that were not
converted is respected. That is why "4-bit" is not parameters / 2.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from toolkit.errors import InputError, UnknownNameError
from toolkit.models.tensors import TensorShape
from toolkit.types import Role

DENSE = frozenset[Role]({"attention", "latent", "mlp", "experts", "mtp"})
EXPERTS = frozenset[Role]({"experts"})
NONE = frozenset[Role]()


@dataclass(frozen=True)
class Scheme:
    """A weight format: bytes per packed weight (scales included), what it packs, what a checkpoint left alone."""

    name: str
    width: Fraction
    packed: frozenset[Role] = DENSE
    plain_width: int = 2
    """Bytes of a weight that is not packed."""
    kept: tuple[str, ...] = ()


def _grouped(bits: int, group: int, scale_bits: int, zero_bits: int = 0) -> Fraction:
    """Bytes per weight: its bits, and the scale and zero point that a group shares."""
    return Fraction(bits, 8) + Fraction(scale_bits + zero_bits, 8 * group)


FORMATS: dict[str, Scheme] = {
    s.name: s
    for s in (
        Scheme("bf16", Fraction(2), NONE),
        Scheme("fp16", Fraction(2), NONE),
        Scheme("fp32", Fraction(4), NONE, plain_width=4),
        Scheme("awq", _grouped(4, 128, 16, 4)),  # AutoAWQ: groups of 128, 16-bit scale, 4-bit zero
        Scheme("gptq", _grouped(4, 128, 16, 4)),  # GPTQ packing, likewise
        Scheme("int4", _grouped(4, 32, 16)),  # compressed-tensors, symmetric groups of 32 (Kimi K2.5)
        Scheme("int8", Fraction(1)),  # per-channel scales: below 0.1 %
        Scheme("fp8", Fraction(1)),  # per-channel or 128 x 128 block scales: below 0.1 %
        Scheme("mxfp4", _grouped(4, 32, 8), EXPERTS),  # OCP MX: 8-bit shared exponent; only experts (gpt-oss)
        Scheme("nvfp4", _grouped(4, 16, 8)),  # fp8 scale per 16
        Scheme("bnb-4bit", _grouped(4, 64, 8)),  # bitsandbytes NF4: an 8-bit scale per 64, theirs per 256 of them
        Scheme("bnb-8bit", Fraction(1)),  # LLM.int8(): a scale per row
    )
}
"""Formats by the name users type."""

ALIASES = {
    "bfloat16": "bf16",
    "float16": "fp16",
    "half": "fp16",
    "float32": "fp32",
    "fbgemm_fp8": "fp8",
    "awq_marlin": "awq",
    "gptq_marlin": "gptq",
    "w8a8": "int8",
    "w4a16": "int4",
    "modelopt_fp4": "nvfp4",
    "bitsandbytes": "bnb-4bit",
    "bnb": "bnb-4bit",
    "nf4": "bnb-4bit",
}


def scheme(name: str) -> Scheme:
    """The format of that name.

    Raises:
        UnknownNameError: no such format.
    """
    key = ALIASES.get(name.lower(), name.lower())
    if key not in FORMATS:
        raise UnknownNameError("weight format", name, FORMATS, f"formats: {', '.join(FORMATS)}.")
    return FORMATS[key]


def of_config(config: dict[str, Any]) -> Scheme:
    """The format a `config.json` declares: its quantization, else its dtype (bf16 when silent).

    Raises:
        InputError: a quantization whose weight bits are not said or are mixed.
    """
    text = config.get("text_config") if isinstance(config.get("text_config"), dict) else {}
    found = config.get("quantization_config") or (text or {}).get("quantization_config")
    if not isinstance(found, dict):
        return scheme(str(config.get("torch_dtype") or config.get("dtype") or "bf16").removeprefix("torch."))
    listed = found.get("modules_to_not_convert") or found.get("ignore") or ()
    return replace(_declared(found), kept=tuple(str(p) for p in listed))


NAMED = re.compile(r"(?:^|[-_./ ])(nvfp4|mxfp4|fp8|awq|gptq|int4|int8|w4a16|w8a8)(?=$|[-_./ ])", re.IGNORECASE)
"""Formats that makers write into a name."""


def undeclared(config: dict[str, Any], name: str) -> str | None:
    """The format that a name promises and its `config.json` does not declare; such models keep it in another file."""
    text = config.get("text_config")
    inner = text if isinstance(text, dict) else {}
    if config.get("quantization_config") or inner.get("quantization_config"):
        return None
    found = NAMED.search(name)
    return found[1].lower() if found else None


def _declared(found: dict[str, Any]) -> Scheme:
    method, algorithm = str(found.get("quant_method") or "").lower(), str(found.get("quant_algo") or "").lower()
    if algorithm:
        return scheme(algorithm)
    if method == "bitsandbytes":
        return scheme("bnb-8bit" if found.get("load_in_8bit") and not found.get("load_in_4bit") else "bnb-4bit")
    if method not in ("modelopt", "compressed-tensors", ""):
        base = scheme(method)
        group, bits = found.get("group_size") or found.get("q_group_size"), found.get("bits") or found.get("w_bit")
        if isinstance(group, int) and group > 0 and isinstance(bits, int) and base.name in ("awq", "gptq"):
            return replace(base, width=_grouped(bits, group, 16, bits))
        return base
    return _by_bits(found)


def _by_bits(found: dict[str, Any]) -> Scheme:
    """`modelopt` and `compressed-tensors` name a container; the weights' own bits decide."""
    groups = found.get("config_groups")
    weights = [
        w
        for g in (groups.values() if isinstance(groups, dict) else ())
        if isinstance(g, dict) and isinstance(w := g.get("weights"), dict)
    ]
    kinds = {(w.get("type"), w.get("num_bits")) for w in weights}
    named = {("float", 8): "fp8", ("int", 8): "int8", ("int", 4): "int4", ("float", 4): "nvfp4"}
    if len(kinds) != 1 or (kind := next(iter(kinds))) not in named:
        raise InputError(
            f"the checkpoint's quantization_config mixes or hides its weight formats ({sorted(map(str, kinds))})",
            "name the weight format yourself.",
        )
    group = weights[0].get("group_size")
    if named[kind] == "int4" and isinstance(group, int) and group > 0:
        return replace(FORMATS["int4"], width=_grouped(4, group, 16))
    return FORMATS[named[kind]]


def bytes_of(tensor: TensorShape, fmt: Scheme) -> int:
    """Bytes of one tensor in a format."""
    matrix = len(tensor.shape) >= 2 and not tensor.name.endswith("bias")
    if tensor.role in fmt.packed and matrix and not any(_matches(tensor.name, p) for p in fmt.kept):
        return int(tensor.elements * fmt.width)
    return tensor.elements * fmt.plain_width


def _matches(name: str, pattern: str) -> bool:
    """Whether a kept-module pattern names this tensor's module: a regular expression, or whole dotted parts.

    ``gate`` is the router, not ``gate_proj``; ``model.layers.*.self_attn`` is every projection below it.
    """
    if pattern.startswith("re:"):
        return re.match(pattern[3:], name) is not None
    want = pattern.split(".")
    have = name.removesuffix(".weight").split(".")
    starts = range(len(have) - len(want) + 1)
    return any(all(fnmatch.fnmatchcase(h, w) for h, w in zip(have[s:], want, strict=False)) for s in starts)
