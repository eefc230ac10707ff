"""Multi-head latent attention: DeepSeek, Kimi, GLM."""

from __future__ import annotations

from toolkit.models import vision
from toolkit.models.architectures.numbers import Config, Numbers
from toolkit.models.architectures.parts import decoder, experts_of, seeing
from toolkit.models.layers import Attention, Decoder, Layer, Mlp


def deepseek(n: Numbers, config: Config) -> Decoder:
    """DeepSeek V2 to V3.2, Kimi K2, GLM 5: first layers dense, a shared expert, an indexer in the newer ones."""
    attention = Attention(
        kind="mla",
        heads=n("num_attention_heads"),
        v_head_dim=n("v_head_dim"),
        q_lora=n("q_lora_rank", 0),
        kv_lora=n("kv_lora_rank"),
        rope_dim=n("qk_rope_head_dim"),
        nope_dim=n("qk_nope_head_dim"),
        index_heads=n("index_n_heads", 0),
        index_dim=n("index_head_dim", 0),
    )
    sigmoid = n.config.get("scoring_func") == "sigmoid"
    moe = experts_of(n, shared_inner=n("n_shared_experts", 0) * n("moe_intermediate_size"), router_bias=sigmoid)
    dense, first = Mlp(inner=n("intermediate_size")), n("first_k_dense_replace", 0)
    layers = [Layer(attention, dense if i < first else moe) for i in range(n("num_hidden_layers"))]
    mtp = (Layer(attention, moe),) * n("num_nextn_predict_layers", 0)
    return decoder(n, config, layers, mtp=mtp, mtp_embeddings=bool(mtp))


def kimi_k25(n: Numbers, config: Config) -> Decoder:
    """Kimi K2 with a MoonViT tower."""
    return seeing(deepseek(n, config), vision.moonvit(n("hidden_size")))
