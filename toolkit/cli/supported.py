"""Which weight formats vLLM takes on which devices, by what it says itself; a device nobody lists is taken at its word.

Sources, read 2026-11-30: the table *Supported Hardware* of vLLM's `docs/features/quantization/README.md`; its
`llm_compressor/fp8.md` (native from capability 8.9 on, weight-only by Marlin from 7.5 on; AMD MI300X) and
`int8_w8a8.md` (up to 9.x); `RocmPlatform` in `vllm/platforms/rocm.py` (`supports_fp8`: gfx94, gfx95 and gfx12, that is
CDNA 3, CDNA 4 and RDNA 4; `mxfp4` among its formats). Where its code takes more than its table grants (AWQ and GPTQ on
AMD, FP8 on Intel), the table counts.
"""

from __future__ import annotations

from toolkit.types import Gpu

PLAIN = ("bf16", "fp16", "fp32")

CAPABILITY = {"gptq": 7.0, "bnb-4bit": 7.0, "bnb-8bit": 7.0, "awq": 7.5, "fp8": 7.5, "int8": 7.5}
"""CUDA compute capability a format needs; 7.0 in 16 bits, which vLLM runs as float16 there; 8.0 for all others."""

INT8_ENDS = 10.0
"""The compute capability from which on INT8 (W8A8) is no longer taken."""

ON_AMD = {"fp8": ("CDNA 3", "CDNA 4", "RDNA 4"), "mxfp4": ("CDNA 3", "CDNA 4")}
ON_INTEL = ("awq", "gptq")


def why_not(quant: str, gpu: Gpu) -> str | None:
    """Why vLLM does not take that format on that device; None where it does, or where nobody says."""
    taken = {"NVIDIA": _on_nvidia, "AMD": _on_amd, "Intel": _on_intel, "Apple": _on_apple}.get(gpu.vendor)
    if taken is None or gpu.device_class == "cpu" or taken(quant, gpu):
        return None
    return f"vLLM does not list that format for {gpu.vendor} {gpu.arch}"


def _on_nvidia(quant: str, gpu: Gpu) -> bool:
    if gpu.compute_capability is None:
        return True
    has = float(gpu.compute_capability)
    least = 7.0 if quant in PLAIN else CAPABILITY.get(quant, 8.0)
    return has >= least and not (quant == "int8" and has >= INT8_ENDS)


def _on_amd(quant: str, gpu: Gpu) -> bool:
    return quant in PLAIN or gpu.arch.startswith(ON_AMD.get(quant, ()))


def _on_intel(quant: str, gpu: Gpu) -> bool:
    return quant in PLAIN or (quant in ON_INTEL and "gaudi" not in gpu.name.lower())


def _on_apple(quant: str, gpu: Gpu) -> bool:
    return quant in PLAIN
