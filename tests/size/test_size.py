"""The memory model against figures that engines logged, and against hand arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.test_config_spec import LLAMA_8B, QWEN3_8B
from toolkit.errors import InputError, UnknownNameError
from toolkit.models.config_spec import spec_from_config
from toolkit.size import Ask, Device, plan
from toolkit.size import llamacpp as lc
from toolkit.types import GIB, MIB, LayerAttention, ModelSpec, RecurrentState, WeightGroup

H100 = Device("H100-SXM-80GB", int(79.19 * GIB), "gpu", "logged")
RAM = Device("CPU", 16 * GIB, "cpu", "given")

SMOLLM2 = ModelSpec(
    name="smollm2-135m",
    source="gguf",
    architecture="llama",
    quant="Q4_1",
    layers=30,
    hidden=576,
    heads=9,
    intermediate=1536,
    vocab=49152,
    max_context=8192,
    tied_embeddings=True,
    attention=(LayerAttention(kv_heads=3, head_dim_k=64, head_dim_v=64),) * 30,
    weights=(
        WeightGroup(role="embedding", layer=None, params=0, bytes=int(28.6875 * MIB)),
        *(WeightGroup(role="mlp", layer=i, params=0, bytes=int(63.4153 * MIB / 30)) for i in range(30)),
    ),
)


@pytest.mark.parametrize(
    ("context", "parallel", "ubatch", "flash", "kv_mib", "compute_mib"),
    [
        # llama-server 0.5.0-dev (commit 0c1e570), CPU build, SmolLM2-135M Q4_1, its own log, 2026-11-23
        (2048, 1, 128, "on", 45.0, 3.88),
        (2048, 4, 128, "on", 180.0, 3.88),
        (8192, 1, 512, "on", 180.0, 21.51),
        (512, 4, 512, "on", 45.0, 14.01),
        (2048, 4, 1024, "on", 180.0, 31.02),
        (8192, 1, 512, "off", 180.0, 166.38),
        (2048, 1, 1024, "off", 45.0, 92.77),
    ],
)
def test_llamacpp_buffers_equal_the_engines_log(
    context: int, parallel: int, ubatch: int, flash: str, kv_mib: float, compute_mib: float
) -> None:
    ask = Ask(SMOLLM2, (RAM,), "llama.cpp", context=context, parallel=parallel, ubatch=ubatch, flash_attn=flash)
    (share,) = lc.held(ask, lc.resolve(ask))
    assert share.kv / MIB == kv_mib
    assert share.compute / MIB == pytest.approx(compute_mib, rel=0.05)


def test_q8_kv_stores_34_bytes_per_32() -> None:
    """q8_0: 32 values in 34 bytes against 64 in f16, so 180 MiB becomes 95.625 MiB."""
    ask = Ask(SMOLLM2, (RAM,), "llama.cpp", context=2048, parallel=4, kv_dtype="q8_0")
    (share,) = lc.held(ask, lc.resolve(ask))
    assert share.kv / MIB == 95.625


@pytest.mark.parametrize(
    ("version", "logged_pool_gib", "utilization"),
    [
        # Llama-3.1-8B bf16 on an H100 of 79.18/79.19 GiB: llm-d-planner's measured runs on v0.11 and v0.19
        ("0.11", 51.38, 0.90),
        ("0.19", 58.11, 0.95),
    ],
)
def test_vllm_pool_is_within_its_band(version: str, logged_pool_gib: float, utilization: float) -> None:
    model = spec_from_config(LLAMA_8B, "llama-3.1-8b", source="profile")
    found = plan(Ask(model, (H100,), "vllm", version, context=8192, gpu_memory_utilization=utilization))
    assert found.kv_pool_bytes / GIB == pytest.approx(logged_pool_gib, abs=0.5)
    assert found.kv_bytes_per_token == 131_072  # 2 x 32 layers x 8 heads x 128 x 2 B
    assert found.fits
    assert found.certainty == "sure"


def test_the_release_changes_the_pool_by_gigabytes() -> None:
    """The sampler's warm-up fell from 38.9 to 14.2 bytes per vocabulary entry and sequence in v0.17."""
    model = spec_from_config(QWEN3_8B, "qwen3-8b", source="profile")
    pools = [plan(Ask(model, (H100,), "vllm", v)).kv_pool_bytes for v in ("0.16", "0.19")]
    # 151,936 x 1,024 x (38.9 - 14.2) B = 3.58 GiB; less 0.15 GiB and 0.12 GiB of non-torch
    assert (pools[1] - pools[0]) / GIB == pytest.approx(3.58 - 0.15 - 0.12, abs=0.02)


def test_8b_in_bf16_is_no_model_for_16_gb() -> None:
    """The article's "8B in production on 16 GB": its weights alone are 14.96 GiB."""
    model = spec_from_config(LLAMA_8B, "llama-3.1-8b", source="profile")
    card = Device("RTX-4080", int(15.7 * GIB), "gpu", "given")
    found = plan(Ask(model, (card,), "vllm", "0.19", context=8192))
    assert (found.fits, found.certainty) == (False, "no")
    assert found.max_context == 0


