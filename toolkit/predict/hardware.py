"""What of a device and an engine matters to speed: rates from the data sheet, and the classes constants are kept by."""

from __future__ import annotations

import re
from dataclasses import dataclass

from toolkit.errors import DeclinedError
from toolkit.predict.formats import Format
from toolkit.types import GIB, Gpu

FLOPS_PER_BYTE_OF_A_CPU = 8.0
"""CPUs whose matrix rate is not on record: FLOP per byte of memory bandwidth (EPYC 9554: ≈ 4 TFLOPS, 461 GB/s)."""

WATTS_PER_TFLOP = {
    ("ampere", "nvidia-hbm"): 1.28,  # A100 SXM: 400 W, 312 TFLOPS of FP16
    ("ampere", "nvidia-gddr"): 2.0,  # A40: 300 W, 149.7
    ("hopper", "nvidia-hbm"): 0.71,  # H100 SXM: 700 W, 989
    ("ada", "nvidia-gddr"): 0.97,  # L40S: 350 W, 362
    ("blackwell", "nvidia-hbm"): 0.44,  # B200: 1,000 W, 2,250
    ("blackwell", "nvidia-gddr"): 1.19,  # RTX PRO 6000: 600 W, 504
}
"""By generation and class, the watts per TFLOP/s of FP16 of the card that is least short of power (its data sheet)."""

POWER_EXPONENT = 0.7
"""A card with a share of those watts sustains this power of it (A100 PCIe, 0.75: 0.82). Assumed: of 0, 0.7 and 1, which
predict held-out cards within half a point of one another, the one between."""

PCIE_GBS = 32.0
"""One way, PCIe 4.0 ×16: the link of a device whose own is not on record."""

FAMILIES = (
    ("llama.cpp", ("llama", "ollama")),
    ("tensorrt-llm", ("tensorrt", "trt")),
    ("vllm", ("vllm",)),
    ("sglang", ("sglang",)),
    ("deepspeed", ("deepspeed",)),
    ("habana", ("optimum-habana",)),
    ("exllama", ("exllama", "autoawq", "autogptq")),
)
"""Engine family → words of the names its builds go by, the first match counts."""


@dataclass(frozen=True)
class DeviceFacts:
    """Rates of one device: bytes/s, FLOP/s (dense), bytes of memory, link bytes/s one way.

    ``kind`` is the device class constants are kept by, ``arch`` the maker's generation. ``sustained`` is the share of
    the arithmetic rate that a card with less power than its sisters keeps up.
    """

    name: str
    kind: str
    arch: str
    bandwidth: float
    fp16: float
    fp8: float | None
    fp4: float | None
    memory_bytes: float
    link: float
    fast_link: bool
    sustained: float = 1.0

    def peak(self, fmt: Format) -> tuple[float, bool]:
        """FLOP/s for that format, and whether the device multiplies it natively."""
        if fmt.kind == "fp4" and self.fp4:
            return self.fp4, True
        if fmt.kind in ("fp4", "fp8") and self.fp8:
            return self.fp8, fmt.kind == "fp8"
        return self.fp16, fmt.kind == "plain" or fmt.name == "F16"


@dataclass(frozen=True)
class EngineFacts:
    """``family`` is one of `FAMILIES` or `other`; ``era`` is `old` for the software of 2024 and before."""

    family: str
    era: str

    @property
    def reserves_answers(self) -> bool:
        """Whether a request waits until its whole answer has room: TensorRT-LLM evicts nothing by default."""
        return self.family == "tensorrt-llm"

    def max_sequences(self, device: DeviceFacts) -> int:
        """Sequences per step by default; of vLLM 256, and since 0.7 1,024 on devices of 70 GiB and more but the A100.

        The others take as many as fit, up to 2,048.
        """
        if self.family == "vllm":
            large = device.memory_bytes >= 70 * GIB and not device.name.startswith("A100")
            return 1024 if large and self.era == "new" else 256
        return {"llama.cpp": 64, "exllama": 16, "sglang": 1024}.get(self.family, 2048)


