"""Where llama.cpp puts layers, experts and buffers, against the engine's own planner on several devices.

The rows of `tests/accuracy/llamacpp_planned.jsonl` are what llama.cpp (commit 0c1e570, 2026-11-24) would allocate on
each device, in bytes: weights, cache, compute (`llama_get_memory_breakdown`). The devices were stand-ins on its RPC
backend, with the rule of the CUDA backend for matrices in host memory; the
models are headers in the shapes of real ones.
``outputs: all`` is what servers before June 2026 reserved.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from tests.size.synth import Shape, write
from toolkit.errors import InputError
from toolkit.models import gguf_spec
from toolkit.size import llamacpp as lc
from toolkit.size.ask import Ask, Device, Placing
from toolkit.size.llamacpp_build import build
from toolkit.types import ModelSpec

ROWS = Path(__file__).parent.parent / "accuracy" / "llamacpp_planned.jsonl"
RAM = Device("CPU", 2**40, "cpu", "given")
SHAPES = {
    "llama-8b": Shape("llama", 32, 4096, 32, 8, 128, 14336, 128256, 131072),
    "qwen3-4b": Shape("qwen3", 36, 2560, 32, 8, 128, 9728, 151936, 40960, tied=True),
    "qwen3-30b-a3b": Shape("qwen3moe", 48, 2048, 32, 4, 128, 6144, 151936, 40960, 128, 8, 768),
    "gemma3-27b": Shape("gemma3", 62, 5376, 32, 16, 128, 21504, 262208, 131072, window=1024, tied=True),
    "gpt-oss-20b": Shape("gpt-oss", 24, 2880, 64, 8, 64, 2880, 201088, 131072, 32, 4, 2880, 128),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelSpec]:
    folder = tmp_path_factory.mktemp("shapes")
    return {name: gguf_spec.read(write(folder / f"{name}.gguf", shape)) for name, shape in SHAPES.items()}


@lru_cache
def rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in ROWS.read_text().splitlines()]


def gpus(count: int) -> tuple[Device, ...]:
    return tuple(Device(f"GPU{i}", 2**36, "gpu", "given") for i in range(count))


def shares(model: ModelSpec, row: dict[str, Any]) -> dict[str, lc.Share]:
    split = row["tensor_split"]
    devices = (*gpus(row["gpus"]), RAM)
    ask = Ask(
        model,
        devices,
        "llama.cpp",
        "b9450" if row["outputs"] == "all" else None,
        row["context"],
        row["parallel"],
        ubatch=row["ubatch"],
        flash_attn=row["flash_attn"],
        gpu_layers=row["gpu_layers"],
        placing=Placing(n_cpu_moe=row["n_cpu_moe"], tensor_split=tuple(split) if split else None),
    )
    return {d.name: s for d, s in zip(devices, lc.held(ask, lc.resolve(ask)), strict=True)}


def test_weights_and_cache_are_the_engines_on_every_device(models: dict[str, ModelSpec]) -> None:
    """246 placements on one to three GPUs and the host: within 0.5 %, as read."""
    seen = 0
    for row in rows():
        for name, share in shares(models[row["model"]], row).items():
            weights, cache, _ = row["buffers"].get(name, [0, 0, 0])
            assert share.weights == pytest.approx(weights, rel=0.005, abs=4096), (row, name)
            assert share.kv == pytest.approx(cache, rel=0.005), (row, name)
            seen += 1
    assert seen == sum(row["gpus"] + 1 for row in rows()) == 654


def test_compute_buffers_are_near_the_engines(models: dict[str, ModelSpec]) -> None:
    """On every device of the 246 placements: none 10 % away."""
    whole, partial = [], []
    for row in rows():
        for name, share in shares(models[row["model"]], row).items():
            if name not in row["buffers"]:
                continue
            error = abs(share.compute / row["buffers"][name][2] - 1)
            (whole if row["gpu_layers"] == 999 else partial).append(error)
    print(f"whole: mean {mean(whole):.1%}, worst {max(whole):.1%}")
    print(f"partial: mean {mean(partial):.1%}, worst {max(partial):.1%}")
    assert len(whole) + len(partial) == 654
    assert mean(whole) < 0.01
    assert mean(partial) < 0.03
    assert max(whole + partial) < 0.10


MOE = "qwen3-30b-a3b"


@pytest.mark.parametrize(
    ("placing", "message"),
    [
        (Placing(tensor_split=(1, 2, 3)), "3 parts for 2 GPUs"),
        (Placing(tensor_split=(0, 0)), "not all are 0"),
        (Placing(main_gpu=2), "number 2; there are 2"),
        (Placing(override_tensor=("ffn_up",)), "does not say where"),
        (Placing(override_tensor=("ffn_(up=CPU",)), "no regular expression"),
        (Placing(override_tensor=("ffn_up=CUDA7",)), "no device"),
        (Placing(override_tensor=("no_such=CPU",)), "no tensor of"),
    ],
)
def test_bad_placements_are_named(models: dict[str, ModelSpec], placing: Placing, message: str) -> None:
    ask = Ask(models[MOE], (*gpus(2), RAM), "llama.cpp", context=4096, placing=placing)
    with pytest.raises(InputError, match=message):
        lc.held(ask, lc.resolve(ask))


def test_a_dense_model_has_no_experts_to_move(models: dict[str, ModelSpec]) -> None:
    ask = Ask(models["llama-8b"], (*gpus(1), RAM), "llama.cpp", context=4096, placing=Placing(n_cpu_moe=4))
    with pytest.raises(InputError, match="dense"):
        lc.held(ask, lc.resolve(ask))


def test_a_rule_and_the_experts_of_every_layer_are_the_same(models: dict[str, ModelSpec]) -> None:
    """The engine's own words for all experts, by name and by count."""
    by = [Placing(n_cpu_moe=48), Placing(override_tensor=(r"\.ffn_(up|down|gate)_exps=CPU",))]
    asks = [Ask(models[MOE], (*gpus(1), RAM), "llama.cpp", context=4096, placing=p) for p in by]
    a, b = ([s.weights for s in lc.held(ask, lc.resolve(ask))] for ask in asks)
    assert a == b


def test_builds() -> None:
    assert (build("b5200").few_outputs, build("9600").few_outputs, build("0.5.0-dev").few_outputs) == (
        False,
        True,
        True,
    )
    with pytest.raises(InputError, match=r"no llama\.cpp version"):
        build("new")
