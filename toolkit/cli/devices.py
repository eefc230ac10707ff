"""From what a user says about hardware to the devices of the memory model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from toolkit.cli.numbers import whole
from toolkit.errors import InputError

if TYPE_CHECKING:
    from toolkit.size import Device


def devices(gpu: list[str], vram_gib: float | None, ram: Device | None, *, beside: bool) -> tuple[Device, ...]:
    """Devices to size for: the named ones, else what NVML sees, else this machine's memory.

    ``ram`` is the host's memory as a device for llama.cpp, and None for vLLM, whose CPU build has this machine's memory
    and nothing else. llama.cpp gets it as a last device when the GPUs are this machine's own, or ``beside`` named ones
    when part of the model stays in host memory.

    Raises:
        InputError: no such device, a count below one, or a memory size that makes no sense.
    """
    _check_size("device", vram_gib)
    if gpu or vram_gib is not None:
        named = _named(gpu, vram_gib)
        return (*named, ram) if ram and beside and all(d.kind == "gpu" for d in named) else named
    found = _found()
    if ram is not None:
        return (*found, ram)
    if _vllm_for_cpu():
        return (host(),)
    if not found:
        raise InputError("no GPU was found on this machine for vLLM", "name one, e.g. --gpu L4 (`selfhost gpus`).")
    return found


def _check_size(what: str, gib: float | None) -> None:
    if gib is not None and not 0 < gib < 100_000:
        raise InputError(f"a {what} memory of {gib} GiB makes no sense")


def _named(gpu: list[str], vram_gib: float | None) -> tuple[Device, ...]:
    from toolkit.size import Device

    given = int(vram_gib * 2**30) if vram_gib is not None else None
    if not gpu:
        return (Device("GPU", given or 0, "gpu", "as given"),)
    result: list[Device] = []
    for text in ",".join(gpu).split(","):
        name, count = split(text.strip())
        result += [_profiled(name, given)] * count
    return tuple(result)


def _profiled(name: str, given_bytes: int | None) -> Device:
    from toolkit import profiles
    from toolkit.size import Device
    from toolkit.size.usable import fabric, usable_bytes

    record = profiles.gpu(name)
    size, how = (given_bytes, "as given") if given_bytes is not None else usable_bytes(record)
    kind: Literal["cpu", "gpu"] = "cpu" if record.device_class == "cpu" else "gpu"
    return Device(record.name, size, kind, how, record.compute_capability, fabric(record))


def split(text: str) -> tuple[str, int]:
    """``L4:2`` → ("L4", 2); a name without a count is one device."""
    name, colon, count = text.rpartition(":")
    if not colon:
        return text, 1
    number = whole(count, 1024)
    if not name or number is None:
        raise InputError(f"{text!r} is no device; write NAME or NAME:COUNT with a count of 1 to 1,024")
    return name, number


def installed_vllm() -> str | None:
    """The release of the vLLM of this machine, as it is sized when the machine's own devices are."""
    from toolkit.backends.vllm import BACKEND

    engine = BACKEND.find()
    return engine.version.partition("+")[0] if engine and engine.version else None


def _vllm_for_cpu() -> bool:
    """Whether the vLLM of this machine is the build that runs on its processor."""
    from toolkit.backends.vllm import BACKEND, is_cpu_build

    engine = BACKEND.find()
    return engine is not None and is_cpu_build(engine.version)


def _found() -> tuple[Device, ...]:
    from toolkit import machine
    from toolkit.size import Device

    gpus, _ = machine.nvidia_gpus()
    return tuple(Device(g.name, g.total_bytes, "gpu", "NVML total", g.compute_capability) for g in gpus)


def host(ram_gib: float | None = None) -> Device:
    """Host memory as a device: what is available here now, within the container's limit; or as much as is said.

    Raises:
        InputError: a size that makes no sense.
    """
    from toolkit import machine
    from toolkit.size import Device

    _check_size("host", ram_gib)
    if ram_gib is not None:
        return Device("CPU", int(ram_gib * 2**30), "cpu", "as given")
    _, available = machine.memory()
    return Device("CPU", available, "cpu", "memory available now")
