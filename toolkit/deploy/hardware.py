"""What each target calls a GPU, and how many of them one machine holds at most.

Sources, read 2026-11-24 and 2026-11-30: node labels ``nvidia.com/gpu.product`` as NVIDIA's GPU feature discovery writes
them (the driver's product name, spaces as ``-``), the newer ones as seen in use in public repositories; SkyPilot
0.14.1's names as its documentation and its own sources have them; ``ray.util.accelerators`` of Ray 2.60; GPUs per
machine from the vendors' largest HGX or cloud instance of that kind, and what a board of one or four has.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from toolkit.errors import InputError, UnknownNameError


@dataclass(frozen=True)
class Names:
    """One GPU in the words of others; None = that target has no word for it."""

    labels: tuple[str, ...]
    """Values of the node label ``nvidia.com/gpu.product``."""
    sky: str | None
    ray: str | None
    per_node: int = 8


GPUS = {
    "T4": Names(("Tesla-T4",), "T4", "T4"),
    "V100-SXM2-16GB": Names(("Tesla-V100-SXM2-16GB",), "V100", "V100"),
    "L4": Names(("NVIDIA-L4",), "L4", "L4"),
    "L40S": Names(("NVIDIA-L40S",), "L40S", "L40S"),
    "A10": Names(("NVIDIA-A10",), "A10", None, 4),
    "A10G": Names(("NVIDIA-A10G",), "A10G", "A10G"),
    "A100-SXM-40GB": Names(("NVIDIA-A100-SXM4-40GB",), "A100", "A100", 16),
    "A100-SXM-80GB": Names(("NVIDIA-A100-SXM4-80GB",), "A100-80GB", "A100"),
    "A100-PCIe-40GB": Names(("NVIDIA-A100-PCIE-40GB",), "A100", "A100"),
    "A100-PCIe-80GB": Names(("NVIDIA-A100-80GB-PCIe",), "A100-80GB", "A100"),
    "H100-SXM-80GB": Names(("NVIDIA-H100-80GB-HBM3",), "H100", "H100"),
    "H100-PCIe-80GB": Names(("NVIDIA-H100-PCIe",), "H100", "H100"),
    "H20": Names(("NVIDIA-H20",), None, "H20"),
    "H200-SXM": Names(("NVIDIA-H200",), "H200", "H200"),
    "B200-SXM": Names(("NVIDIA-B200",), "B200", "B200"),
    "RTX-A6000": Names(("NVIDIA-RTX-A6000",), "RTXA6000", None),
    "RTX-6000-Ada": Names(("NVIDIA-RTX-6000-Ada-Generation",), "RTX6000-Ada", None),
    "RTX-3090": Names(("NVIDIA-GeForce-RTX-3090",), "RTX3090", None),
    "RTX-4090": Names(("NVIDIA-GeForce-RTX-4090",), "RTX4090", None),
    "RTX-5090": Names(("NVIDIA-GeForce-RTX-5090",), "RTX5090", None),
    "A30": Names(("NVIDIA-A30",), "A30", None),
    "A40": Names(("NVIDIA-A40",), "A40", None),
    "H100-NVL-94GB": Names(("NVIDIA-H100-NVL",), "H100-NVL", "H100"),
    "H800": Names(("NVIDIA-H800",), None, None),
    "GH200-96GB": Names(("NVIDIA-GH200-480GB",), "GH200", None, 1),
    "B300-SXM": Names(("NVIDIA-B300-SXM6-AC",), "B300", "B300"),
    "GB200-per-GPU": Names(("NVIDIA-GB200",), "GB200", "GB200", 4),
    "GB300-per-GPU": Names(("NVIDIA-GB300",), "GB300", "GB300", 4),
    "DGX-Spark-GB10": Names(("NVIDIA-GB10",), None, None, 1),
    "RTX-PRO-6000-Blackwell-Server": Names(
        ("NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition",), "RTXPRO6000", "RTX-PRO-6000"
    ),
    "RTX-PRO-6000-Blackwell-WS": Names(
        ("NVIDIA-RTX-PRO-6000-Blackwell-Workstation-Edition",), "RTXPRO6000-WK", "RTX-PRO-6000"
    ),
    "RTX-PRO-6000-Blackwell-Max-Q": Names(
        ("NVIDIA-RTX-PRO-6000-Blackwell-Max-Q-Workstation-Edition",), "RTXPRO6000-MaxQ", "RTX-PRO-6000"
    ),
    "RTX-A4000": Names(("NVIDIA-RTX-A4000",), "RTXA4000", None),
    "RTX-A5000": Names(("NVIDIA-RTX-A5000",), "RTXA5000", None),
    "RTX-2080-Ti": Names(("NVIDIA-GeForce-RTX-2080-Ti",), None, None),
    "RTX-3060-12GB": Names(("NVIDIA-GeForce-RTX-3060",), None, None),
    "RTX-3070": Names(("NVIDIA-GeForce-RTX-3070",), "RTX3070", None),
    "RTX-3080-10GB": Names(("NVIDIA-GeForce-RTX-3080",), "RTX3080", None),
    "RTX-3080-Ti": Names(("NVIDIA-GeForce-RTX-3080-Ti",), "RTX3080-Ti", None),
    "RTX-3090-Ti": Names(("NVIDIA-GeForce-RTX-3090-Ti",), "RTX3090-Ti", None),
    "RTX-4060-Ti-16GB": Names(("NVIDIA-GeForce-RTX-4060-Ti",), None, None),
    "RTX-4070": Names(("NVIDIA-GeForce-RTX-4070",), None, None),
    "RTX-4070-Ti": Names(("NVIDIA-GeForce-RTX-4070-Ti",), None, None),
    "RTX-4080": Names(("NVIDIA-GeForce-RTX-4080",), "RTX4080", None),
    "RTX-5060-Ti-16GB": Names(("NVIDIA-GeForce-RTX-5060-Ti",), None, None),
    "RTX-5070": Names(("NVIDIA-GeForce-RTX-5070",), None, None),
    "RTX-5070-Ti": Names(("NVIDIA-GeForce-RTX-5070-Ti",), None, None),
    "RTX-5080": Names(("NVIDIA-GeForce-RTX-5080",), "RTX5080", None),
}
"""Cards that come with memory of several sizes under one product name are all meant by it; the memory is not in it."""


GIVEN = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
"""What a node label's value may be, which is the strictest of the three."""


