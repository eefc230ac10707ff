"""vLLM's memory beside weights and cache, against figures that public logs print (GiB)."""

from __future__ import annotations

import pytest

from tests.models.test_config_spec import LLAMA_8B, QWEN3_8B
from tests.size.test_vllm_inputs import DEEPSEEK_LIKE
from toolkit.models.config_spec import spec_from_config
from toolkit.size import Ask, Device, vllm_peak, vllm_weights
from toolkit.size.vllm_settings import Resolved, resolve
from toolkit.types import GIB

LLAMA = spec_from_config(LLAMA_8B, "llama-3.1-8b", source="profile")
QWEN = spec_from_config(QWEN3_8B, "qwen3-8b", source="profile")
H100 = Device("H100-SXM-80GB", int(79.18 * GIB), "gpu", "logged", "9.0", fabric=True)
A100 = Device("A100-SXM-40GB", int(39.39 * GIB), "gpu", "logged", "8.0", fabric=True)
A40 = Device("A40", int(44.4 * GIB), "gpu", "logged", "8.6", fabric=False)
T4 = Device("T4", int(14.74 * GIB), "gpu", "logged", "7.5", fabric=False)


def settings(device: Device, version: str, ranks: int = 1, **more: object) -> Resolved:
    return resolve(Ask(LLAMA, (device,) * ranks, "vllm", version, context=8192).with_(**more))


@pytest.mark.parametrize(
    ("device", "version", "ranks", "logged"),
    [
        (A40, "0.10.1", 1, 0.02),  # a 44.3 GiB card, DEBUG log of August 2025
        (A100, "0.10.2", 1, 0.02),  # a 39.49 GiB card, September 2025
        (T4, "0.8.2", 1, 0.05),  # unslothai/notebooks
        (A100, "0.8.1", 1, 0.09),  # unslothai/notebooks
        (H100, "0.11", 1, 0.13),  # llm-d-planner, as the H100 figures below
        (H100, "0.19", 1, 0.25),
        (A40, "0.7.2", 2, 0.32),
        (H100, "0.11", 2, 0.55),
        (H100, "0.19", 2, 2.07),
        (H100, "0.19", 4, 2.13),
        (A100, "0.7.1", 8, 2.10),
    ],
)
def test_memory_outside_pytorch_goes_by_card_release_and_fabric(
    device: Device, version: str, ranks: int, logged: float
) -> None:
    assert vllm_peak.non_torch(settings(device, version, ranks)) / GIB == pytest.approx(logged, abs=0.08)


@pytest.mark.parametrize(("sequences", "sizes"), [(256, 51), (1024, 51), (16, 7), (64, 19), (1, 2)])
def test_batch_sizes_that_are_captured(sequences: int, sizes: int) -> None:
    """vLLM logs 51 sizes by default, and 1, 2, 4, 8, 16, 24, 32 for sixteen sequences."""
    assert vllm_peak.captured(sequences) == sizes


@pytest.mark.parametrize(
    ("sequences", "logged"),
    [(256, 0.52), (16, 0.15)],  # Qwen3-8B on 24 GB (36 layers); Qwen3-30B-A3B on v0.26 (48)
)
def test_graphs_are_as_many_as_batch_sizes(sequences: int, logged: float) -> None:
    r = settings(A40, "0.26", max_num_seqs=sequences)
    assert vllm_peak.graphs(QWEN, r) / GIB == pytest.approx(logged, abs=0.1)


def test_the_engine_before_v1_holds_more_rows_of_a_long_step() -> None:
    """Llama-3-8B over 8,192 tokens logs 1.26 GiB in December 2024: 1.19 of the sampler and a hidden row."""
    found, how = vllm_peak.activations(LLAMA, settings(A100, "0.6"))
    assert found / GIB == pytest.approx(1.26, abs=0.02)
    assert how.startswith("sampler")


def test_the_engine_before_v1_holds_a_long_step_uncompiled() -> None:
    """Qwen2.5-1.5B over 32,768 tokens on a T4 of 14.56 GiB, 30 May 2025: 2.02 GiB at the peak."""
    small = LLAMA.model_copy(update={"hidden": 1536, "intermediate": 8960, "vocab": 151_936})
    found, how = vllm_peak.activations(small, settings(T4, "0.7.3", context=32_768))
    assert found / GIB == pytest.approx(2.02, abs=0.05)
    assert how.startswith("MLP")


def test_experts_keep_their_workspace_beside_the_sampler_since_v0_13() -> None:
    mixed = LLAMA.model_copy(update={"experts": 8, "experts_per_token": 2, "moe_intermediate": 1024})
    before, after = settings(H100, "0.12"), settings(H100, "0.13")
    assert vllm_peak.moe_workspace(mixed, before) == 0
    assert vllm_peak.moe_workspace(mixed, after) == 8192 * 2 * (4096 + 1024) * 2


def test_ranks_hold_the_projections_to_the_latents_whole() -> None:
    """Per layer 1,024 x (256 + 512 + 64) elements of 2 B; four layers: half of them more than halving would give."""
    model = spec_from_config(DEEPSEEK_LIKE, "m", source="profile")
    latent = 4 * 1024 * (256 + 512 + 64) * 2
    assert sum(g.bytes for g in model.weights if g.role == "latent") == latent
    one = vllm_weights.per_rank(model, settings(H100, "0.19"))
    two = vllm_weights.per_rank(model, settings(H100, "0.19", 2))
    kept = sum(g.bytes for g in model.weights if g.role in ("norm", "router", "other"))
    assert 2 * two - one == pytest.approx(latent + kept + model.rope_cache_elements * 2, abs=100)


def test_more_ranks_than_kv_heads_hold_a_whole_head_each() -> None:
    """Llama-3.1-8B on 16 ranks: 8 KV heads, so each rank has keys and values of one head, not of half a head."""
    share = vllm_weights.per_rank(LLAMA, settings(H100, "0.19", 16)) - LLAMA.rope_cache_elements * 2
    split = sum(g.bytes // 16 if g.role != "norm" else g.bytes for g in LLAMA.weights)
    assert share - split == 32 * (128 + 128) // 2 * 4096 * 2
