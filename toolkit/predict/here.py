"""The machine at hand as devices: GPUs as the driver names them, the processor with its memory speed measured."""

from __future__ import annotations

import ctypes
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from toolkit import machine, profiles
from toolkit.errors import InputError
from toolkit.machine import NvmlGpu
from toolkit.types import GIB, Gpu

PROBE_BYTES = 512 * 2**20
"""Read per pass by all cores together: beyond the caches of today's processors but the largest (≈ 1 GiB)."""
PASSES = 5
"""The quickest counts: the others were disturbed by what else runs. In all well under a second per 10 GB/s."""
SHARE_OF_MEMORY = 4
"""The probe takes at most this part (one over) of the memory that is available."""


@dataclass(frozen=True)
class Found:
    """Devices of one kind on this machine. ``why_not`` says what is missing when their speed cannot be judged."""

    name: str
    count: int
    gpu: Gpu | None
    why_not: str = ""


def devices() -> tuple[Found, ...]:
    """This machine's GPUs, as many of each kind as NVML sees, and its processor, whose memory is read for a moment."""
    return (*gpus(), processor())


def gpus() -> tuple[Found, ...]:
    """This machine's GPUs, as many of each kind as NVML sees."""
    return of_driver(machine.nvidia_gpus()[0])


def of_driver(seen: Sequence[NvmlGpu]) -> tuple[Found, ...]:
    """Each kind of GPU once: its profile, with the memory that the driver states in place of the label."""
    first = {gpu.name: gpu for gpu in reversed(seen)}
    return tuple(_of_name(first[name], count) for name, count in Counter(gpu.name for gpu in seen).items())


def _of_name(seen: NvmlGpu, count: int) -> Found:
    try:
        record = profiles.gpu(seen.name)
    except InputError:
        return Found(seen.name, count, None, "it is not on record; describe it by its four numbers")
    stated = {"visible_gib": seen.total_bytes / GIB, "visible_source": "stated by the driver of this machine"}
    return Found(record.name, count, record.model_copy(update=stated))


def processor() -> Found:
    """The processor as one device: bandwidth as measured now with the threads an engine gets, memory as available now.

    Its matrix rate stays unknown: `hardware.of_gpu` then assumes the ratio that processors usually have.
    """
    _, available = machine.memory()
    cores = machine.engine_threads()
    rate = read_bytes_per_s(min(PROBE_BYTES, available // SHARE_OF_MEMORY), cores)
    if rate is None:
        return Found("CPU", 1, None, "the speed of its memory cannot be measured on this system")
    read = "1 core reads" if cores == 1 else f"{cores} cores read"
    record = Gpu(
        name="CPU-here",
        vendor="",
        arch=machine.cpu_name().split("(")[0] or "unknown",
        device_class="cpu",
        visible_gib=available / GIB,
        visible_source="available now on this machine",
        mem_bw_gbs=rate / 1e9,
        source=f"{machine.cpu_name()}: {read} {rate / 1e9:.1f} GB/s, measured now",
        checked=datetime.now(UTC).date(),
    )
    return Found(record.name, 1, record)


def read_bytes_per_s(size: int, threads: int) -> float | None:
    """Bytes per second that so many threads read together from ``size`` bytes of memory; None where it cannot be told.

    Each thread looks through its own part for a byte that is not there (the C library's ``memchr``, which runs without
    Python's lock), as a decode step goes through the weights.
    """
    try:
        look = ctypes.CDLL(None).memchr
    except (OSError, AttributeError, TypeError):
        return None
    look.restype, look.argtypes = ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t)
    part = size // threads
    if part < 1:
        return None
    parts = [ctypes.create_string_buffer(part) for _ in range(threads)]
    for own in parts:
        ctypes.memset(own, 1, part)
    return part * threads / min(_pass(look, parts, part) for _ in range(PASSES))


def _pass(look: ctypes._NamedFuncPointer, parts: Sequence[ctypes.Array[ctypes.c_char]], part: int) -> float:
    workers = [threading.Thread(target=look, args=(own, 2, part)) for own in parts]
    begin = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return time.perf_counter() - begin
