"""Layers that keep a state instead of a cache: delta nets, Mamba, short convolutions."""

from __future__ import annotations

from collections.abc import Callable

from toolkit.errors import DeclinedError, ModelFileError
from toolkit.models import vision
from toolkit.models.architectures.numbers import Config, Numbers
from toolkit.models.architectures.parts import decoder, experts_of, gqa, seeing
from toolkit.models.layers import Attention, Decoder, Layer, Mlp


def qwen_hybrid(n: Numbers, config: Config) -> Decoder:
    """Qwen3-Next and Qwen3.5: gated delta nets, every fourth layer gated full attention."""
    count, every = n("num_hidden_layers"), n("full_attention_interval", 4)
    kinds = n.listed("layer_types", count)
    full = [k == "full_attention" for k in kinds] if kinds else [(i + 1) % every == 0 for i in range(count)]
    attend = gqa(n, gated=True, norm_dim=n("head_dim"))
    delta = Attention(
        kind="delta",
        key_dim=n("linear_num_key_heads") * n("linear_key_head_dim"),
        value_dim=n("linear_num_value_heads") * n("linear_value_head_dim"),
        state_heads=n("linear_num_value_heads"),
        state_size=n("linear_key_head_dim"),
        conv_kernel=n("linear_conv_kernel_dim"),
        state_bytes=_width(n.config.get("mamba_ssm_dtype")),
    )
    if n.config.get("num_experts"):
        mlp = experts_of(n, shared_inner=n("shared_expert_intermediate_size"), shared_gate=True)
    else:
        mlp = Mlp(inner=n("intermediate_size"))
    layers = [Layer(attend if f else delta, mlp) for f in full]
    mtp = (Layer(attend, mlp),) * n("mtp_num_hidden_layers", 0)
    base = decoder(n, config, layers, mtp=mtp)
    return seeing(base, vision.qwen3_vl(config)) if config.get("vision_config") else base


def nemotron_h(n: Numbers, config: Config) -> Decoder:
    """One mixer a layer: ``M`` Mamba-2, ``*`` attention, ``-`` MLP, ``E`` experts."""
    pattern = _nemotron_pattern(n)
    none, no_mlp = Attention(kind="none"), Mlp(kind="none")
    mamba = Attention(
        kind="mamba",
        value_dim=n("mamba_num_heads") * n("mamba_head_dim"),
        state_heads=n("mamba_num_heads"),
        state_size=n("ssm_state_size"),
        groups=n("n_groups"),
        conv_kernel=n("conv_kernel"),
        state_bytes=_width(n.config.get("mamba_ssm_cache_dtype") or "float32"),
    )
    kinds: dict[str, Callable[[], Layer]] = {
        "M": lambda: Layer(mamba, no_mlp, norms=1),
        "*": lambda: Layer(gqa(n), no_mlp, norms=1),
        "-": lambda: Layer(none, Mlp("plain", n("intermediate_size")), norms=1),
        "E": lambda: Layer(none, _nemotron_experts(n), norms=1),
    }
    if unknown := set(pattern) - set(kinds):
        raise DeclinedError(f"{n.name}: layer kinds {sorted(unknown)} of hybrid_override_pattern are not modelled")
    return decoder(n, config, [kinds[k]() for k in pattern], rope=False)


def _nemotron_pattern(n: Numbers) -> str:
    """One letter a layer, from either way of writing it."""
    kinds = n.config.get("layers_block_type")
    if isinstance(kinds, list) and kinds:
        letters = {"mamba": "M", "attention": "*", "mlp": "-", "moe": "E"}
        return "".join(letters.get(str(k), "?") for k in kinds)
    pattern = str(n.config.get("hybrid_override_pattern") or "")
    if len(pattern) != n("num_hidden_layers"):
        raise ModelFileError(f"{n.name}: hybrid_override_pattern lists {len(pattern)} layers")
    return pattern


def _nemotron_experts(n: Numbers) -> Mlp:
    return experts_of(
        n,
        matrices=2,
        shared_inner=n("n_shared_experts", 0) * n("moe_shared_expert_intermediate_size", 0),
        router_bias=True,
        latent=n("moe_latent_size", 0),
    )


def _width(dtype: object) -> int:
    """Bytes of a state element in the type that the config asks of engines; 0 when it asks for none."""
    return {"float32": 4, "bfloat16": 2, "float16": 2}.get(str(dtype), 0)


def _mamba2(n: Numbers, **changes: bool) -> Attention:
    """The Mamba-2 mixer as Granite 4 and Falcon H1 write it: an inner size, or the hidden size expanded."""
    heads = n("mamba_n_heads")
    inner = n("mamba_d_ssm", 0) or n("mamba_expand", 2) * n("hidden_size")
    if inner % heads:
        raise ModelFileError(f"{n.name}: config.json divides {inner} Mamba channels among {heads} heads")
    return Attention(
        kind="mamba",
        value_dim=inner,
        state_heads=heads,
        state_size=n("mamba_d_state"),
        groups=n("mamba_n_groups", 1),
        conv_kernel=n("mamba_d_conv", 4),
        conv_bias=n.flag("mamba_conv_bias", True),
        qkv_bias=n.flag("mamba_proj_bias"),
        o_bias=n.flag("mamba_proj_bias"),
        **changes,
    )