def test_answers_are_the_edge() -> None:
    """The longest context fits and one step more does not; likewise the users."""
    model = spec_from_config(LLAMA_8B, "m", source="profile")
    card = Device("A10G", int(22.06 * GIB), "gpu", "logged")
    ask = Ask(model, (card,), "vllm", "0.19", context=4096, concurrency=4)
    found = plan(ask)
    users = found.max_concurrency
    assert plan(ask.with_(concurrency=users)).fits
    assert not plan(ask.with_(concurrency=users + 1)).fits
    longest = found.max_context
    assert 0 < longest < model.max_context
    assert plan(ask.with_(context=longest)).fits
    assert not plan(ask.with_(context=longest + 256)).fits


def test_every_advice_was_tested() -> None:
    model = spec_from_config(LLAMA_8B, "m", source="profile")
    card = Device("A10G", int(22.06 * GIB), "gpu", "logged")
    found = plan(Ask(model, (card,), "vllm", "0.19", context=32768, concurrency=4))
    assert not found.fits
    changes = {a.change.split(" ")[0]: a for a in found.advice}
    assert changes["context"].fits_then
    fixed = plan(Ask(model, (card,), "vllm", "0.19", context=found.max_context, concurrency=4))
    assert fixed.fits


def test_tensor_parallel_replicates_a_head_beyond_the_kv_heads() -> None:
    model = spec_from_config(LLAMA_8B, "m", source="profile")
    alone = plan(Ask(model, (H100,), "vllm", "0.19")).kv_bytes_per_token
    by_tp = {n: plan(Ask(model, (H100,) * n, "vllm", "0.19", tp=n)).kv_bytes_per_token for n in (8, 16)}
    assert by_tp == {8: alone // 8, 16: alone // 8}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"concurrency": 0}, "concurrency is 0"),
        ({"context": -1}, "context is -1"),
        ({"gpu_memory_utilization": 1.5}, "gpu_memory_utilization is 1.5"),
        ({"tp": 3}, "needs 3 devices"),
        ({"engine_version": "new"}, "no vLLM version"),
    ],
)
def test_contradictions_are_named(changes: dict[str, object], message: str) -> None:
    model = spec_from_config(LLAMA_8B, "m", source="profile")
    with pytest.raises(InputError, match=message):
        plan(Ask(model, (H100,), "vllm").with_(**changes))


def test_heads_must_divide() -> None:
    model = spec_from_config(LLAMA_8B, "m", source="profile")
    with pytest.raises(InputError, match="32 attention heads"):
        plan(Ask(model, (H100,) * 3, "vllm", tp=3))


def test_quantized_cache_needs_flash_attention() -> None:
    with pytest.raises(InputError, match="needs flash attention"):
        plan(Ask(SMOLLM2, (RAM,), "llama.cpp", kv_dtype="q8_0", flash_attn="off"))
    with pytest.raises(UnknownNameError):
        plan(Ask(SMOLLM2, (RAM,), "llama.cpp", kv_dtype="q9"))


@settings(max_examples=60, deadline=None)
@given(context=st.integers(1, 8192), users=st.integers(1, 64), memory=st.integers(1, 64))
def test_more_of_anything_never_needs_less(context: int, users: int, memory: int) -> None:
    device = Device("CPU", memory * GIB // 8, "cpu", "given")
    small = plan(Ask(SMOLLM2, (device,), "llama.cpp", context=context, concurrency=users))
    longer = plan(Ask(SMOLLM2, (device,), "llama.cpp", context=context + 256, concurrency=users))
    more = plan(Ask(SMOLLM2, (device,), "llama.cpp", context=context, concurrency=users + 1))
    assert longer.devices[0].total_bytes >= small.devices[0].total_bytes
    assert more.devices[0].total_bytes > small.devices[0].total_bytes
    assert sum(line.bytes for line in small.devices[0].lines) == small.devices[0].total_bytes
    assert small.fits == (small.devices[0].free_bytes >= 0)


def test_recurrent_state_equals_the_log() -> None:
    """Qwen3.5-27B: llama.cpp logs 149.6 MiB of state per sequence.

    48 delta layers x (3 x (6,144 + 2 x 16 x 128) + 128 x 6,144) x 4 B = 156,893,184 B.
    """
    state = RecurrentState(conv_elements=3 * 10_240, state_elements=128 * 6_144)
    none = LayerAttention(kind="none")
    full = LayerAttention(kv_heads=4, head_dim_k=256, head_dim_v=256)
    hybrid = SMOLLM2.model_copy(
        update={
            "layers": 64,
            "attention": tuple(full if i % 4 == 3 else none for i in range(64)),
            "recurrent": tuple(RecurrentState() if i % 4 == 3 else state for i in range(64)),
        }
    )
    found = plan(Ask(hybrid, (RAM,), "llama.cpp", context=4096, concurrency=2))
    lines = {line.what: line.bytes for line in found.devices[0].lines}
    assert lines["state"] == 2 * 156_893_184
    assert lines["kv_cache"] == 2 * 4096 * 16 * 2 * 4 * 256 * 2
    assert found.kv_bytes_per_token == 16 * 2 * 4 * 256 * 2
