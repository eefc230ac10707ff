"""llama.cpp's part of `make accuracy`: whole start-up logs, and the buffers that its own planner answers.

``llamacpp_logs.jsonl``: starts whose model is one of the profiles, MiB per kind on the GPUs and in host memory. Of
ik_llama.cpp, a fork, only weights and cache are compared: its compute buffers are its own. ``llamacpp_planned.jsonl``:
246 placements asked of the planner (tests/size/test_llamacpp_placement.py says how). ``llamacpp_planned_2025.jsonl``:
what four older commits reserve (tests/size/test_llamacpp_old_builds.py says how).
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from tests.size.synth import Shape, write
from toolkit import profiles
from toolkit.models import ggml, gguf_spec
from toolkit.models.config_spec import spec_from_config
from toolkit.size import Ask, Device
from toolkit.size import llamacpp as lc
from toolkit.size.ask import Placing
from toolkit.types import MIB, ModelSpec

HERE = Path(__file__).parent
NO_CACHE = {
    18: "an old conversion with whole heads",
    20: "an old conversion with whole heads",
    51: "that fork keeps every token of sliding layers",
}
"""Logs whose cache is not what the engine's current rules give, and why."""

OLD_SHAPES = {
    "llama-8b": Shape("llama", 4, 4096, 32, 8, 128, 14336, 128256, 131072),
    "llama-70b": Shape("llama", 4, 8192, 64, 8, 128, 28672, 128256, 131072),
    "mistral-7b": Shape("llama", 4, 4096, 32, 8, 128, 14336, 32768, 131072),
    "qwen2-7b": Shape("qwen2", 4, 3584, 28, 4, 128, 18944, 152064, 131072),
    "qwen3-4b": Shape("qwen3", 4, 2560, 32, 8, 128, 9728, 151936, 131072, tied=True),
    "qwen3-30b-a3b": Shape("qwen3moe", 4, 2048, 32, 4, 128, 6144, 151936, 131072, 128, 8, 768),
    "gemma3-27b": Shape("gemma3", 6, 5376, 32, 16, 128, 21504, 262208, 131072, window=1024, tied=True),
    "glm4-32b": Shape("glm4", 4, 6144, 48, 2, 128, 23040, 151552, 131072),
}
"""The models that older commits were asked about."""


def rows(name: str) -> list[dict[str, Any]]:
    """The recorded starts."""
    return [json.loads(line) for line in (HERE / name).read_text().splitlines()]


def held(row: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """kind → (ours, logged) in MiB of one log, GPUs and host apart where they are known apart."""
    profile = profiles.model(row["model"])
    spec = spec_from_config(profile.config, profile.name, source="profile", fmt=row["file_type"])
    devices = (*(Device(f"GPU{i}", 2**40, "gpu", "given") for i in range(row["gpus"])), Device("CPU", 2**42, "cpu", ""))
    ask = Ask(spec, devices, "llama.cpp", row["build"], row["context"] // row["parallel"], parallel=row["parallel"])
    ask = ask.with_(
        ubatch=row["ubatch"],
        kv_dtype=row["type_k"],
        flash_attn="on" if row["flash_attn"] else "off",
        gpu_layers=row["gpu_layers"] if row["gpus"] else None,
        kv_unified=row["unified"],
        placing=Placing(n_cpu_moe=spec.layers) if row["by_rule"] else Placing(),
    )
    found = lc.held(ask, lc.resolve(ask))
    gpu, host = found[: row["gpus"]], found[-1]
    result = {"weights": (sum(s.weights for s in found), row["gpu_model"] + row["host_model"])}
    if not row["by_rule"] and row["gpus"]:
        result["weights on GPUs"] = (sum(s.weights for s in gpu), row["gpu_model"])
    if row["id"] not in NO_CACHE:
        result["KV cache and state"] = (sum(s.kv + s.state for s in found), row["gpu_kv"] + row["host_kv"])
    if row["fork"] == "llama.cpp":
        result["compute"] = (sum(s.compute for s in (*gpu, host)), row["gpu_compute"] + row["host_compute"])
    return {kind: (ours / MIB, logged) for kind, (ours, logged) in result.items() if logged}


def log_errors() -> dict[str, list[float]]:
    """kind → relative error of every log that says it."""
    errors: dict[str, list[float]] = {}
    for row in rows("llamacpp_logs.jsonl"):
        for kind, (ours, logged) in held(row).items():
            errors.setdefault(kind, []).append(abs(ours / logged - 1))
    return errors


def cache_errors() -> list[float]:
    """Relative error of KV bytes of every row of ``llamacpp_kv.jsonl``, from its layers and heads alone."""
    found = []
    for row in rows("llamacpp_kv.jsonl"):
        k = ggml.row_bytes(row["type_k"].upper(), row["kv_heads"] * row["head_dim_k"])
        v = ggml.row_bytes(row["type_v"].upper(), row["kv_heads"] * row["head_dim_v"])
        cells = -(-row["cells"] // 256) * 256
        found.append(abs(row["layers"] * (k + v) * cells / MIB / row["kv_mib"] - 1))
    return found


def planned_errors() -> dict[str, list[float]]:
    """kind → relative error of each of the planner's 654 buffers."""
    from tests.size import test_llamacpp_placement as placements

    errors: dict[str, list[float]] = {"compute, all layers on GPUs": [], "compute, some in host memory": []}
    with tempfile.TemporaryDirectory() as folder:
        shapes = placements.SHAPES.items()
        models = {name: gguf_spec.read(write(Path(folder) / f"{name}.gguf", shape)) for name, shape in shapes}
    for row in placements.rows():
        kind = "all layers on GPUs" if row["gpu_layers"] == 999 else "some in host memory"
        for name, share in placements.shares(models[row["model"]], row).items():
            if name in row["buffers"]:
                errors[f"compute, {kind}"].append(abs(share.compute / row["buffers"][name][2] - 1))
    return errors


def old_buffers(model: ModelSpec, row: dict[str, Any]) -> list[tuple[float, float]]:
    """(ours, reserved) in MiB of each device of a row of ``llamacpp_planned_2025.jsonl``: the GPU's first."""
    devices = (*(Device("GPU", 2**40, "gpu", "given"),) * row["gpus"], Device("CPU", 2**42, "cpu", "given"))
    ask = Ask(model, devices, "llama.cpp", row["build"], row["context"], parallel=1, swa_full=True)
    ask = ask.with_(ubatch=row["ubatch"], flash_attn="on" if row["flash_attn"] else "off")
    reserved = (row["gpu_mib"], row["host_mib"]) if row["gpus"] else (row["host_mib"],)
    return [(s.compute / MIB, mib) for s, mib in zip(lc.held(ask, lc.resolve(ask)), reserved, strict=True)]


def old_errors() -> list[float]:
    """Relative error of each buffer that older commits reserve."""
    with tempfile.TemporaryDirectory() as folder:
        models = {n: gguf_spec.read(write(Path(folder) / f"{n}.gguf", shape)) for n, shape in OLD_SHAPES.items()}
    planned = rows("llamacpp_planned_2025.jsonl")
    return [abs(ours / mib - 1) for row in planned for ours, mib in old_buffers(models[row["model"]], row)]