def check_given(name: str | None) -> None:
    """A name of the user's own.

    Raises:
        InputError: no target could have a GPU of that name.
    """
    if name is not None and not GIVEN.fullmatch(name):
        raise InputError(
            f"{name!r} is no name of a GPU type", "letters, digits, '-', '_' and '.', at most 63: as a node label has."
        )


def is_processor(device: str) -> bool:
    """Whether a device of a memory plan is a processor: this machine's, or one by name."""
    return device == "CPU" or device.startswith("CPU-")


def most_per_node(gpu: str) -> int:
    """GPUs of a kind in one machine; eight where the table is silent."""
    return GPUS[gpu].per_node if gpu in GPUS else 8


def labels(gpu: str, given: str | None) -> tuple[str, ...]:
    """Node labels that a Kubernetes scheduler may look for.

    Raises:
        UnknownNameError: no label is known and none was given.
    """
    return (given,) if given else _names(gpu, "a node label").labels


def sky(gpu: str, given: str | None) -> str:
    """SkyPilot's name.

    Raises:
        UnknownNameError: SkyPilot has no such GPU, as far as is known, and no name was given.
    """
    return given or _said(gpu, _names(gpu, "SkyPilot").sky, "SkyPilot", [n.sky for n in GPUS.values()])


def ray(gpu: str, given: str | None) -> str:
    """Ray's accelerator type.

    Raises:
        UnknownNameError: Ray has no such accelerator type and none was given.
    """
    return given or _said(gpu, _names(gpu, "Ray").ray, "Ray", [n.ray for n in GPUS.values()])


def _names(gpu: str, where: str) -> Names:
    if gpu not in GPUS:
        hint = "if it has one, say what it is called there."
        raise UnknownNameError(f"GPU for {where}:", gpu, GPUS, hint)
    return GPUS[gpu]


def _said(gpu: str, name: str | None, where: str, known: list[str | None]) -> str:
    if name is None:
        listed = ", ".join(sorted({k for k in known if k}))
        hint = f"plan for one that it has ({listed}), or say what it is called there."
        raise InputError(f"{where} has no GPU type for {gpu}, as far as is known", hint)
    return name
