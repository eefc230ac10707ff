"""How much of a card's label an engine really sees.

Labels are decimal-ish and some memory is gone before any program starts; GDDR data-centre cards also lose 1/16 to
inline ECC. Where an engine logged the total of that very card, the profile has it; else the share of its kind.
"""

from __future__ import annotations

from toolkit.errors import InputError
from toolkit.types import GIB, Gpu

HBM_SHARE, GDDR_SHARE, GDDR_ECC_SHARE = 0.989, 0.983, 0.922
"""Shares of the label, from the logged cards of each kind (H100, RTX 3090/4090, A10/L4/L40S/T4)."""

APPLE_SHARE = 0.75
"""Metal's default working-set limit on machines with 36 GB or more (recommendedMaxWorkingSetSize)."""


def usable_bytes(gpu: Gpu) -> tuple[int, str]:
    """Bytes an engine sees on that device, and how that is known.

    Raises:
        InputError: the record has no memory size.
    """
    if gpu.visible_gib is not None:
        return int(gpu.visible_gib * GIB), f"{gpu.visible_gib:g} GiB: {gpu.visible_source}"
    if gpu.vram_gib is None:
        raise InputError(f"the memory of {gpu.name} is not on record", "give its memory in GiB.")
    if gpu.device_class == "cpu":
        return int(gpu.vram_gib * GIB), "installed memory"
    share = _share(gpu)
    return int(gpu.vram_gib * share * GIB), f"{gpu.vram_gib:g} GiB label × {share}, as logged on cards of its kind"


def fabric(gpu: Gpu) -> bool | None:
    """Whether every device of that kind reaches every other at full speed, by its record; None where that is silent."""
    link = gpu.interconnect
    return None if link is None else link.startswith(("NVLink", "Infinity Fabric")) and "PCIe" not in link


def _share(gpu: Gpu) -> float:
    bandwidth = gpu.mem_bw_gbs or 0
    if gpu.device_class == "apple":
        return APPLE_SHARE
    if bandwidth > 1300 and gpu.device_class == "datacenter":
        return HBM_SHARE
    return GDDR_ECC_SHARE if gpu.device_class == "datacenter" else GDDR_SHARE
