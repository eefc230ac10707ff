"""Cells of llama.cpp's cache, against lines that it printed (MiB)."""

from __future__ import annotations

import pytest

from toolkit.errors import InputError
from toolkit.size import Ask, Device
from toolkit.size import llamacpp as lc
from toolkit.types import MIB, LayerAttention, ModelSpec, WeightGroup

RAM = Device("CPU", 2**40, "cpu", "given")


def model(layers: list[LayerAttention]) -> ModelSpec:
    return ModelSpec(
        name="m",
        source="gguf",
        architecture="llama",
        quant="Q8_0",
        layers=len(layers),
        hidden=1024,
        heads=16,
        intermediate=2816,
        vocab=32000,
        max_context=2**20,
        attention=tuple(layers),
        weights=(WeightGroup(role="mlp", layer=0, params=1, bytes=1),),
    )


def alternating(count: int, heads: int, dim: int, window: int, period: int) -> ModelSpec:
    """Every ``period``-th layer keeps all tokens, the others a window."""
    full = LayerAttention(kv_heads=heads, head_dim_k=dim, head_dim_v=dim)
    slides = full.model_copy(update={"kind": "sliding", "window": window})
    return model([full if (i + 1) % period == 0 else slides for i in range(count)])


def cache(spec: ModelSpec, context: int, slots: int, **more: object) -> float:
    ask = Ask(spec, (RAM,), "llama.cpp", context=context, parallel=slots).with_(**more)
    return sum(share.kv for share in lc.held(ask, lc.resolve(ask))) / MIB


GPT_OSS = alternating(36, 8, 64, 128, 2)
GEMMA2 = alternating(26, 4, 256, 4096, 2)


def test_slots_that_share_a_cache_share_its_cells_but_not_their_windows() -> None:
    """gpt-oss-120b, 4 slots, n_ctx 65,536: 2304.00 MiB of full layers and 36.00 of 1,024 cells (4 x 128 + 512)."""
    assert cache(GPT_OSS, 16_384, 4, kv_unified=True) == 2304.0 + 36.0


def test_slots_with_a_part_each_hold_more_windows() -> None:
    """By the engine's rule 4 streams of 768 cells (128 + 512, in steps of 256): 18 layers x 3,072 x 2,048 B."""
    assert cache(GPT_OSS, 16_384, 4) == 2304.0 + 108.0


def test_a_window_longer_than_the_context_is_the_context() -> None:
    """gemma-2-2b, 4 slots sharing 8,192 cells, build b7445: 416.00 MiB twice."""
    assert cache(GEMMA2, 2048, 4, kv_unified=True) == 832.0


def test_all_cells_of_sliding_layers_can_be_kept() -> None:
    assert cache(GPT_OSS, 16_384, 4, swa_full=True) == 2 * 2304.0


def test_keys_and_values_may_be_of_two_types() -> None:
    """Llama-3.1-8B's cache of 1,024 cells, keys in iq4_nl, values in f16: 18 + 64 = 82.00 MiB, no flash attention."""
    llama = model([LayerAttention(kv_heads=8, head_dim_k=128, head_dim_v=128)] * 32)
    assert cache(llama, 1024, 1, kv_dtype="iq4_nl/f16", flash_attn="off") == 82.0
    with pytest.raises(InputError, match="iq4_nl KV cache needs flash attention"):
        cache(llama, 1024, 1, kv_dtype="f16/iq4_nl", flash_attn="off")
