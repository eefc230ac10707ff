"""A decoder as a list of layers: what attends, what multiplies, in the sizes both weights and cache follow from.

One vocabulary for every architecture: `architectures` reads a `config.json` into it, `tensors` lists its weights and
`config_spec` its cache.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Attention:
    """The mixing half of a layer.

    ``gqa``: heads with grouped KV. ``mla``: a latent instead of KV heads. ``delta``: gated delta net (linear
    attention). ``mamba``: a Mamba-2 mixer, ``mamba1`` its forerunner. ``conv``: a short gated convolution (LFM2).
    ``none``: the layer has no mixer.
    """

    kind: Literal["gqa", "mla", "delta", "mamba", "mamba1", "conv", "none"] = "gqa"
    heads: int = 0
    kv_heads: int = 0
    head_dim: int = 0
    v_head_dim: int = 0
    window: int | None = None
    chunked: bool = False
    """The window is a chunk that starts anew (Llama 4), not one that slides."""
    qkv_bias: bool = False
    o_bias: bool = False
    norm_dim: int = 0
    """Elements of each of the query and key norms; 0 without them."""
    k_norm_dim: int = 0
    """Elements of the key norm where it differs from the query's."""
    gated: bool = False
    """The query projection is twice as wide: half of it gates the output (Qwen3-Next)."""
    sinks: bool = False
    shared_kv: bool = False
    """Values are the keys: no value projection (Gemma 4 full layers)."""
    q_lora: int = 0
    kv_lora: int = 0
    rope_dim: int = 0
    nope_dim: int = 0
    index_heads: int = 0
    index_dim: int = 0
    """DeepSeek's sparse-attention indexer; it keeps ``index_dim`` elements per token in a cache of its own."""
    key_dim: int = 0
    value_dim: int = 0
    """``delta``: all key heads, all value heads. ``mamba``: ``value_dim`` is the inner size."""
    state_heads: int = 0
    state_size: int = 0
    groups: int = 0
    conv_kernel: int = 0
    conv_bias: bool = True
    gate_norm: bool = True
    """``mamba``: a norm over the inner size before the output projection."""
    step_rank: int = 0
    """``mamba1``: rank of the time-step projection."""
    state_bytes: int = 0
    """Bytes of a state element that the config asks for; 0 = it asks for none."""


@dataclass(frozen=True)
class Mlp:
    """The multiplying half of a layer. ``gated`` has three matrices, ``plain`` two, ``moe`` experts of either."""

    kind: Literal["gated", "plain", "moe", "none"] = "gated"
    inner: int = 0
    experts: int = 0
    active: int = 0
    matrices: int = 3
    """Matrices per expert: gate, up, down; 2 without a gate."""
    shared_inner: int = 0
    shared_gate: bool = False
    router_bias: bool = False
    expert_bias: bool = False
    latent: int = 0
    """Experts work in this size, with projections into and out of it; 0 = the hidden size."""


@dataclass(frozen=True)
class Layer:
    """One decoder layer.

    ``dense`` is a second MLP beside the first (Gemma 4's MoE block), ``beside`` a second mixer (Falcon H1).
    """

    attention: Attention
    mlp: Mlp
    norms: int = 2
    dense: Mlp | None = None
    beside: Attention | None = None


@dataclass(frozen=True)
class Vision:
    """A vision tower and its projector, as (name, shape) pairs: it is a list because no two are alike."""

    tensors: tuple[tuple[str, tuple[int, ...]], ...] = ()


@dataclass(frozen=True)
class Decoder:
    """A whole model. ``mtp`` layers predict further tokens; engines load them only for speculative decoding."""

    hidden: int
    vocab: int
    tied: bool
    layers: tuple[Layer, ...]
    max_context: int
    rope_cache: int = 0
    """Elements of the precomputed rotary tables (cos and sin), which engines count as weights."""
    mtp: tuple[Layer, ...] = ()
    mtp_embeddings: bool = False
    """Each MTP layer has its own embedding and head in the checkpoint (DeepSeek)."""
    vision: Vision = field(default_factory=Vision)
