"""The engine's own answer: llama.cpp plans a GGUF file in a child process, and its log is read.

The only module of `size` that starts a process. What it reports is `engine` basis and exact for this build on this
machine's devices; the analytic model stands beside it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from toolkit.errors import DeclinedError, InputError, NoEngineError
from toolkit.models import ggml
from toolkit.size.ask import Placing
from toolkit.size.certainty import certainty
from toolkit.size.llamacpp import Resolved
from toolkit.types import MIB, DevicePlan, MemoryPlan

LIMIT_S = 60.0
"""The planner answers in 0.05-0.5 s; a big vocabulary takes a few."""

RUNTIME_ERROR = 32 * MIB
"""What stays uncertain when the engine has spoken: the process around its buffers."""

HOST = "CPU"
"""Host memory as a device, here and in the engine's log; pinned parts of it are called ``CUDA_Host`` and the like."""

NOWHERE = Placing()
"""Nothing is placed by hand."""

COMPUTE = re.compile(r"(\S+)\s+compute buffer size =\s+([\d.]+) MiB")
OUTPUT = re.compile(r"(\S+)\s+output buffer size =\s+([\d.]+) MiB")
KV = re.compile(r"llama_kv_cache\w*: size =\s+([\d.]+) MiB")
STATE = re.compile(r"llama_memory_recurrent: size =\s+([\d.]+) MiB")


@dataclass(frozen=True)
class Buffers:
    """What the engine would allocate, bytes (its log rounds to 0.01 MiB). ``compute`` is by device."""

    kv: int
    state: int
    compute: dict[str, int]
    output: int


def plan(path: Path, layers: int, r: Resolved, placing: Placing = NOWHERE) -> Buffers:
    """Ask the engine. Only the file's header is read.

    Adapters are left out: they change no buffer of the engine's but their own (a server's log on SmolLM2-135M with
    adapters on four matrices of each layer: 15.51 MiB of compute before and after).

    Raises:
        NoEngineError: llama-cpp-python is not installed in this environment.
        InputError: the engine refuses the file or the settings; carries its words.
        DeclinedError: the engine's planner died or gave no figures.
    """
    if find_spec("llama_cpp") is None:
        raise NoEngineError(
            "the engine's own planner needs llama-cpp-python, which is not installed",
            "pip install 'selfhost-toolkit[llama]'",
        )
    question = {
        "path": str(path),
        "n_ctx": r.context * r.parallel,
        "parallel": r.parallel,
        "ubatch": r.ubatch,
        "kv_types": [next(n for n, t in ggml.TYPES.items() if t[0] == name) for name in r.kv_types],
        "kv_unified": r.unified,
        "swa_full": r.swa_full,
        "flash_attn": "on" if r.flash_attn else "off",
        "gpu_layers": r.gpu_layers if r.gpu_layers <= layers else 999,
        "n_cpu_moe": placing.n_cpu_moe and min(placing.n_cpu_moe, layers),
        "override_tensor": placing.override_tensor,
        "tensor_split": placing.tensor_split,
        "split_mode": placing.split_mode,
        "main_gpu": placing.main_gpu,
    }
    log = _ask(question)
    return read_log(log)


def exact(memory: MemoryPlan, path: Path, layers: int, r: Resolved, placing: Placing = NOWHERE) -> MemoryPlan:
    """The plan with the engine's figures in place of the model's; the model's stand beside them in ``how``.

    KV cells are dealt to devices as the model deals them (the log gives their sum).

    Raises as `plan` does.
    """
    found = plan(path, layers, r, placing)
    compute = by_device(found.compute, [d.name for d in memory.devices], placing)
    cells = sum(_line(d, "kv_cache") for d in memory.devices)
    devices = tuple(_replaced(d, n, found, cells) for d, n in zip(memory.devices, compute, strict=True))
    tightest = min(devices, key=lambda d: d.free_bytes)
    return memory.model_copy(
        update={
            "devices": devices,
            "kv_pool_bytes": max(_line(d, "kv_cache") for d in devices),
            "reserved_bytes": max(d.total_bytes for d in devices),
            "fits": tightest.free_bytes >= 0,
            "certainty": certainty(tightest.free_bytes, tightest.error_bytes),
        }
    )


