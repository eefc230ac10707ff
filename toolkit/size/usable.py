"""How much of a card's label an engine really sees.

Labels are decimal-ish and some memory is gone before any program starts; GDDR data-centre cards also lose 1/16 to
inline ECC. Figures are the totals that engines logged at start-up.
"""

from __future__ import annotations

from toolkit.errors import InputError
from toolkit.types import GIB, Gpu

LOGGED_GIB: dict[str, float] = {
    "H100-SXM-80GB": 79.18,
    "H100-PCIe-80GB": 79.18,
    "A100-SXM-80GB": 79.25,
    "A100-PCIe-80GB": 79.25,
    "A100-SXM-40GB": 39.50,
    "A100-PCIe-40GB": 39.39,
    "RTX-3090": 23.58,
    "RTX-4090": 23.65,
    "A10": 22.06,
    "A10G": 22.06,
    "L4": 22.16,
    "L40S": 44.39,
    "A40": 44.39,
    "T4": 14.74,
}
"""Canonical GPU id → GiB in vLLM start-up logs (total memory PyTorch sees)."""

HBM_SHARE, GDDR_SHARE, GDDR_ECC_SHARE = 0.989, 0.983, 0.922
"""Shares of the label, from the logged cards of each kind (H100, RTX 3090/4090, A10/L4/L40S/T4)."""

APPLE_SHARE = 0.75
"""Metal's default working-set limit on machines with 36 GB or more (recommendedMaxWorkingSetSize)."""


def usable_bytes(gpu: Gpu) -> tuple[int, str]:
    """Bytes an engine sees on that device, and how that is known.

    Raises:
        InputError: the record has no memory size.
    """
    if gpu.vram_gib is None:
        raise InputError(f"the memory of {gpu.name} is not on record", "give its memory in GiB.")
    if gpu.name in LOGGED_GIB:
        return int(LOGGED_GIB[gpu.name] * GIB), f"{LOGGED_GIB[gpu.name]} GiB in engine logs"
    if gpu.device_class == "cpu":
        return int(gpu.vram_gib * GIB), "installed memory"
    share = _share(gpu)
    return int(gpu.vram_gib * share * GIB), f"{gpu.vram_gib:g} GiB label × {share}, as logged on cards of its kind"


def _share(gpu: Gpu) -> float:
    bandwidth = gpu.mem_bw_gbs or 0
    if gpu.device_class == "apple":
        return APPLE_SHARE
    if bandwidth > 1300 and gpu.device_class == "datacenter":
        return HBM_SHARE
    return GDDR_ECC_SHARE if gpu.device_class == "datacenter" else GDDR_SHARE
