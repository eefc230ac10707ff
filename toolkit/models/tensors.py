"""Which weight tensors an architecture has: name, shape, role. Never a parameter-count formula.

Names and shapes are those of the Hugging Face checkpoints (transformers `modeling_*.py`). Experts of one layer are
listed stacked, ``(experts, out, in)``; a checkpoint stores them one by one with the same total.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

from toolkit.types import Role


class TensorShape(NamedTuple):
    """One tensor of a checkpoint."""

    name: str
    shape: tuple[int, ...]
    role: Role
    layer: int | None = None

    @property
    def elements(self) -> int:
        """Number of weights."""
        return prod(self.shape)


@dataclass(frozen=True)
class Family:
    """How an architecture differs from Llama's decoder layer."""

    qkv_bias: bool = False
    o_bias: bool = False
    qk_norm: bool = False
    norms: int = 2
    """Layer norms per layer (Gemma 2 and 3: four)."""
    moe: str | None = None
    """Naming of its experts; None for a dense model."""
    sinks: bool = False


FAMILIES: dict[str, Family] = {
    "LlamaForCausalLM": Family(),
    "MistralForCausalLM": Family(),
    "MiMoForCausalLM": Family(qkv_bias=True),
    "GraniteForCausalLM": Family(),
    "Phi3ForCausalLM": Family(),
    "Qwen2ForCausalLM": Family(qkv_bias=True),
    "Qwen3ForCausalLM": Family(qk_norm=True),
    "Gemma2ForCausalLM": Family(norms=4),
    "Gemma3ForCausalLM": Family(norms=4, qk_norm=True),
    "MixtralForCausalLM": Family(moe="block_sparse_moe"),
    "Qwen3MoeForCausalLM": Family(qk_norm=True, moe="mlp"),
    "GptOssForCausalLM": Family(qkv_bias=True, o_bias=True, moe="gpt_oss", sinks=True),
}
"""`architectures[0]` → family."""


@dataclass(frozen=True)
class Dims:
    """Sizes every decoder shares, read once from a config."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    tied: bool
    experts: int
    experts_per_token: int
    moe_intermediate: int


def decoder(config: dict[str, Any], dims: Dims, family: Family) -> Iterator[TensorShape]:
    """All tensors of a decoder-only model, in checkpoint order."""
    yield TensorShape("model.embed_tokens.weight", (dims.vocab, dims.hidden), "embedding")
    for i in range(dims.layers):
        yield from _attention(dims, family, i, bool(config.get("attention_bias")))
        yield from _mlp(config, dims, family, i)
        for n in range(family.norms):
            yield TensorShape(f"model.layers.{i}.norm{n}.weight", (dims.hidden,), "norm", i)
    yield TensorShape("model.norm.weight", (dims.hidden,), "norm")
    if not dims.tied:
        yield TensorShape("lm_head.weight", (dims.vocab, dims.hidden), "head")


def _attention(dims: Dims, family: Family, i: int, config_bias: bool) -> Iterator[TensorShape]:
    prefix, h = f"model.layers.{i}.self_attn", dims.hidden
    q, kv = dims.heads * dims.head_dim, dims.kv_heads * dims.head_dim
    outs = {"q_proj": q, "k_proj": kv, "v_proj": kv}
    for name, out in outs.items():
        yield TensorShape(f"{prefix}.{name}.weight", (out, h), "attention", i)
        if family.qkv_bias or config_bias:
            yield TensorShape(f"{prefix}.{name}.bias", (out,), "attention", i)
    yield TensorShape(f"{prefix}.o_proj.weight", (h, q), "attention", i)
    if family.o_bias or (config_bias and not family.qkv_bias):
        yield TensorShape(f"{prefix}.o_proj.bias", (h,), "attention", i)
    if family.qk_norm:
        yield TensorShape(f"{prefix}.q_norm.weight", (dims.head_dim,), "norm", i)
        yield TensorShape(f"{prefix}.k_norm.weight", (dims.head_dim,), "norm", i)
    if family.sinks:
        yield TensorShape(f"{prefix}.sinks", (dims.heads,), "attention", i)


def _mlp(config: dict[str, Any], dims: Dims, family: Family, i: int) -> Iterator[TensorShape]:
    prefix = f"model.layers.{i}.mlp"
    if family.moe is None or i in (config.get("mlp_only_layers") or ()):
        yield from _gated(prefix, dims.hidden, dims.intermediate, i)
        return
    if family.moe == "gpt_oss":
        yield from _gpt_oss_experts(prefix, dims, i)
        return
    prefix = f"model.layers.{i}.{family.moe}"
    yield TensorShape(f"{prefix}.gate.weight", (dims.experts, dims.hidden), "router", i)
    for name, (out, into) in {
        "gate_proj": (dims.moe_intermediate, dims.hidden),
        "up_proj": (dims.moe_intermediate, dims.hidden),
        "down_proj": (dims.hidden, dims.moe_intermediate),
    }.items():
        yield TensorShape(f"{prefix}.experts.{name}.weight", (dims.experts, out, into), "experts", i)


def _gated(prefix: str, hidden: int, inner: int, i: int) -> Iterator[TensorShape]:
    yield TensorShape(f"{prefix}.gate_proj.weight", (inner, hidden), "mlp", i)
    yield TensorShape(f"{prefix}.up_proj.weight", (inner, hidden), "mlp", i)
    yield TensorShape(f"{prefix}.down_proj.weight", (hidden, inner), "mlp", i)


def _gpt_oss_experts(prefix: str, dims: Dims, i: int) -> Iterator[TensorShape]:
    n, h, inner = dims.experts, dims.hidden, dims.moe_intermediate
    yield TensorShape(f"{prefix}.router.weight", (n, h), "router", i)
    yield TensorShape(f"{prefix}.router.bias", (n,), "router", i)
    yield TensorShape(f"{prefix}.experts.gate_up_proj", (n, 2 * inner, h), "experts", i)
    yield TensorShape(f"{prefix}.experts.gate_up_proj_bias", (n, 2 * inner), "experts", i)
    yield TensorShape(f"{prefix}.experts.down_proj", (n, h, inner), "experts", i)
    yield TensorShape(f"{prefix}.experts.down_proj_bias", (n, h), "experts", i)
