"""What one replica asks of its machine, from the memory plan: GPUs, cores, memory, disk, and time to load.

GPUs and their memory are the memory plan's own figures. Cores, host memory and rates are assumed; each is named here
and the files say where it may be changed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from toolkit.deploy.hardware import is_processor
from toolkit.errors import InputError
from toolkit.types import GIB, LaunchPlan, MemoryPlan

GPU_CORES = 4
"""Assumed: cores for an engine's API server, tokenizer and scheduler."""
CORES_PER_GPU = 2
"""Assumed: further cores for each GPU's worker process."""
HOST_GIB = 8
"""Assumed: host memory of a GPU engine beside the weights it copies: Python, CUDA context, pinned buffers."""
CPU_EXTRA_GIB = 1
"""Assumed: on a CPU, what the server takes beside the planned buffers."""
DOWNLOAD_BYTES_S = 100e6
"""Assumed: a slow day of a hub's download, 0.8 Gbit/s."""
READ_BYTES_S = 300e6
"""Assumed: a network disk's reading rate."""
WARM_S = {"vllm": 240, "llama.cpp": 20}
"""Assumed: compilation, graph capture and warm-up on top of reading; vLLM's take minutes, llama.cpp's seconds."""
PATIENCE = 2
"""A start may take this many times the expected time before it is called failed."""
LEAST_START_S = 300
"""A start may take this long whatever was expected: a first download is slower than it should be."""
PULL_S = 1800
"""Assumed: a first start may take this much longer, since the image is pulled: up to ten gigabytes for vLLM."""
SHM_GIB = 8
"""Assumed: shared memory for the ranks of one tensor-parallel engine; the usual 64 MiB of a container ends NCCL."""


@dataclass(frozen=True)
class Resources:
    """One replica. ``gpu`` is the canonical id, None on a CPU."""

    gpu: str | None
    gpus: int
    cores: int
    memory_gib: int
    shm_gib: int
    disk_gib: int
    load_s: int
    """Expected time from the start of the process to ready, model in the cache or not."""

    @property
    def start_limit_s(self) -> int:
        """How long a start may take before a manager gives up."""
        return max(LEAST_START_S, math.ceil(self.load_s * PATIENCE / 60) * 60)

    @property
    def first_start_s(self) -> int:
        """How long the very first start may take, image and all."""
        return self.start_limit_s + PULL_S


def resources(plan: LaunchPlan, *, downloads: bool, threads: int | None) -> Resources:
    """Size one replica.

    Raises:
        InputError: the plan has no memory plan, or its devices are of several kinds.
    """
    memory = plan.memory
    if memory is None:
        raise InputError(
            "this launch plan has no memory plan, so nothing can be sized from it", "make it with `selfhost plan`."
        )
    if memory.certainty == "no":  # the planner makes none; an edited plan may say it
        raise InputError(
            "this plan does not fit its device, by its own memory plan", "plan it with less, or for a larger device."
        )
    gpus = [d.name for d in memory.devices if not is_processor(d.name)]
    if len(set(gpus)) > 1:
        raise InputError(
            f"this plan spreads one model over unlike GPUs ({', '.join(sorted(set(gpus)))})",
            "plan it for GPUs of one kind: other machines rent them so.",
        )
    weights = _weights(memory)
    rate = 1 / READ_BYTES_S + (1 / DOWNLOAD_BYTES_S if downloads else 0)
    return Resources(
        gpu=gpus[0] if gpus else None,
        gpus=len(gpus),
        cores=GPU_CORES + CORES_PER_GPU * len(gpus) if gpus else max(2, (threads or 1) + 1),
        memory_gib=_host_gib(memory, len(gpus)),
        shm_gib=SHM_GIB if len(gpus) > 1 else 0,
        disk_gib=max(10, math.ceil(weights * 1.2 / GIB / 10) * 10),
        load_s=math.ceil(WARM_S[memory.engine] + weights * rate),
    )


def _weights(memory: MemoryPlan) -> int:
    """Bytes of all weights, a draft model's too, over all devices."""
    return sum(line.bytes for device in memory.devices for line in device.lines if line.what in ("weights", "draft"))


def _host_gib(memory: MemoryPlan, gpus: int) -> int:
    """Memory of the host, GiB: the CPU device's own plan, or what a GPU engine needs beside its GPUs."""
    on_cpu = [d for d in memory.devices if is_processor(d.name)]
    planned = sum(d.total_bytes + d.error_bytes for d in on_cpu)
    if not gpus:
        return math.ceil(planned / GIB) + CPU_EXTRA_GIB
    return HOST_GIB + math.ceil((planned + _weights(memory) / gpus) / GIB)


def where(replicas: int, gpus: int, gpu: str | None) -> str:
    """How many copies, on what: ``2 replicas, each on 4 × H100-SXM-80GB``."""
    place = f"on {gpus} × {gpu}" if gpu else "on the CPU"
    return f"1 replica {place}" if replicas == 1 else f"{replicas} replicas, each {place}"
