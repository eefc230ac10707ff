"""Decoders with experts beside ordinary attention."""

from __future__ import annotations

from toolkit.errors import ModelFileError
from toolkit.models import vision
from toolkit.models.architectures.numbers import Config, Numbers
from toolkit.models.architectures.parts import decoder, experts_of, gqa, seeing, windows
from toolkit.models.layers import Attention, Decoder, Layer, Mlp


def mixtral(n: Numbers, config: Config) -> Decoder:
    """Experts in every layer, no more."""
    layers = [Layer(gqa(n, window=w), experts_of(n)) for w in windows(n, n("num_hidden_layers"))]
    return decoder(n, config, layers)


def qwen3_moe(n: Numbers, config: Config) -> Decoder:
    """Qwen 3 with experts, some layers dense."""
    dense, moe, attention = Mlp(inner=n("intermediate_size")), experts_of(n), gqa(n, norm_dim=gqa(n).head_dim)
    only = set(n.config.get("mlp_only_layers") or ())
    layers = [Layer(attention, dense if i in only else moe) for i in range(n("num_hidden_layers"))]
    return decoder(n, config, layers)


def qwen2_moe(n: Numbers, config: Config) -> Decoder:
    """Qwen 2 with experts and a gated shared one; some layers dense."""
    dense, step = Mlp(inner=n("intermediate_size")), n("decoder_sparse_step", 1)
    moe = experts_of(n, shared_inner=n("shared_expert_intermediate_size"), shared_gate=True)
    only, attention = set(n.config.get("mlp_only_layers") or ()), gqa(n, qkv_bias=True)
    count = n("num_hidden_layers")
    mlps = [dense if i in only or (i + 1) % step else moe for i in range(count)]
    return decoder(n, config, [Layer(attention, mlp) for mlp in mlps])


def glm4_moe(n: Numbers, config: Config) -> Decoder:
    """GLM 4.5 to 4.7: first layers dense, a shared expert, a prediction layer with its own embedding."""
    norm = gqa(n).head_dim if n.flag("use_qk_norm") else 0
    attention = gqa(n, qkv_bias=n.flag("attention_bias"), norm_dim=norm)
    moe = experts_of(n, shared_inner=n("n_shared_experts", 0) * n("moe_intermediate_size"), router_bias=True)
    dense, first = Mlp(inner=n("intermediate_size")), n("first_k_dense_replace", 0)
    layers = [Layer(attention, dense if i < first else moe) for i in range(n("num_hidden_layers"))]
    mtp = (Layer(attention, moe),) * n("num_nextn_predict_layers", 0)
    return decoder(n, config, layers, mtp=mtp, mtp_embeddings=bool(mtp))


def qwen3_vl_moe(n: Numbers, config: Config) -> Decoder:
    """Qwen 3 with experts, that sees."""
    return seeing(qwen3_moe(n, config), vision.qwen3_vl(config))


def gpt_oss(n: Numbers, config: Config) -> Decoder:
    """Alternating windows with sinks, biases everywhere, experts in MXFP4."""
    moe = experts_of(n, router_bias=True, expert_bias=True)
    return decoder(
        n,
        config,
        [
            Layer(gqa(n, window=w, qkv_bias=True, o_bias=True, sinks=True), moe)
            for w in windows(n, n("num_hidden_layers"))
        ],
    )


def minimax_m2(n: Numbers, config: Config) -> Decoder:
    """Norms run over all heads at once (`qk_norm_type: per_layer`)."""
    a = gqa(n)
    attention = gqa(n, norm_dim=a.heads * a.head_dim, k_norm_dim=a.kv_heads * a.head_dim)
    moe = experts_of(n, router_bias=n.flag("use_routing_bias"))
    return decoder(n, config, [Layer(attention, moe)] * n("num_hidden_layers"))


def minimax_m3(n: Numbers, config: Config) -> Decoder:
    """The first layers attend and multiply densely; the others choose blocks by an index, and have a shared expert.

    Its prediction modules are left out: the config gives two counts of them (vllm `models/minimax_m3`).
    """
    count, sparse = n("num_hidden_layers"), n.config.get("sparse_attention_config")
    routed = n.listed("moe_layer_freq", count)
    chosen = Numbers(sparse, n.name).listed("sparse_attention_freq", count) if isinstance(sparse, dict) else [0] * count
    if routed is None or chosen is None:
        raise ModelFileError(f"{n.name}: config.json lacks moe_layer_freq or sparse_attention_freq")
    said = Numbers(sparse if isinstance(sparse, dict) else {}, n.name)
    dim = n("head_dim")
    plain = gqa(n, norm_dim=dim)
    index = {"index_heads": said("sparse_num_index_heads", 0), "index_dim": said("sparse_index_dim", 0)}
    indexed = gqa(n, norm_dim=dim, **index)
    shared = n("n_shared_experts", 0) * n("shared_intermediate_size", 0)
    moe = experts_of(n, shared_inner=shared, router_bias=n.flag("use_routing_bias"))
    dense = Mlp(inner=n("dense_intermediate_size"))
    layers = [Layer(indexed if c else plain, moe if r else dense) for c, r in zip(chosen, routed, strict=True)]
    return decoder(n, config, layers)


def llama4(n: Numbers, config: Config) -> Decoder:
    """Three chunked layers, then a full one; MoE in every ``interleave_moe_layer_step``-th layer."""
    count, step = n("num_hidden_layers"), n("interleave_moe_layer_step", 1)
    chunk, dense = n("attention_chunk_size", 8192), Mlp(inner=n("intermediate_size_mlp"))
    moe = experts_of(n, shared_inner=n("intermediate_size"))
    layers = []
    for i in range(count):
        full = (i + 1) % 4 == 0
        attention = gqa(n, window=None if full else chunk, chunked=not full)
        layers.append(Layer(attention, moe if (i + 1) % step == 0 else dense))
    return seeing(decoder(n, config, layers), vision.llama4(config, n("hidden_size")))


def mimo_v2(n: Numbers, config: Config) -> Decoder:
    """Sliding layers have their own head counts; the first layers are dense."""
    count = n("num_hidden_layers")
    slides, sparse = n.listed("hybrid_layer_pattern", count), n.listed("moe_layer_freq", count)
    if slides is None or sparse is None:
        raise ModelFileError(f"{n.name}: config.json lacks hybrid_layer_pattern or moe_layer_freq")
    full = gqa(n, v_head_dim=n("v_head_dim"))
    sliding = Attention(
        heads=n("swa_num_attention_heads"),
        kv_heads=n("swa_num_key_value_heads"),
        head_dim=n("swa_head_dim"),
        v_head_dim=n("swa_v_head_dim"),
        window=n("sliding_window"),
        sinks=n.flag("add_swa_attention_sink_bias"),
    )
    dense, moe = Mlp(inner=n("intermediate_size")), experts_of(n, router_bias=True)
    layers = [Layer(sliding if s else full, moe if m else dense) for s, m in zip(slides, sparse, strict=True)]
    return decoder(n, config, layers)
