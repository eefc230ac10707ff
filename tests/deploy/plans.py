"""A grid of launch plans: made by the planner for machines that are not here, from facts of public models."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

from tests.models.test_config_spec import QWEN3_8B
from tests.size.test_size import SMOLLM2
from toolkit.backends.base import installed
from toolkit.backends.elsewhere import PROGRAMS, Elsewhere, engine
from toolkit.deploy.deploy import CONTAINERS, Deployed, deploy
from toolkit.deploy.intent import Options
from toolkit.deploy.source import Hub, Volume
from toolkit.models.config_spec import spec_from_config
from toolkit.paths import data_root
from toolkit.plan import launch_plan
from toolkit.size import Ask, Device, plan
from toolkit.types import GIB, LaunchPlan, MemoryPlan, ModelSpec

H100 = Device("H100-SXM-80GB", int(79.19 * GIB), "gpu", "logged")
L4 = Device("L4", int(22.05 * GIB), "gpu", "logged")
RAM = Device("CPU", 16 * GIB, "cpu", "given")
COMMIT = "9c925d64d72725edaf899c6cb9c377fd0709d9c5"
HOST_FOLDER = "/srv/models"
SIDECAR = "registry.example.com/selfhost:0.1"
GGUF = "bartowski/SmolLM2-135M-Instruct-GGUF"
"""Only its form matters: nothing is fetched."""


def qwen(fmt: str | None = None, **changes: Any) -> ModelSpec:
    """``name`` makes another model of the same shape, such as one that drafts."""
    spec = spec_from_config(copy.deepcopy(QWEN3_8B), "Qwen/Qwen3-8B", source="hub", path="Qwen/Qwen3-8B", fmt=fmt)
    return spec.model_copy(update={"revision": COMMIT, **changes})


def smol() -> ModelSpec:
    return SMOLLM2.model_copy(update={"path": f"{HOST_FOLDER}/SmolLM2-135M-Instruct.Q4_1.gguf"})


def launch(memory: MemoryPlan, name: str | None = None) -> LaunchPlan:
    backends = [Elsewhere(b) for b in installed() if b.name in PROGRAMS]
    return launch_plan(memory, backends, {b.name: engine(b.name, memory) for b in backends}, served_name=name)


@cache
def vllm(devices: int = 1, version: str = "0.32", fmt: str | None = None) -> LaunchPlan:
    ask = Ask(qwen(fmt), (H100,) * devices, "vllm", context=8192, concurrency=16, tp=devices, engine_version=version)
    return launch(plan(ask))


@cache
def long() -> LaunchPlan:
    """Four ranks, the model's whole context, an eight-bit cache."""
    asked = {"context": 40960, "concurrency": 64, "kv_dtype": "fp8", "tp": 4, "engine_version": "0.32"}
    return launch(plan(Ask(qwen(), (H100,) * 4, "vllm", **asked)))  # type: ignore[arg-type]


@cache
def vllm_with(*settings: tuple[str, Any], devices: int = 1, version: str = "0.32") -> LaunchPlan:
    """On one kind of GPU, with settings of the memory plan beyond the usual."""
    asked: dict[str, Any] = {"context": 8192, "concurrency": 4, "tp": devices, "engine_version": version}
    return launch(plan(Ask(qwen(), (H100,) * devices, "vllm", **(asked | dict(settings)))))


@cache
def llama(device: Device = RAM, context: int = 2048) -> LaunchPlan:
    layers = 31 if device.kind == "gpu" else None
    made = launch(plan(Ask(smol(), (device,), "llama.cpp", context=context, concurrency=2, gpu_layers=layers)))
    if device.kind == "gpu":
        return made
    argv = [*made.argv]
    if "-t" in argv:  # the planner took this machine's cores: fixed here, so that files are the same everywhere
        argv[argv.index("-t") + 1] = "3"
    reasons = tuple(r for r in made.reasons if "cores" not in r and "core" not in r)
    return made.model_copy(update={"argv": tuple(argv), "reasons": reasons})


@cache
def llama_hub() -> LaunchPlan:
    """As `plan ORG/NAME:FILE.gguf --elsewhere` makes it: its header was read from the hub, the file is nowhere here."""
    spec = smol().model_copy(
        update={"name": f"{GGUF}:SmolLM2-135M-Instruct-Q4_1.gguf", "path": None, "revision": COMMIT}
    )
    return launch(plan(Ask(spec, (L4,), "llama.cpp", context=2048, concurrency=2, gpu_layers=31)), "smol")


