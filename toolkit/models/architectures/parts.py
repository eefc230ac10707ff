"""What the readers share: grouped attention, windows, experts, the rotary tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from toolkit.models.architectures.numbers import Config, Numbers
from toolkit.models.layers import Attention, Decoder, Layer, Mlp, Vision


def decoder(
    n: Numbers, config: Config, layers: list[Layer], *, tied: bool = False, rope: bool = True, **more: Any
) -> Decoder:
    """The whole model from its layers; ``tied`` is what the family does when its config is silent."""
    tied = bool(config.get("tie_word_embeddings", n.config.get("tie_word_embeddings", tied)))
    return Decoder(
        hidden=n("hidden_size"),
        vocab=n("vocab_size"),
        tied=tied,
        layers=tuple(layers),
        max_context=_longest(n),
        rope_cache=_rope_cache(n, layers) if rope else 0,
        **more,
    )


STRETCHES = ("yarn", "linear", "dynamic")
"""Kinds of rotary scaling whose factor engines apply to the positions a config names."""


def _longest(n: Numbers) -> int:
    """The context it was made for: its positions, stretched by rotary scaling as vLLM does (`_get_and_verify_max_len`).

    YaRN stretches the original positions, which may be what the config names (Qwen 2.5: 32,768 × 4) or a sixteenth of
    it (DeepSeek); Gemma 3 names what comes out.
    """
    positions = n("max_position_embeddings")
    scaling = n.config.get("rope_scaling") or n.config.get("rope_parameters")
    if not isinstance(scaling, dict) or str(n.config.get("model_type")).startswith("gemma3"):
        return positions
    factor, kind = scaling.get("factor"), scaling.get("rope_type") or scaling.get("type")
    if (
        kind not in STRETCHES
        or isinstance(factor, bool)
        or not isinstance(factor, int | float)
        or not 1 <= factor < 1e6
    ):
        return positions
    original = scaling.get("original_max_position_embeddings") if kind == "yarn" else None
    base = original if isinstance(original, int) and not isinstance(original, bool) and original > 0 else positions
    return max(positions, int(base * factor))


def _rope_cache(n: Numbers, layers: list[Layer]) -> int:
    """Rows × dims of vLLM's ``cos_sin_cache``: one table per distinct rotary embedding.

    Linear and dynamic scaling make the table ``factor`` times longer (vllm `LinearScalingRotaryEmbedding`); a model
    whose sliding layers have their own base (Gemma 3) keeps a second, unscaled one.
    """
    first = next((x.attention for x in layers if x.attention.kind in ("gqa", "mla")), None)
    if first is None:
        return 0
    share = n.config.get("partial_rotary_factor")
    dim = first.rope_dim or int(first.head_dim * (share if isinstance(share, int | float) else 1))
    rows, scaling = n("max_position_embeddings"), n.config.get("rope_scaling")
    if not isinstance(scaling, dict):
        return rows * dim
    factor = scaling.get("factor")
    kind = scaling.get("rope_type") or scaling.get("type")
    longer = factor if kind in ("linear", "dynamic") and isinstance(factor, int | float) else 1
    local = rows * dim if str(n.config.get("model_type")).startswith("gemma3") else 0
    return int(rows * longer) * dim + local


def gqa(n: Numbers, **changes: Any) -> Attention:
    """Attention with grouped KV heads in the sizes of the config, with ``changes``."""
    hidden, heads = n("hidden_size"), n("num_attention_heads")
    dim = n("head_dim", 0) or n("attention_head_dim", 0) or hidden // heads
    base: dict[str, Any] = {
        "heads": heads,
        "kv_heads": n("num_key_value_heads", heads) or heads,
        "head_dim": dim,
        "v_head_dim": dim,
    }
    return Attention(**{**base, **changes})


def windows(n: Numbers, layers: int) -> list[int | None]:
    """The sliding window of each layer, None for a full one.

    The config's own list wins; else the family's rule: Qwen writes a window and switches it off, Gemma 2 alternates,
    Gemma 3 keeps one full layer in six, Cohere 2 one in four, Mistral v0.1 and Phi-3 slide everywhere.
    """
    window = n("sliding_window", 0)
    if not window or n.config.get("use_sliding_window") is False:
        return [None] * layers
    kinds = n.listed("layer_types", layers)
    if kinds is not None:
        return [window if k == "sliding_attention" else None for k in kinds]
    period = {"gemma2": 2, "gemma3_text": 6, "gemma3": 6, "cohere2": 4}.get(str(n.config.get("model_type")), 0)
    period = n("sliding_window_pattern", period)
    return [None if period and (i + 1) % period == 0 else window for i in range(layers)]


def experts_of(n: Numbers, **changes: Any) -> Mlp:
    """Routed experts in the sizes of the config, whatever it calls them, with ``changes``."""
    experts = next((n(k) for k in ("num_local_experts", "num_experts", "n_routed_experts") if n.config.get(k)), 0)
    active = next((n(k) for k in ("num_experts_per_tok", "experts_per_token") if n.config.get(k)), 1)
    inner = n("moe_intermediate_size", 0) or n("intermediate_size")
    return Mlp(**{"kind": "moe", "inner": inner, "experts": experts, "active": active, **changes})


def with_mtp(base: Decoder, count: int) -> Decoder:
    """The model with ``count`` prediction layers like its last."""
    return replace(base, mtp=(base.layers[-1],) * count)


def seeing(base: Decoder, tower: Vision) -> Decoder:
    """The model with a vision tower."""
    return replace(base, vision=tower)
