"""`config.json` → `Decoder`: one reader per family, found by `architectures[0]`.

Sources: transformers `models/*/modeling_*.py` and `configuration_*.py` for tensor shapes and silent defaults. An
architecture that is not here is declined, never guessed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from toolkit.errors import DeclinedError, ModelFileError
from toolkit.models import vision
from toolkit.models.layers import Attention, Decoder, Layer, Mlp, Vision

Config = dict[str, Any]


def read(config: Config, name: str) -> Decoder:
    """The decoder that a config describes.

    Raises:
        DeclinedError: an architecture that is not modelled.
        ModelFileError: a number the architecture needs is missing or makes no sense.
    """
    listed = config.get("architectures")
    architecture = str(listed[0]) if isinstance(listed, list) and listed else str(config.get("model_type") or "?")
    reader = READERS.get(architecture)
    if reader is None:
        raise DeclinedError(
            f"{name}: the tensors of {architecture} are not modelled from config.json",
            "give a GGUF file, or a folder with its safetensors, whose headers list every tensor.",
        )
    text = config.get("text_config") if isinstance(config.get("text_config"), dict) else config
    assert isinstance(text, dict)  # noqa: S101 - narrows the type; isinstance was checked above
    return reader(Numbers(text, name), config)


class Numbers:
    """Checked access to a config's numbers."""

    def __init__(self, config: Config, name: str) -> None:
        self.config, self.name = config, name

    def __call__(self, key: str, default: int | None = None) -> int:
        """A whole number of at least 0 (1 where there is no default).

        Raises:
            ModelFileError: missing, negative, absurd or no whole number.
        """
        value = self.config.get(key)
        if value is None and default is not None:
            return default
        low = 1 if default is None else 0
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value < 2**31:
            raise ModelFileError(f"{self.name}: config.json has {key} = {value!r}, not a positive whole number")
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        """A switch."""
        value = self.config.get(key)
        return default if value is None else bool(value)

    def listed(self, key: str, length: int) -> list[Any] | None:
        """A per-layer list, or None when there is none.

        Raises:
            ModelFileError: a list of another length.
        """
        value = self.config.get(key)
        if not isinstance(value, list):
            return None
        if len(value) < length:
            raise ModelFileError(f"{self.name}: config.json has {len(value)} entries in {key} for {length} layers")
        return value[:length]


def _decoder(n: Numbers, config: Config, layers: list[Layer], *, tied: bool = False, **more: Any) -> Decoder:
    tied = bool(config.get("tie_word_embeddings", n.config.get("tie_word_embeddings", tied)))
    return Decoder(
        hidden=n("hidden_size"),
        vocab=n("vocab_size"),
        tied=tied,
        layers=tuple(layers),
        max_context=n("max_position_embeddings"),
        rope_cache=_rope_cache(n, layers),
        **more,
    )


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