def _line(device: DevicePlan, what: str) -> int:
    return sum(line.bytes for line in device.lines if line.what == what)


def by_device(compute: dict[str, int], names: list[str], placing: Placing) -> list[int]:
    """Compute buffers in the order of the plan's devices: its GPUs in the engine's order, and the host's last.

    With nothing split the engine knows the main GPU only.

    Raises:
        DeclinedError: the engine has another number of GPUs than the plan.
    """
    on_gpus = [size for name, size in compute.items() if not _is_host(name)]
    on_host = sum(size for name, size in compute.items() if _is_host(name))
    places = [i for i, name in enumerate(names) if name != HOST]
    if placing.split_mode == "none":
        places = places[placing.main_gpu or 0 :][:1]
    if len(on_gpus) != len(places):
        raise DeclinedError(
            f"the engine's planner speaks of {len(on_gpus)} GPUs ({', '.join(compute)}) and the plan of {len(places)}",
            "the engine's build may have no GPU support.",
        )
    found = [on_host if name == HOST else 0 for name in names]
    for place, size in zip(places, on_gpus, strict=True):
        found[place] = size
    return found


def _is_host(name: str) -> bool:
    return name == HOST or name.endswith("_Host")


def _replaced(device: DevicePlan, compute: int, found: Buffers, cells: int) -> DevicePlan:
    """One device with the engine's cache and compute bytes."""
    figures = {
        "kv_cache": found.kv * _line(device, "kv_cache") // cells if cells else 0,
        "activations": compute,
    }
    lines = tuple(
        line.model_copy(
            update={
                "bytes": figures[line.what],
                "basis": "engine",
                "how": f"the engine's own planner (this model says {line.bytes / MIB:,.2f} MiB)",
            }
        )
        if line.what in figures
        else line
        for line in device.lines
    )
    total = sum(line.bytes for line in lines)
    error = min(device.error_bytes, RUNTIME_ERROR)
    return device.model_copy(
        update={
            "lines": lines,
            "total_bytes": total,
            "free_bytes": device.usable_bytes - total,
            "error_bytes": error,
        }
    )


def _ask(question: dict[str, object]) -> list[str]:
    command = [sys.executable, "-m", "toolkit.size.planner"]
    try:
        done = subprocess.run(
            command, input=json.dumps(question), capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise DeclinedError(f"the engine's planner gave no answer within {LIMIT_S:g} s") from None
    if done.returncode != 0:
        tail = next((line for line in reversed(done.stderr.splitlines()) if "ASSERT" in line or "rror" in line), "")
        raise DeclinedError(f"the engine's planner died (status {done.returncode}) {tail[:200]}".strip())
    answer = json.loads(done.stdout.splitlines()[-1])
    if not answer["ok"]:
        raise InputError(f"llama.cpp refuses this: {_complaint(answer['log'])}")
    log: list[str] = answer["log"]
    return log


def _complaint(log: list[str]) -> str:
    wrong = [line for line in log if "error" in line.lower() or "failed" in line.lower()]
    return " ".join((wrong or log)[0].split())[:300] if log else "no reason given"


def read_log(log: list[str]) -> Buffers:
    """Figures of a start-up log, the planner's or a server's.

    Raises:
        DeclinedError: no figure is there.
    """
    text = "\n".join(log)
    compute = {device: _bytes(mib) for device, mib in COMPUTE.findall(text)}
    if not compute:
        raise DeclinedError("the engine's log has no buffer sizes; this build of llama.cpp prints something else")
    return Buffers(
        kv=sum(_bytes(mib) for mib in KV.findall(text)),
        state=sum(_bytes(mib) for mib in STATE.findall(text)),
        compute=compute,
        output=sum(_bytes(mib) for _, mib in OUTPUT.findall(text)),
    )


def _bytes(mib: str) -> int:
    return round(float(mib) * MIB)