def granite4(n: Numbers, config: Config) -> Decoder:
    """Mamba-2 and attention layers, each with a shared MLP and, in the larger ones, experts beside it."""
    count = n("num_hidden_layers")
    kinds = n.listed("layer_types", count) or n.listed("layers_block_type", count)
    if kinds is None:
        raise ModelFileError(f"{n.name}: config.json does not say which layers attend (layer_types)")
    shared = n("shared_intermediate_size")
    mlp = experts_of(n, shared_inner=shared) if n("num_local_experts", 0) else Mlp(inner=shared)
    bias = n.flag("attention_bias")
    attend, mamba = gqa(n, qkv_bias=bias, o_bias=bias), _mamba2(n)
    layers = [Layer(attend if "attention" in str(k) and "linear" not in str(k) else mamba, mlp) for k in kinds]
    return decoder(n, config, layers, rope=n.config.get("position_embedding_type") == "rope")


def falcon_h1(n: Numbers, config: Config) -> Decoder:
    """Attention and a Mamba-2 mixer side by side in every layer."""
    mamba = _mamba2(n, gate_norm=n.flag("mamba_rms_norm"))
    bias = n.flag("attention_bias")
    layer = Layer(gqa(n, qkv_bias=bias, o_bias=bias), Mlp(inner=n("intermediate_size")), beside=mamba)
    return decoder(n, config, [layer] * n("num_hidden_layers"))


def jamba(n: Numbers, config: Config) -> Decoder:
    """Mamba-1 with attention in every eighth layer, experts in every second; `JambaConfig` defaults."""
    inner = n("mamba_expand", 2) * n("hidden_size")
    rank = n.config.get("mamba_dt_rank")
    mamba = Attention(
        kind="mamba1",
        value_dim=inner,
        state_size=n("mamba_d_state", 16),
        conv_kernel=n("mamba_d_conv", 4),
        conv_bias=n.flag("mamba_conv_bias", True),
        step_rank=rank if isinstance(rank, int) else -(-n("hidden_size") // 16),
    )
    every, at = n("attn_layer_period", 8), n("attn_layer_offset", 4)
    sparse, first = n("expert_layer_period", 2), n("expert_layer_offset", 1)
    if not every or not sparse:
        raise ModelFileError(f"{n.name}: config.json has a layer period of 0")
    dense = Mlp(inner=n("intermediate_size"))
    routed = experts_of(n) if n("num_experts", 16) > 1 else dense
    layers = [
        Layer(gqa(n) if i % every == at else mamba, routed if i % sparse == first else dense)
        for i in range(n("num_hidden_layers"))
    ]
    return decoder(n, config, layers, rope=False)


def lfm2(n: Numbers, config: Config) -> Decoder:
    """Short gated convolutions and a few attention layers; the MoE has its first layers dense."""
    count, dim = n("num_hidden_layers"), n("hidden_size")
    full = n.config.get("full_attn_idxs")
    kinds = n.listed("layer_types", count)
    if kinds is None and not isinstance(full, list):
        raise ModelFileError(f"{n.name}: config.json does not say which layers attend (layer_types)")
    attends = [k == "full_attention" for k in kinds] if kinds else [i in (full or ()) for i in range(count)]
    conv = Attention(kind="conv", value_dim=dim, conv_kernel=n("conv_L_cache", 3), conv_bias=n.flag("conv_bias"))
    attend = gqa(n, norm_dim=gqa(n).head_dim)
    dense = Mlp(inner=_lfm2_inner(n))
    moe, first = dense, count
    if n("num_experts", 0):
        moe, first = experts_of(n, router_bias=n.flag("use_expert_bias", True)), n("num_dense_layers", 2)
    layers = [Layer(attend if a else conv, dense if i < first else moe) for i, a in enumerate(attends)]
    return decoder(n, config, layers, tied=bool(n.config.get("tie_embedding", True)))


def _lfm2_inner(n: Numbers) -> int:
    """Two thirds of the written size, in whole blocks, unless the config says that it is final."""
    inner = n("block_ff_dim", 0) or n("intermediate_size")
    if n("num_experts", 0) or not n.flag("block_auto_adjust_ff_dim", True):
        return inner
    factor = n.config.get("block_ffn_dim_multiplier", 1.0)
    inner = int((factor if isinstance(factor, int | float) else 1.0) * (2 * inner // 3))
    whole = n("block_multiple_of", 256) or 1
    return -(-inner // whole) * whole