def of_gpu(gpu: Gpu) -> DeviceFacts:
    """The facts of a device on record.

    Raises:
        DeclinedError: its memory bandwidth is not known: nothing bounds its speed.
    """
    if gpu.mem_bw_gbs is None:
        raise DeclinedError(f"the memory bandwidth of {gpu.name} is not known", "describe the device by its numbers.")
    fp16 = gpu.fp16_tflops or gpu.mem_bw_gbs * FLOPS_PER_BYTE_OF_A_CPU / 1e3
    link = gpu.interconnect or ""
    return DeviceFacts(
        name=gpu.name,
        kind=_kind(gpu),
        arch=_arch(gpu),
        bandwidth=gpu.mem_bw_gbs * 1e9,
        fp16=fp16 * 1e12,
        fp8=gpu.fp8_tflops * 1e12 if gpu.fp8_tflops else None,
        fp4=gpu.fp4_tflops * 1e12 if gpu.fp4_tflops else None,
        memory_bytes=(gpu.visible_gib or gpu.vram_gib or 64.0) * GIB,
        link=(gpu.interconnect_gbs_bidir / 2 if gpu.interconnect_gbs_bidir else PCIE_GBS) * 1e9,
        fast_link="bridge" not in link and link.startswith(("NVLink", "Infinity", "RoCE")),
        sustained=_sustained(gpu, fp16),
    )


def _sustained(gpu: Gpu, fp16_tflops: float) -> float:
    enough = WATTS_PER_TFLOP.get((_arch(gpu), _kind(gpu)))
    if enough is None or gpu.tdp_w is None:
        return 1.0
    return float(min(1.0, gpu.tdp_w / fp16_tflops / enough) ** POWER_EXPONENT)


def _kind(gpu: Gpu) -> str:
    """nvidia-hbm, nvidia-gddr, geforce, amd, radeon, apple, cpu, gaudi, intel, or unified (memory of the CPU)."""
    if gpu.device_class in ("apple", "cpu"):
        return gpu.device_class
    if "gaudi" in gpu.name.lower():
        return "gaudi"
    vendor = gpu.vendor.lower()
    if vendor in ("amd", "intel"):
        return "radeon" if vendor == "amd" and gpu.device_class != "datacenter" else vendor
    return _nvidia_kind(gpu)


def _nvidia_kind(gpu: Gpu) -> str:
    if gpu.interconnect == "unified memory" or "GB10" in gpu.name:
        return "unified"
    if gpu.device_class == "consumer":
        return "geforce"
    return "nvidia-hbm" if (gpu.mem_bw_gbs or 0) > 1300 and gpu.device_class == "datacenter" else "nvidia-gddr"


def _arch(gpu: Gpu) -> str:
    return gpu.arch.lower().split()[0] if gpu.arch else "unknown"


def of_engine(name: str | None, version: str | None, device: DeviceFacts | None = None) -> EngineFacts:
    """The family of an engine's name and the era of its version or date; unknown versions are recent.

    DeepSpeed on a Gaudi ``device`` is Intel's own stack below.
    """
    folded = (name or "").lower()
    family = next((family for family, words in FAMILIES if any(w in folded for w in words)), "other")
    if family == "deepspeed" and device and device.kind == "gaudi":
        family = "habana"
    return EngineFacts(family, "old" if _is_old(family, version or "") else "new")


def _is_old(family: str, version: str) -> bool:
    year = re.search(r"\b(20\d\d)\b", version)
    if year:
        return int(year[1]) <= 2024
    number = re.match(r"[v~]?(\d+)\.(\d+)", version)
    if not number:
        return False
    major, minor = int(number[1]), int(number[2])
    if family == "vllm":
        return major == 0 and minor < 7
    if family == "tensorrt-llm":
        return major == 0 or major >= 10
    return family == "exllama"