CASES: dict[str, tuple[LaunchPlan, dict[str, Any], dict[str, Any]]] = {
    "vllm-1gpu": (vllm(), {}, {}),
    "vllm-tp2-replicas": (vllm(2), {"replicas": 3}, {}),
    "vllm-tp4-long": (long(), {}, {}),
    "vllm-spot": (vllm(), {"spot": True}, {}),
    "vllm-spot-nokey": (vllm(), {"spot": True, "key": False}, {}),
    "vllm-awq-volume": (vllm(fmt="awq"), {}, {"volume": Volume("weights", "qwen3-8b-awq")}),
    "vllm-ray": (vllm(2, "0.26"), {"key": False, "replicas": 2}, {}),
    "vllm-ray-settings": (
        vllm_with(
            *(("eager", True), ("prefix_caching", False), ("max_lora_rank", 16), ("max_loras", 2)),
            *(("draft", qwen(name="Qwen/Qwen3-0.6B")), ("num_speculative_tokens", 3)),
            version="0.25",
        ),
        {"key": False},
        {},
    ),
    "vllm-8gpu": (vllm(8, "0.33"), {}, {}),
    "vllm-lora": (vllm_with(("max_lora_rank", 32), ("max_loras", 4)), {}, {}),
    "vllm-draft": (vllm_with(("draft", qwen(name="Qwen/Qwen3-0.6B")), ("num_speculative_tokens", 3)), {}, {}),
    "vllm-eager": (vllm_with(("eager", True), ("prefix_caching", False), devices=2), {}, {}),
    "vllm-sidecar": (vllm(), {"sidecar": SIDECAR}, {}),
    "llama-cpu-sidecar": (
        llama(),
        {"sidecar": SIDECAR, "replicas": 2},
        {"hub": Hub(GGUF, COMMIT, "SmolLM2-135M-Instruct-Q4_1.gguf")},
    ),
    "llama-cpu": (llama(), {}, {"hub": Hub(GGUF, COMMIT, "SmolLM2-135M-Instruct-Q4_1.gguf")}),
    "llama-gpu-hub": (llama_hub(), {}, {}),
    "llama-cpu-host": (llama(), {}, {}),
    "llama-gpu": (llama(L4), {"key": False}, {"hub": Hub(GGUF, None, "SmolLM2-135M-Instruct-Q4_1.gguf")}),
    "llama-gpu-key": (llama(L4), {}, {"hub": Hub(GGUF, None, "SmolLM2-135M-Instruct-Q4_1.gguf")}),
    "llama-gpu-volume": (llama(L4), {"replicas": 2}, {"volume": Volume("weights", "gguf/smol.gguf")}),
}
"""Name → plan, options, where the model is."""

REFUSED = {
    **{("vllm-sidecar", t): "no place for a sidecar" for t in CONTAINERS if t != "kubernetes"},
    **{("llama-cpu-sidecar", t): "no place for a sidecar" for t in ("skypilot",)},
    **{("llama-cpu-sidecar", t): "one machine" for t in ("compose", "quadlet")},
    **{
        (f"vllm-{case}", "rayserve"): "API key"
        for case in ("1gpu", "8gpu", "tp2-replicas", "tp4-long", "awq-volume", "spot", "lora", "draft", "eager")
    },
    **{
        (case, "skypilot"): "without an API key"
        for case in ("vllm-spot-nokey", "vllm-ray", "vllm-ray-settings", "llama-gpu")
    },
    ("vllm-spot-nokey", "rayserve"): "no known image of Ray",
    ("vllm-awq-volume", "skypilot"): "volume",
    ("llama-gpu-volume", "skypilot"): "volume",
    ("llama-cpu-host", "kubernetes"): "lies on this machine only",
    ("llama-cpu-host", "skypilot"): "lies on this machine only",
    **{("vllm-tp2-replicas", t): "one machine" for t in ("compose", "quadlet")},
    **{("vllm-ray", t): "one machine" for t in ("compose", "quadlet")},
    **{("llama-gpu-volume", t): "one machine" for t in ("compose", "quadlet")},
    **{(c, t): "only a rented one is spot" for c in ("vllm-spot", "vllm-spot-nokey") for t in ("compose", "quadlet")},
    **{
        (f"llama-{c}", t): "cannot run llama.cpp"
        for c in ("cpu", "cpu-host", "cpu-sidecar", "gpu", "gpu-key", "gpu-hub", "gpu-volume")
        for t in ("kserve", "production-stack", "rayserve")
    },
}
"""What a target cannot hold, by the issue's own words; every other pair is rendered."""

HELD = [(case, target) for case in CASES for target in CONTAINERS if (case, target) not in REFUSED]


def options(**chosen: Any) -> Options:
    values: dict[str, Any] = {
        "name": "",
        "folder": "/srv/selfhost/qwen",
        "program": ("/usr/bin/selfhost",),
        "user": "root",
        "environment": (("PATH", "/usr/bin:/bin"),),
        "dashboard": '{"title": "selfhost"}\n',
        "alerts": "groups: []\n",
        "locustfile": (data_root() / "deploy" / "locust" / "locustfile.py").read_text(),
    }
    return Options(**(values | chosen))


def made(case: str, target: str, **more: Any) -> Deployed:
    document, chosen, where = CASES[case]
    workers = 3 if target in ("compose", "kubernetes") else None
    return deploy(document, target, options(**(chosen | more)), load_workers=workers, **where)


def docs(text: str) -> list[Any]:
    """A YAML file's documents, read as Kubernetes, Helm and Compose read it (YAML 1.1)."""
    import yaml

    return list(yaml.safe_load_all(text))