def _gqa(n: Numbers, **changes: Any) -> Attention:
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
    Gemma 3 keeps one full layer in six, Mistral v0.1 and Phi-3 slide everywhere.
    """
    window = n("sliding_window", 0)
    if not window or n.config.get("use_sliding_window") is False:
        return [None] * layers
    kinds = n.listed("layer_types", layers)
    if kinds is not None:
        return [window if k == "sliding_attention" else None for k in kinds]
    period = {"gemma2": 2, "gemma3_text": 6, "gemma3": 6}.get(str(n.config.get("model_type")), 0)
    period = n("sliding_window_pattern", period)
    return [None if period and (i + 1) % period == 0 else window for i in range(layers)]


def _llama(n: Numbers, config: Config, **attention: Any) -> Decoder:
    bias = n.flag("attention_bias")
    base = {"qkv_bias": bias, "o_bias": bias, **attention}
    mlp = Mlp(inner=n("intermediate_size"))
    layers = [Layer(_gqa(n, window=w, **base), mlp) for w in windows(n, n("num_hidden_layers"))]
    return _decoder(n, config, layers)


def _qwen2(n: Numbers, config: Config) -> Decoder:
    return _llama(n, config, qkv_bias=True, o_bias=False)


def _mimo(n: Numbers, config: Config) -> Decoder:
    base = _llama(n, config, qkv_bias=True, o_bias=False)
    return _with_mtp(base, n("num_nextn_predict_layers", 0))


def _qwen3(n: Numbers, config: Config) -> Decoder:
    return _llama(n, config, norm_dim=_gqa(n).head_dim)


def _qwen3_vl(n: Numbers, config: Config) -> Decoder:
    return _seeing(_qwen3(n, config), vision.qwen3_vl(config))


def _mistral3(n: Numbers, config: Config) -> Decoder:
    return _seeing(_llama(n, config), vision.pixtral(config, n("hidden_size")))


def _gemma2(n: Numbers, config: Config) -> Decoder:
    mlp = Mlp(inner=n("intermediate_size"))
    layers = [Layer(_gqa(n, window=w), mlp, norms=4) for w in windows(n, n("num_hidden_layers"))]
    return _decoder(n, config, layers, tied=True)


def _gemma3(n: Numbers, config: Config) -> Decoder:
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
    layers = [Layer(_gqa(n, window=w, norm_dim=dim), mlp, norms=4) for w in windows(n, n("num_hidden_layers"))]
    base = _decoder(n, config, layers, tied=True)
    return _seeing(base, vision.siglip(config, n("hidden_size"))) if "vision_config" in config else base


def _gemma4(n: Numbers, config: Config) -> Decoder:
    """Full layers have wider heads, fewer of them, and values equal to keys; every layer ends in a scalar."""
    count = n("num_hidden_layers")
    dense = Mlp(inner=n("intermediate_size"))
    moe = None
    if n.flag("enable_moe_block"):
        moe = Mlp("moe", n("moe_intermediate_size"), n("num_experts"), n("top_k_experts"))
    layers = []
    for w in windows(n, count):
        wide = n("global_head_dim", 0) or n("head_dim")
        attention = _gqa(n, window=w, norm_dim=n("head_dim"))
        if w is None:
            shared = n.flag("attention_k_eq_v")
            kv = (n("num_global_key_value_heads", 0) if shared else 0) or n("num_key_value_heads")
            attention = _gqa(n, head_dim=wide, v_head_dim=wide, kv_heads=kv, norm_dim=wide, shared_kv=shared)
        layers.append(Layer(attention, moe or dense, norms=7 if moe else 4, dense=dense if moe else None))
    base = _decoder(n, config, layers, tied=True)
    return _seeing(base, vision.gemma4(config, n("hidden_size"))) if config.get("vision_config") else base


def _moe(n: Numbers, **changes: Any) -> Mlp:
    experts = next((n(k) for k in ("num_local_experts", "num_experts", "n_routed_experts") if n.config.get(k)), 0)
    active = next((n(k) for k in ("num_experts_per_tok", "experts_per_token") if n.config.get(k)), 1)
    inner = n("moe_intermediate_size", 0) or n("intermediate_size")
    return Mlp(**{"kind": "moe", "inner": inner, "experts": experts, "active": active, **changes})


def _mixtral(n: Numbers, config: Config) -> Decoder:
    layers = [Layer(_gqa(n, window=w), _moe(n)) for w in windows(n, n("num_hidden_layers"))]
    return _decoder(n, config, layers)


def _qwen3_moe(n: Numbers, config: Config) -> Decoder:
    dense, moe, attention = Mlp(inner=n("intermediate_size")), _moe(n), _gqa(n, norm_dim=_gqa(n).head_dim)
    only = set(n.config.get("mlp_only_layers") or ())
    layers = [Layer(attention, dense if i in only else moe) for i in range(n("num_hidden_layers"))]
    return _decoder(n, config, layers)


def _qwen3_vl_moe(n: Numbers, config: Config) -> Decoder:
    return _seeing(_qwen3_moe(n, config), vision.qwen3_vl(config))


def _gpt_oss(n: Numbers, config: Config) -> Decoder:
    moe = _moe(n, router_bias=True, expert_bias=True)
    return _decoder(
        n,
        config,
        [
            Layer(_gqa(n, window=w, qkv_bias=True, o_bias=True, sinks=True), moe)
            for w in windows(n, n("num_hidden_layers"))
        ],
    )


def _minimax_m2(n: Numbers, config: Config) -> Decoder:
    """Norms run over all heads at once (`qk_norm_type: per_layer`)."""
    a = _gqa(n)
    attention = _gqa(n, norm_dim=a.heads * a.head_dim, k_norm_dim=a.kv_heads * a.head_dim)
    moe = _moe(n, router_bias=n.flag("use_routing_bias"))
    return _decoder(n, config, [Layer(attention, moe)] * n("num_hidden_layers"))


def _llama4(n: Numbers, config: Config) -> Decoder:
    """Three chunked layers, then a full one; MoE in every ``interleave_moe_layer_step``-th layer."""
    count, step = n("num_hidden_layers"), n("interleave_moe_layer_step", 1)
    chunk, dense = n("attention_chunk_size", 8192), Mlp(inner=n("intermediate_size_mlp"))
    moe = _moe(n, shared_inner=n("intermediate_size"))
    layers = []
    for i in range(count):
        full = (i + 1) % 4 == 0
        attention = _gqa(n, window=None if full else chunk, chunked=not full)
        layers.append(Layer(attention, moe if (i + 1) % step == 0 else dense))
    return _seeing(_decoder(n, config, layers), vision.llama4(config, n("hidden_size")))


def _deepseek(n: Numbers, config: Config) -> Decoder:
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
    moe = _moe(n, shared_inner=n("n_shared_experts", 0) * n("moe_intermediate_size"), router_bias=sigmoid)
    dense, first = Mlp(inner=n("intermediate_size")), n("first_k_dense_replace", 0)
    layers = [Layer(attention, dense if i < first else moe) for i in range(n("num_hidden_layers"))]
    mtp = (Layer(attention, moe),) * n("num_nextn_predict_layers", 0)
    return _decoder(n, config, layers, mtp=mtp, mtp_embeddings=bool(mtp))


def _kimi_k25(n: Numbers, config: Config) -> Decoder:
    return _seeing(_deepseek(n, config), vision.moonvit(n("hidden_size")))


def _qwen_hybrid(n: Numbers, config: Config) -> Decoder:
    """Qwen3-Next and Qwen3.5: gated delta nets, every fourth layer gated full attention."""
    count, every = n("num_hidden_layers"), n("full_attention_interval", 4)
    kinds = n.listed("layer_types", count)
    full = [k == "full_attention" for k in kinds] if kinds else [(i + 1) % every == 0 for i in range(count)]
    attend = _gqa(n, gated=True, norm_dim=n("head_dim"))
    delta = Attention(
        kind="delta",
        key_dim=n("linear_num_key_heads") * n("linear_key_head_dim"),
        value_dim=n("linear_num_value_heads") * n("linear_value_head_dim"),
        state_heads=n("linear_num_value_heads"),
        state_size=n("linear_key_head_dim"),
        conv_kernel=n("linear_conv_kernel_dim"),
    )
    if n.config.get("num_experts"):
        mlp = _moe(n, shared_inner=n("shared_expert_intermediate_size"), shared_gate=True)
    else:
        mlp = Mlp(inner=n("intermediate_size"))
    layers = [Layer(attend if f else delta, mlp) for f in full]
    mtp = (Layer(attend, mlp),) * n("mtp_num_hidden_layers", 0)
    base = _decoder(n, config, layers, mtp=mtp)
    return _seeing(base, vision.qwen3_vl(config)) if config.get("vision_config") else base


def _nemotron_h(n: Numbers, config: Config) -> Decoder:
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
    )
    kinds: dict[str, Callable[[], Layer]] = {
        "M": lambda: Layer(mamba, no_mlp, norms=1),
        "*": lambda: Layer(_gqa(n), no_mlp, norms=1),
        "-": lambda: Layer(none, Mlp("plain", n("intermediate_size")), norms=1),
        "E": lambda: Layer(none, _nemotron_experts(n), norms=1),
    }
    if unknown := set(pattern) - set(kinds):
        raise DeclinedError(f"{n.name}: layer kinds {sorted(unknown)} of hybrid_override_pattern are not modelled")
    return _decoder(n, config, [kinds[k]() for k in pattern])


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
    return _moe(
        n,
        matrices=2,
        shared_inner=n("n_shared_experts", 0) * n("moe_shared_expert_intermediate_size", 0),
        router_bias=True,
        latent=n("moe_latent_size", 0),
    )


def _mimo_v2(n: Numbers, config: Config) -> Decoder:
    """Sliding layers have their own head counts; the first layers are dense."""
    count = n("num_hidden_layers")
    slides, sparse = n.listed("hybrid_layer_pattern", count), n.listed("moe_layer_freq", count)
    if slides is None or sparse is None:
        raise ModelFileError(f"{n.name}: config.json lacks hybrid_layer_pattern or moe_layer_freq")
    full = _gqa(n, v_head_dim=n("v_head_dim"))
    sliding = Attention(
        heads=n("swa_num_attention_heads"),
        kv_heads=n("swa_num_key_value_heads"),
        head_dim=n("swa_head_dim"),
        v_head_dim=n("swa_v_head_dim"),
        window=n("sliding_window"),
        sinks=n.flag("add_swa_attention_sink_bias"),
    )
    dense, moe = Mlp(inner=n("intermediate_size")), _moe(n, router_bias=True)
    layers = [Layer(sliding if s else full, moe if m else dense) for s, m in zip(slides, sparse, strict=True)]
    return _decoder(n, config, layers)


def _with_mtp(base: Decoder, count: int) -> Decoder:
    from dataclasses import replace

    return replace(base, mtp=(base.layers[-1],) * count)


def _seeing(base: Decoder, tower: Vision) -> Decoder:
    from dataclasses import replace

    return replace(base, vision=tower)


READERS: dict[str, Callable[[Numbers, Config], Decoder]] = {
    "LlamaForCausalLM": _llama,
    "MistralForCausalLM": _llama,
    "GraniteForCausalLM": _llama,
    "Phi3ForCausalLM": _llama,
    "MiMoForCausalLM": _mimo,
    "Qwen2ForCausalLM": _qwen2,
    "Qwen3ForCausalLM": _qwen3,
    "Qwen3VLForConditionalGeneration": _qwen3_vl,
    "Mistral3ForConditionalGeneration": _mistral3,
    "Gemma2ForCausalLM": _gemma2,
    "Gemma3ForCausalLM": _gemma3,
    "Gemma3ForConditionalGeneration": _gemma3,
    "Gemma4ForConditionalGeneration": _gemma4,
    "MixtralForCausalLM": _mixtral,
    "Qwen3MoeForCausalLM": _qwen3_moe,
    "Qwen3VLMoeForConditionalGeneration": _qwen3_vl_moe,
    "GptOssForCausalLM": _gpt_oss,
    "MiniMaxM2ForCausalLM": _minimax_m2,
    "Llama4ForConditionalGeneration": _llama4,
    "DeepseekV2ForCausalLM": _deepseek,
    "DeepseekV3ForCausalLM": _deepseek,
    "DeepseekV32ForCausalLM": _deepseek,
    "GlmMoeDsaForCausalLM": _deepseek,
    "KimiK25ForConditionalGeneration": _kimi_k25,
    "Qwen3NextForCausalLM": _qwen_hybrid,
    "Qwen3_5ForConditionalGeneration": _qwen_hybrid,
    "Qwen3_5MoeForConditionalGeneration": _qwen_hybrid,
    "NemotronHForCausalLM": _nemotron_h,
    "MiMoV2FlashForCausalLM": _mimo_v2,
}
"""`architectures[0]` → reader."""
