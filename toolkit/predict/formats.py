"""What a weight format costs to move and to multiply: bits per weight, and the rate the device multiplies it at."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from toolkit.errors import InputError

Kind = Literal["plain", "fp8", "fp4", "w8", "w4", "gguf"]

GGUF_BITS = {
    "q2_k": 3.0, "q3_k_s": 3.5, "q3_k_m": 3.9, "q3_k_l": 4.2, "q4_0": 4.55, "q4_1": 5.0, "q4_k_s": 4.6, "q4_k_m": 4.85,
    "q4_k": 4.85, "q4": 4.85, "q5_0": 5.54, "q5_1": 6.0, "q5_k_s": 5.55, "q5_k_m": 5.7, "q6_k": 6.56, "q8_0": 8.5,
    "iq4_xs": 4.3, "iq4_nl": 4.5, "f16": 16.0,
}  # fmt: skip
"""Effective bits per weight of llama.cpp's file types (its own `quantize` table for an 8B model)."""


@dataclass(frozen=True)
class Format:
    """``bits`` per weight of the layers, scales included; ``head_bits`` of the output matrix.

    ``experts_only``: everything but the experts stays 16-bit (MXFP4 checkpoints).
    """

    name: str
    kind: Kind
    bits: float
    head_bits: float = 16.0
    experts_only: bool = False


NAMED: tuple[tuple[str, Format], ...] = (
    ("nvfp4", Format("nvfp4", "fp4", 4.5)),
    ("mxfp4", Format("mxfp4", "fp4", 4.25, experts_only=True)),
    ("fp4", Format("fp4", "fp4", 4.5)),
    ("fp8", Format("fp8", "fp8", 8.0)),
    ("fp32", Format("fp32", "plain", 32.0, 32.0)),
    ("bf16", Format("bf16", "plain", 16.0)),
    ("fp16", Format("fp16", "plain", 16.0)),
    ("float32", Format("fp32", "plain", 32.0, 32.0)),
    ("f32", Format("fp32", "plain", 32.0, 32.0)),
    ("bfloat16", Format("bf16", "plain", 16.0)),
    ("float16", Format("fp16", "plain", 16.0)),
    ("16bit", Format("fp16", "plain", 16.0)),
    ("half", Format("fp16", "plain", 16.0)),
    ("bestoftested", Format("bf16", "plain", 16.0)),
    ("w8a8", Format("int8", "fp8", 8.0)),
    ("gptqint8", Format("gptq-int8", "w8", 8.25)),
    ("int8", Format("int8", "w8", 8.0)),
    ("8bit", Format("int8", "w8", 8.25)),
    ("awq", Format("awq", "w4", 4.16)),
    ("gptq", Format("gptq", "w4", 4.16)),
    ("w4a16", Format("int4", "w4", 4.5)),
    ("int4", Format("int4", "w4", 4.5)),
    ("4bit", Format("int4", "w4", 4.16)),
)
"""Formats by how their names begin, the longer first. Widths: those of `size`'s table (scales of a group shared)."""


def _inside(folded: str) -> Format | None:
    """A format whose name stands inside a longer one (`compressedtensorsfp8`), or whose bits do (`nf4`, `ud-q3`)."""
    for start, found in NAMED:
        if start in folded:
            return found
    gguf = re.search(r"(?:^|[^a-z])i?q(\d)|i?q(\d)_", folded)
    if gguf:
        bits = float(gguf[1] or gguf[2])
        return Format(folded, "gguf", bits + 0.6, max(bits, 6.56)) if 1 <= bits <= 8 else None
    few = re.search(r"(?:int|nf|fp|w|uint|mxint)([2-8])(?!\d)|([2-8])bits?", folded)
    if not few:
        return None
    bits = float(few[1] or few[2])
    return Format(folded, "w8" if bits > 5 else "w4", bits + 0.25)


def parse(text: str | None) -> Format:
    """The format of that name, in any published spelling; None is 16-bit.

    Raises:
        InputError: no such format.
    """
    if not text:
        return Format("bf16", "plain", 16.0)
    folded = re.sub(r"[\s/().-]", "", text.lower())
    gguf = re.match(r"(iq4_xs|iq4_nl|q\d(?:_k)?(?:_[sml01])?)", folded)
    if folded == "f16" or gguf:
        name = gguf[1] if gguf else "f16"
        bits = GGUF_BITS.get(name)
        if bits is not None:
            return Format(name.upper(), "gguf", bits, 16.0 if name == "f16" else max(bits, 6.56))
    exl = re.match(r"exl[23](\d)(\d)bpw", folded)
    if exl:
        return Format(text, "w4", float(f"{exl[1]}.{exl[2]}"), 6.0)
    for start, found in NAMED:
        if folded.startswith(start):
            return found
    if "4" in folded and "mx" in folded:
        return NAMED[1][1]
    inside = _inside(folded)
    if inside:
        return inside
    raise InputError(
        f"unknown weight format {text!r}", "write one like bf16, fp8, awq, gptq-int8, mxfp4, nvfp4, q4_k_m, q8_0."
    )
