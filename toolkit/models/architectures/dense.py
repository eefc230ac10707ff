"""Decoders whose layers all attend and all have one MLP."""

from __future__ import annotations

from typing import Any

from toolkit.models import vision
from toolkit.models.architectures.numbers import Config, Numbers
from toolkit.models.architectures.parts import decoder, gqa, seeing, windows, with_mtp
from toolkit.models.layers import Decoder, Layer, Mlp


def llama(n: Numbers, config: Config, **attention: Any) -> Decoder:
    """Llama, Mistral, Granite, Phi-3: grouped attention and a gated MLP."""
    bias = n.flag("attention_bias")
    base = {"qkv_bias": bias, "o_bias": bias, **attention}
    mlp = Mlp(inner=n("intermediate_size"))
    layers = [Layer(gqa(n, window=w, **base), mlp) for w in windows(n, n("num_hidden_layers"))]
    return decoder(n, config, layers)


def qwen2(n: Numbers, config: Config) -> Decoder:
    """Llama with biases on query, key and value."""
    return llama(n, config, qkv_bias=True, o_bias=False)


def qwen2_vl(n: Numbers, config: Config) -> Decoder:
    """Qwen 2 that sees."""
    return seeing(qwen2(n, config), vision.qwen2_vl(config, n("hidden_size")))


def qwen2_5_vl(n: Numbers, config: Config) -> Decoder:
    """Qwen 2.5 that sees."""
    return seeing(qwen2(n, config), vision.qwen2_5_vl(config, n("hidden_size")))


def glm4(n: Numbers, config: Config) -> Decoder:
    """GLM 4 (0414): four norms a layer, biases on query, key and value."""
    bias = n.flag("attention_bias")
    layer = Layer(gqa(n, qkv_bias=bias), Mlp(inner=n("intermediate_size")), norms=4)
    return decoder(n, config, [layer] * n("num_hidden_layers"))


def mimo(n: Numbers, config: Config) -> Decoder:
    """Qwen 2 with prediction layers."""
    base = llama(n, config, qkv_bias=True, o_bias=False)
    return with_mtp(base, n("num_nextn_predict_layers", 0))


def qwen3(n: Numbers, config: Config) -> Decoder:
    """Llama with query and key norms."""
    return llama(n, config, norm_dim=gqa(n).head_dim)


def qwen3_vl(n: Numbers, config: Config) -> Decoder:
    """Qwen 3 that sees."""
    return seeing(qwen3(n, config), vision.qwen3_vl(config))


def mistral3(n: Numbers, config: Config) -> Decoder:
    """Mistral Small 3: Llama with a Pixtral tower."""
    return seeing(llama(n, config), vision.pixtral(config, n("hidden_size")))


def gemma2(n: Numbers, config: Config) -> Decoder:
    """Four norms a layer, alternating windows, tied embeddings."""
    mlp = Mlp(inner=n("intermediate_size"))
    layers = [Layer(gqa(n, window=w), mlp, norms=4) for w in windows(n, n("num_hidden_layers"))]
    return decoder(n, config, layers, tied=True)


def gemma3(n: Numbers, config: Config) -> Decoder:
    """Gemma 3's text config leaves out what equals the 4B model (`Gemma3TextConfig` defaults)."""
    defaults = {
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "vocab_size": 262_208,
        "max_position_embeddings": 131_072,
        "model_type": "gemma3_text",
    }
    n = Numbers({**defaults, **{k: v for k, v in n.config.items() if v is not None}}, n.name)
    mlp, dim = Mlp(inner=n("intermediate_size")), n("head_dim")
    layers = [Layer(gqa(n, window=w, norm_dim=dim), mlp, norms=4) for w in windows(n, n("num_hidden_layers"))]
    base = decoder(n, config, layers, tied=True)
    return seeing(base, vision.siglip(config, n("hidden_size"))) if "vision_config" in config else base


def gemma4(n: Numbers, config: Config) -> Decoder:
    """Full layers have wider heads, fewer of them, and values equal to keys; every layer ends in a scalar."""
    count = n("num_hidden_layers")
    dense = Mlp(inner=n("intermediate_size"))
    moe = None
    if n.flag("enable_moe_block"):
        moe = Mlp("moe", n("moe_intermediate_size"), n("num_experts"), n("top_k_experts"))
    layers = []
    for w in windows(n, count):
        wide = n("global_head_dim", 0) or n("head_dim")
        attention = gqa(n, window=w, norm_dim=n("head_dim"))
        if w is None:
            shared = n.flag("attention_k_eq_v")
            kv = (n("num_global_key_value_heads", 0) if shared else 0) or n("num_key_value_heads")
            attention = gqa(n, head_dim=wide, v_head_dim=wide, kv_heads=kv, norm_dim=wide, shared_kv=shared)
        layers.append(Layer(attention, moe or dense, norms=7 if moe else 4, dense=dense if moe else None))
    base = decoder(n, config, layers, tied=True)
    return seeing(base, vision.gemma4(config, n("hidden_size"))) if config.get("vision_config") else base


def cohere(n: Numbers, config: Config) -> Decoder:
    """Command R and Command A: attention and MLP share one norm; embeddings are tied."""
    bias, normed = n.flag("attention_bias"), n.flag("use_qk_norm")
    a = gqa(n, qkv_bias=bias, o_bias=bias)
    norms = {"norm_dim": a.heads * a.head_dim, "k_norm_dim": a.kv_heads * a.head_dim} if normed else {}
    mlp = Mlp(inner=n("intermediate_size"))
    layers = [
        Layer(gqa(n, window=w, qkv_bias=bias, o_bias=bias, **norms), mlp, norms=1)
        for w in windows(n, n("num_hidden_layers"))
    ]
    return decoder(n, config, layers, tied=True)
