"""What is asked of the memory model: a model, devices, and the settings a user may fix."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from toolkit.errors import InputError
from toolkit.types import Adapter, DevicePlan, ModelSpec, Setting

Origin = Literal["user", "engine_default", "profile"]

MTP: Literal["mtp"] = "mtp"
"""Drafting by the model's own prediction layers instead of by another model."""


@dataclass(frozen=True)
class Device:
    """One place memory comes from. ``usable_bytes`` is what an engine sees before its own utilisation limit."""

    name: str
    usable_bytes: int
    kind: Literal["gpu", "cpu"]
    how: str
    """Where ``usable_bytes`` comes from, for the reader."""
    compute_capability: str | None = None
    fabric: bool | None = None
    """Whether several of them are joined by a switched fabric (NVLink of SXM boards, Infinity Fabric), not by PCIe or a
    bridge; None where it is not known."""


@dataclass(frozen=True)
class Placing:
    """llama.cpp: which device holds what, where it is not to be dealt by memory; and adapters loaded beside."""

    n_cpu_moe: int | None = None
    """Layers, from the first, whose experts stay in host memory."""
    override_tensor: tuple[str, ...] = ()
    """``PATTERN=DEVICE`` for single tensors; the first that matches decides."""
    tensor_split: tuple[float, ...] | None = None
    """Share of the layers for each GPU."""
    split_mode: Literal["layer", "none"] | None = None
    main_gpu: int | None = None
    """The only GPU when nothing is split, counted from 0."""
    lora: tuple[Adapter, ...] = ()


@dataclass(frozen=True)
class Ask:
    """The question. A None setting takes the engine's default; what the user fixed stays fixed."""

    model: ModelSpec
    devices: tuple[Device, ...]
    engine: Literal["vllm", "llama.cpp"]
    engine_version: str | None = None
    context: int | None = None
    concurrency: int = 1
    kv_dtype: str | None = None
    tp: int | None = None
    pp: int | None = None
    gpu_memory_utilization: float | None = None
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    ubatch: int | None = None
    parallel: int | None = None
    flash_attn: Literal["on", "off", "auto"] | None = None
    gpu_layers: int | None = None
    kv_unified: bool = False
    """llama.cpp: one cache that all slots share, instead of a part for each."""
    swa_full: bool = False
    """llama.cpp: sliding layers keep the whole context, so that prefixes can be reused."""
    placing: Placing = Placing()
    eager: bool = False
    """vLLM without CUDA graphs."""
    block_size: int | None = None
    """vLLM: tokens per block of the cache."""
    prefix_caching: bool | None = None
    """vLLM: whether the cache of common beginnings is kept; hybrid models hold more states for it."""
    expert_parallel: bool = False
    """vLLM: whole experts on each rank instead of a slice of every expert."""
    dcp: int | None = None
    """vLLM: decode-context-parallel ranks among the tensor-parallel ones."""
    max_lora_rank: int | None = None
    max_loras: int | None = None
    """Adapters used in one step; each has its place on the device."""
    draft: ModelSpec | Literal["mtp"] | None = None
    """What guesses tokens ahead: another model, or the model's own prediction layers."""
    num_speculative_tokens: int | None = None
    host: Device | None = None
    """llama.cpp: memory of the host, where it is none of the devices yet; advice may put something there."""

    def with_(self, **changes: Any) -> Ask:
        """The same question with some settings changed."""
        return replace(self, **changes)


class Same:
    """A model as a key: by identity, since hashing a thousand tensors would cost more than it saves."""

    def __init__(self, model: ModelSpec) -> None:
        self.model = model

    def __hash__(self) -> int:
        return id(self.model)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.model is self.model


@dataclass(frozen=True)
class Estimate:
    """An engine's answer before the questions about users and context are asked.

    ``margin_bytes`` is what is left on the tightest device, ``error_bytes`` the half width of its error band.
    """

    devices: tuple[DevicePlan, ...]
    kv_bytes_per_token: int
    kv_pool_bytes: int
    reserved_bytes: int
    kv_pool_tokens: int
    margin_bytes: int
    error_bytes: int
    inputs: dict[str, Setting]


COUNTS = (
    *("context", "concurrency", "tp", "pp", "max_num_seqs", "max_num_batched_tokens", "ubatch", "parallel"),
    *("block_size", "dcp", "max_lora_rank", "max_loras", "num_speculative_tokens"),
)
"""Settings of at least one."""


ONE_RANK = ("tp", "pp")
"""Settings of vLLM of which one is what every engine does."""

VLLM_ONLY = (
    *("eager", "block_size", "prefix_caching", "expert_parallel", "dcp", "max_lora_rank", "max_loras"),
    *("num_speculative_tokens", "gpu_memory_utilization", "max_num_seqs", "max_num_batched_tokens", *ONE_RANK),
)
LLAMACPP_ONLY = ("ubatch", "parallel", "flash_attn", "gpu_layers", "kv_unified", "swa_full")


def check(ask: Ask) -> None:
    """Refuse what no engine could run.

    Raises:
        InputError: a count below one, a share outside (0, 1], no device, a setting of the other engine.
    """
    for name in COUNTS:
        value = getattr(ask, name)
        if value is not None and value < 1:
            raise InputError(f"{name} is {value}; it must be at least 1")
    _check_engine(ask)
    share = ask.gpu_memory_utilization
    if share is not None and not 0 < share <= 1:
        raise InputError(f"gpu_memory_utilization is {share}; it must be above 0 and at most 1")
    if not ask.devices:
        raise InputError("no device to size for")


def _check_engine(ask: Ask) -> None:
    if ask.engine == "vllm":
        named = [n for n in LLAMACPP_ONLY if getattr(ask, n) not in (None, False)]
        named += [f.name for f in fields(Placing) if getattr(ask.placing, f.name) not in (None, ())]
    else:
        named = [n for n in VLLM_ONLY if getattr(ask, n) not in (None, False)]
        named = [n for n in named if n not in ONE_RANK or getattr(ask, n) > 1]
    if named:
        owner = "llama.cpp" if ask.engine == "vllm" else "vLLM"
        hint = "vLLM is sized with room for adapters of a rank." if named[0] == "lora" else "leave it out."
        raise InputError(f"{named[0]} is a setting of {owner}, and the engine is {ask.engine}", hint)


def setting(value: Any, default: Any, origin: Origin = "engine_default") -> Setting:
    """A resolved input: the user's value if there is one, else the default and who set it."""
    if value is not None:
        return Setting(value=value, origin="user")
    return Setting(value=default, origin=origin)
