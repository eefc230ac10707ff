"""How far the memory model is from what engines logged: `make accuracy`.

Prints a table per engine, release and architecture, beside a naive calculator (label × utilisation − parameters ×
bytes − 1 GiB), from the rows in this folder. The table in docs/memory.md is this output.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from statistics import mean
from typing import Any

from tests.accuracy import llamacpp
from toolkit import profiles
from toolkit.models.config_spec import spec_from_config
from toolkit.size import Ask, Device, plan
from toolkit.size.usable import fabric, usable_bytes
from toolkit.types import GIB, Gpu, MemoryPlan, ModelSpec

HERE = Path(__file__).parent
NAIVE_OVERHEAD = GIB
NAIVE_LABEL = 80 * GIB


def rows(name: str) -> list[dict[str, Any]]:
    """The recorded starts."""
    return [json.loads(line) for line in (HERE / name).read_text().splitlines()]


def spec_of(row: dict[str, Any]) -> ModelSpec:
    """The model of a row, in its weight format."""
    profile = profiles.model(row["model"])
    own = row["format"] in ("bf16", "mxfp4")
    return spec_from_config(profile.config, profile.name, source="profile", fmt=None if own else row["format"])


def pool_of(row: dict[str, Any]) -> tuple[float, float, str]:
    """(ours, naive) KV pool in GiB, and the architecture."""
    spec = spec_of(row)
    device = Device("H100-SXM-80GB", int(row["usable_gib"] * GIB), "gpu", "logged")
    found = plan(
        Ask(
            spec,
            (device,) * row["tp"],
            "vllm",
            row["engine_version"],
            context=row["context"],
            tp=row["tp"],
            gpu_memory_utilization=row["utilization"],
            max_num_batched_tokens=row["max_num_batched_tokens"],
        )
    )
    naive = NAIVE_LABEL * row["utilization"] - spec.weights_bytes / row["tp"] - NAIVE_OVERHEAD
    return found.kv_pool_bytes / GIB, naive / GIB, spec.architecture


def vllm_errors() -> dict[tuple[str, str], list[tuple[float, float]]]:
    """(release, architecture) → (our error, naive error) in GiB of every row whose log agrees with itself."""
    errors: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for row in rows("vllm_starts.jsonl"):
        ours, naive, architecture = pool_of(row)
        if "note" in row:
            continue
        errors[row["engine_version"], architecture].append((ours - row["pool_gib"], naive - row["pool_gib"]))
    return errors


def public_plan(row: dict[str, Any]) -> tuple[MemoryPlan, ModelSpec, Gpu]:
    """The plan of a start read from a public log, on its card; the card's own memory where none was logged."""
    profile, gpu = profiles.model(row["model"]), profiles.gpu(row["gpu"])
    spec = spec_from_config(profile.config, profile.name, source="profile", fmt=row["format"])
    size = int(row["usable_gib"] * GIB) if row["usable_gib"] else usable_bytes(gpu)[0]
    ask = Ask(
        spec,
        (Device(gpu.name, size, "gpu", "logged", gpu.compute_capability, fabric(gpu)),) * row["tp"],
        "vllm",
        row["engine_version"],
    )
    keys = ("context", "tp", "max_num_seqs", "max_num_batched_tokens", "eager")
    told = {k: row[k] for k in keys} | {"gpu_memory_utilization": row["utilization"]}
    return plan(ask.with_(**told)), spec, gpu


def public_errors() -> list[tuple[dict[str, Any], str, float, float, float]]:
    """(row, architecture, our error, naive error, half the band), GiB, of every public start that logged its pool."""
    found = []
    for row in rows("vllm_public.jsonl"):
        if row["outcome"] != "served":
            continue
        made, spec, gpu = public_plan(row)
        naive = (gpu.vram_gib or 0) * (row["utilization"] or 0.9) - spec.weights_bytes / row["tp"] / GIB - 1
        error = made.kv_pool_bytes / GIB - row["pool_gib"]
        found.append((row, spec.architecture, error, naive - row["pool_gib"], made.devices[0].error_bytes / GIB))
    return found


def public_report() -> None:
    """A row of the table for each public start, and their mean."""
    found = public_errors()
    for row, architecture, ours, naive, _ in sorted(found, key=lambda f: f[0]["engine_version"]):
        release = ".".join(row["engine_version"].split(".")[:2])
        where = f"{row['gpu']}{' x ' + str(row['tp']) if row['tp'] > 1 else ''}"
        print(f"| vLLM {release}, {where} | {architecture} | 1 | {abs(ours):.2f} GiB | {abs(naive):.2f} GiB |")
    for what, some in (("text models", text_only(found)), ("all", found)):
        ours, naive = mean(abs(f[2]) for f in some), mean(abs(f[3]) for f in some)
        share = mean(abs(f[2]) / card_gib(f[0]) for f in some)
        whole = f"**{ours:.2f} GiB ({share:.1%} of the card)**"
        print(f"| **vLLM 0.7-0.26, public logs** | {what} | {len(some)} | {whole} | {naive:.2f} GiB |")


def card_gib(row: dict[str, Any]) -> float:
    """What the engine saw of the card of a public start."""
    return float(row["usable_gib"] or usable_bytes(profiles.gpu(row["gpu"]))[0] / GIB)


def text_only(found: list[tuple[dict[str, Any], str, float, float, float]]) -> Any:
    """Without the models that see."""
    return [f for f in found if "VL" not in f[1]]


def llamacpp_report() -> None:
    """A row of the table for each kind of buffer."""
    found = {"KV cache, by layers and heads": llamacpp.cache_errors()}
    found |= {f"{kind}, whole logs": errors for kind, errors in llamacpp.log_errors().items()}
    found |= {f"{kind}, its planner": errors for kind, errors in llamacpp.planned_errors().items()}
    found["compute, builds of May 2025 to March 2026"] = llamacpp.old_errors()
    for kind, errors in found.items():
        print(f"| **llama.cpp** | {kind} | {len(errors)} | **{mean(errors):.2%}, worst {max(errors):.2%}** | |")


def main() -> int:
    """Print the report."""
    errors = vllm_errors()
    print("| engine | architecture | starts | mean error of the KV pool | naive |")
    print("|---|---|---:|---:|---:|")
    for (release, architecture), pairs in sorted(errors.items()):
        ours, naive = mean(abs(a) for a, _ in pairs), mean(abs(b) for _, b in pairs)
        print(f"| vLLM {release} | {architecture} | {len(pairs)} | {ours:.2f} GiB | {naive:.2f} GiB |")
    for release in sorted({r for r, _ in errors}):
        pairs = [p for (r, _), found in errors.items() if r == release for p in found]
        ours, naive = mean(abs(a) for a, _ in pairs), mean(abs(b) for _, b in pairs)
        share = ours / 79.19
        whole = f"**{ours:.2f} GiB ({share:.1%} of the card)**"
        print(f"| **vLLM {release}** | all | {len(pairs)} | {whole} | {naive:.2f} GiB |")
    public_report()
    llamacpp_report()
    left = [row for row in rows("vllm_starts.jsonl") if "note" in row]
    print()
    for row in left:
        print(f"left out: {row['model']} on v{row['engine_version']}: {row['note']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
