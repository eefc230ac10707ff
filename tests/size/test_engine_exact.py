"""The engine's own planner, and the analytic model against it over a grid of synthetic models."""

from __future__ import annotations

import itertools
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from tests.cli.run import document, error_of
from tests.size.synth import Shape, write
from toolkit.errors import DeclinedError, InputError
from toolkit.models import gguf_spec
from toolkit.size import Ask, Device, engine_exact
from toolkit.size import llamacpp as lc
from toolkit.types import MIB

RAM = Device("CPU", 2**36, "cpu", "given")

LOG = """
0.00.274.379 I llama_context:        CPU  output buffer size =     0.75 MiB
0.00.274.549 I llama_kv_cache:        CPU KV buffer size =   180.00 MiB
0.00.353.900 I llama_kv_cache: size =  180.00 MiB (  2048 cells,  30 layers,  4/4 seqs), K (f16):   90.00 MiB
0.00.353.927 I sched_reserve:        CPU compute buffer size =    15.51 MiB
"""


def test_a_servers_log_is_read() -> None:
    """A start of llama-server 0.5.0-dev on SmolLM2-135M."""
    found = engine_exact.read_log(LOG.splitlines())
    assert (found.kv, found.state) == (180 * MIB, 0)
    assert found.compute == {"CPU": round(15.51 * MIB)}
    assert found.output == round(0.75 * MIB)


def test_a_log_without_figures_is_no_answer() -> None:
    with pytest.raises(DeclinedError, match="no buffer sizes"):
        engine_exact.read_log(["hello"])


MLA: dict[str, Any] = {"dense": 1, "latent": (1536, 512, 64, 128, 128)}
SHAPES = [
    Shape("llama", hidden=2048, heads=32, kv_heads=8, inner=8192, vocab=128256, tied=True),
    Shape("llama", hidden=4096, heads=32, kv_heads=8, head_dim=128, inner=14336, vocab=128256),
    Shape("llama", experts=8, active=2, hidden=1024, inner=3584),
    Shape("qwen2", hidden=1536, heads=12, kv_heads=2, head_dim=128, inner=8960, vocab=151936),
    Shape("qwen3", hidden=1024, heads=16, kv_heads=8, head_dim=128, inner=3072, vocab=151936),
    Shape("qwen3moe", hidden=2048, heads=32, head_dim=128, experts=32, active=8, expert_inner=768, inner=6144),
    Shape("gemma3", layers=6, hidden=1152, heads=4, kv_heads=1, head_dim=256, inner=6912, window=512, vocab=262144),
    Shape(
        "gpt-oss", hidden=2880, heads=64, kv_heads=8, experts=32, active=4, expert_inner=2880, inner=2880, window=128
    ),
    Shape("deepseek2", 3, 7168, 128, 1, 576, 18432, 129280, experts=32, active=8, expert_inner=2048, **MLA),
    Shape("deepseek2", 4, 2048, 16, 1, 576, 10944, 102400, experts=64, active=6, expert_inner=1408, **MLA),
    Shape("qwen35", 8, 5120, 24, 4, 256, 17408, 248320, delta_heads=(16, 48)),
    Shape("glm4moe", 4, 4096, 96, 8, 128, 10944, 151552, experts=32, active=8, expert_inner=1408, dense=1),
]
GRID = list(
    itertools.product(
        [(2048, 1), (8192, 4), (16384, 1)], [128, 512, 2048], [("on", "f16"), ("on", "q8_0"), ("off", "f16")]
    )
)
"""Context and slots, ubatch, flash attention and cache type: 27 cases of each of the twelve shapes, 324 in all."""


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"{s.arch}-{s.hidden}")
def test_the_model_agrees_with_the_engine_over_a_grid(shape: Shape, tmp_path: Path) -> None:
    """Shapes of real models: KV within 0.5 %, compute within 10 % at worst and 8 % on average."""
    file = write(tmp_path / "m.gguf", shape)
    spec = gguf_spec.read(file)
    errors = []
    for (context, parallel), ubatch, (flash, kv_type) in GRID:
        ask = Ask(spec, (RAM,), "llama.cpp", None, context, parallel, kv_type, ubatch=ubatch, flash_attn=flash)  # type: ignore[arg-type]
        r = lc.resolve(ask)
        told = engine_exact.plan(file, spec.layers, r)
        (share,) = lc.held(ask, r)
        assert share.kv == pytest.approx(told.kv, rel=0.005), (context, parallel, ubatch, kv_type)
        assert share.state == pytest.approx(told.state, rel=0.005), (parallel, told.state)
        errors.append(abs(share.compute / sum(told.compute.values()) - 1))
        assert errors[-1] < 0.10, (context, parallel, ubatch, flash, kv_type, errors[-1])
    assert len(errors) == 27
    print(f"compute of {shape.arch}: mean error {mean(errors):.1%}, worst {max(errors):.1%}")
    assert mean(errors) < 0.08


@pytest.mark.real
def test_a_file_the_engine_refuses_is_an_input_error(tmp_path: Path) -> None:
    broken = write(tmp_path / "x.gguf", Shape("llama", extra={"attention.head_count": 0}))
    r = lc.Resolved(1024, 1, 512, ("F16", "F16"), True, 0)
    with pytest.raises((InputError, DeclinedError)):
        engine_exact.plan(broken, 4, r)


@pytest.mark.real
def test_exact_on_the_embedded_model() -> None:
    """What llama-server logged for 4 x 2,048 tokens: KV 180.00 MiB, compute 15.51 MiB."""
    plan = document("size", "smollm2-135m", "--context", "2048", "--concurrency", "4", "--exact")
    lines = {line["what"]: line for line in plan["devices"][0]["lines"]}
    assert lines["kv_cache"]["bytes"] == 180 * MIB
    assert lines["activations"]["bytes"] == round(15.51 * MIB)
    assert lines["activations"]["basis"] == "engine"
    assert sum(line["bytes"] for line in lines.values()) == plan["devices"][0]["total_bytes"]


def test_exact_is_for_gguf_files_here() -> None:
    assert "GGUF" in error_of("size", "llama-3.1-8b", "--gpu", "L4", "--exact")
