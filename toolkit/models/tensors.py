"""Which weight tensors a decoder has: name, shape, role. Never a parameter-count formula.

Shapes are those of the Hugging Face checkpoints (transformers `modeling_*.py`). Experts of one layer are listed
stacked, ``(experts, out, in)``; a checkpoint may store them one by one with the same total.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import NamedTuple

from toolkit.models.layers import Attention, Decoder, Layer, Mlp
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


def of(model: Decoder) -> Iterator[TensorShape]:
    """All tensors of a model, in checkpoint order."""
    yield TensorShape("model.embed_tokens.weight", (model.vocab, model.hidden), "embedding")
    for i, layer in enumerate(model.layers):
        yield from _layer(layer, model.hidden, i)
    yield TensorShape("model.norm.weight", (model.hidden,), "norm")
    if not model.tied:
        yield TensorShape("lm_head.weight", (model.vocab, model.hidden), "head")
    yield from _mtp(model)
    for name, shape in model.vision.tensors:
        yield TensorShape(name, shape, "vision")


def _layer(layer: Layer, hidden: int, i: int) -> Iterator[TensorShape]:
    prefix = f"model.layers.{i}"
    mixers = {"gqa": _gqa, "mla": _mla, "delta": _delta, "mamba": _mamba, "mamba1": _mamba1, "conv": _conv}
    for mixer in (layer.attention, layer.beside):
        if mixer is not None and mixer.kind in mixers:
            yield from mixers[mixer.kind](mixer, hidden, prefix, i)
    for mlp in (layer.mlp, layer.dense):
        if mlp is not None:
            yield from _mlp(mlp, hidden, prefix, i)
    for n in range(layer.norms):
        yield TensorShape(f"{prefix}.norm{n}.weight", (hidden,), "norm", i)


def _gqa(a: Attention, hidden: int, prefix: str, i: int) -> Iterator[TensorShape]:
    q, k = a.heads * a.head_dim, a.kv_heads * a.head_dim
    v = 0 if a.shared_kv else a.kv_heads * a.v_head_dim
    outs = {"q_proj": q * (2 if a.gated else 1), "k_proj": k, "v_proj": v}
    for name, out in outs.items():
        if out:
            yield TensorShape(f"{prefix}.self_attn.{name}.weight", (out, hidden), "attention", i)
            if a.qkv_bias:
                yield TensorShape(f"{prefix}.self_attn.{name}.bias", (out,), "attention", i)
    yield TensorShape(f"{prefix}.self_attn.o_proj.weight", (hidden, a.heads * a.v_head_dim), "attention", i)
    if a.o_bias:
        yield TensorShape(f"{prefix}.self_attn.o_proj.bias", (hidden,), "attention", i)
    if a.norm_dim:
        yield TensorShape(f"{prefix}.self_attn.q_norm.weight", (a.norm_dim,), "norm", i)
        yield TensorShape(f"{prefix}.self_attn.k_norm.weight", (a.k_norm_dim or a.norm_dim,), "norm", i)
    if a.index_heads:
        yield TensorShape(
            f"{prefix}.self_attn.index_q_proj.weight", (a.index_heads * a.index_dim, hidden), "attention", i
        )
        yield TensorShape(f"{prefix}.self_attn.index_k_proj.weight", (a.index_dim, hidden), "attention", i)
        yield TensorShape(f"{prefix}.self_attn.index_q_norm.weight", (a.index_dim,), "norm", i)
        yield TensorShape(f"{prefix}.self_attn.index_k_norm.weight", (a.index_dim,), "norm", i)
    if a.sinks:
        yield TensorShape(f"{prefix}.self_attn.sinks", (a.heads,), "attention", i)


def _mla(a: Attention, hidden: int, prefix: str, i: int) -> Iterator[TensorShape]:
    at, qk = f"{prefix}.self_attn", a.nope_dim + a.rope_dim
    if a.q_lora:
        yield TensorShape(f"{at}.q_a_proj.weight", (a.q_lora, hidden), "latent", i)
        yield TensorShape(f"{at}.q_a_layernorm.weight", (a.q_lora,), "norm", i)
        yield TensorShape(f"{at}.q_b_proj.weight", (a.heads * qk, a.q_lora), "attention", i)
    else:
        yield TensorShape(f"{at}.q_proj.weight", (a.heads * qk, hidden), "attention", i)
    yield TensorShape(f"{at}.kv_a_proj_with_mqa.weight", (a.kv_lora + a.rope_dim, hidden), "latent", i)
    yield TensorShape(f"{at}.kv_a_layernorm.weight", (a.kv_lora,), "norm", i)
    yield TensorShape(f"{at}.kv_b_proj.weight", (a.heads * (a.nope_dim + a.v_head_dim), a.kv_lora), "attention", i)
    yield TensorShape(f"{at}.o_proj.weight", (hidden, a.heads * a.v_head_dim), "attention", i)
    if a.index_heads:
        yield TensorShape(f"{at}.indexer.wq_b.weight", (a.index_heads * a.index_dim, a.q_lora), "latent", i)
        yield TensorShape(f"{at}.indexer.wk.weight", (a.index_dim, hidden), "latent", i)
        yield TensorShape(f"{at}.indexer.k_norm.weight", (a.index_dim,), "norm", i)
        yield TensorShape(f"{at}.indexer.k_norm.bias", (a.index_dim,), "norm", i)
        yield TensorShape(f"{at}.indexer.weights_proj.weight", (a.index_heads, hidden), "router", i)


def _delta(a: Attention, hidden: int, prefix: str, i: int) -> Iterator[TensorShape]:
    at = f"{prefix}.linear_attn"
    conv = 2 * a.key_dim + a.value_dim
    yield TensorShape(f"{at}.in_proj_qkvz.weight", (2 * a.key_dim + 2 * a.value_dim, hidden), "recurrent", i)
    yield TensorShape(f"{at}.in_proj_ba.weight", (2 * a.state_heads, hidden), "recurrent", i)
    yield TensorShape(f"{at}.conv1d.weight", (conv, 1, a.conv_kernel), "recurrent", i)
    yield TensorShape(f"{at}.A_log", (a.state_heads,), "recurrent", i)
    yield TensorShape(f"{at}.dt_bias", (a.state_heads,), "recurrent", i)
    yield TensorShape(f"{at}.norm.weight", (a.value_dim // a.state_heads,), "norm", i)
    yield TensorShape(f"{at}.out_proj.weight", (hidden, a.value_dim), "recurrent", i)


def _mamba(a: Attention, hidden: int, prefix: str, i: int) -> Iterator[TensorShape]:
    at = f"{prefix}.mixer"
    conv = a.value_dim + 2 * a.groups * a.state_size
    projected = conv + a.value_dim + a.state_heads
    yield TensorShape(f"{at}.in_proj.weight", (projected, hidden), "recurrent", i)
    yield from _conv1d(at, conv, a, i)
    for name in ("A_log", "D", "dt_bias"):
        yield TensorShape(f"{at}.{name}", (a.state_heads,), "recurrent", i)
    if a.gate_norm:
        yield TensorShape(f"{at}.norm.weight", (a.value_dim,), "norm", i)
    yield TensorShape(f"{at}.out_proj.weight", (hidden, a.value_dim), "recurrent", i)
    if a.qkv_bias:
        yield TensorShape(f"{at}.in_proj.bias", (projected,), "recurrent", i)
    if a.o_bias:
        yield TensorShape(f"{at}.out_proj.bias", (hidden,), "recurrent", i)


def _mamba1(a: Attention, hidden: int, prefix: str, i: int) -> Iterator[TensorShape]:
    at, inner = f"{prefix}.mamba", a.value_dim
    yield TensorShape(f"{at}.in_proj.weight", (2 * inner, hidden), "recurrent", i)
    yield from _conv1d(at, inner, a, i)
    yield TensorShape(f"{at}.x_proj.weight", (a.step_rank + 2 * a.state_size, inner), "recurrent", i)
    yield TensorShape(f"{at}.dt_proj.weight", (inner, a.step_rank), "recurrent", i)
    yield TensorShape(f"{at}.dt_proj.bias", (inner,), "recurrent", i)
    yield TensorShape(f"{at}.A_log", (inner, a.state_size), "recurrent", i)
    yield TensorShape(f"{at}.D", (inner,), "recurrent", i)
    for name, size in {"dt": a.step_rank, "b": a.state_size, "c": a.state_size}.items():
        yield TensorShape(f"{at}.{name}_layernorm.weight", (size,), "norm", i)
    yield TensorShape(f"{at}.out_proj.weight", (hidden, inner), "recurrent", i)


def _conv(a: Attention, hidden: int, prefix: str, i: int) -> Iterator[TensorShape]:
    at = f"{prefix}.conv"
    yield TensorShape(f"{at}.in_proj.weight", (3 * a.value_dim, hidden), "recurrent", i)
    yield from _conv1d(at, a.value_dim, a, i)
    yield TensorShape(f"{at}.out_proj.weight", (hidden, a.value_dim), "recurrent", i)


def _conv1d(at: str, channels: int, a: Attention, i: int) -> Iterator[TensorShape]:
    yield TensorShape(f"{at}.conv1d.weight", (channels, 1, a.conv_kernel), "recurrent", i)
    if a.conv_bias:
        yield TensorShape(f"{at}.conv1d.bias", (channels,), "recurrent", i)


def _mlp(m: Mlp, hidden: int, prefix: str, i: int) -> Iterator[TensorShape]:
    if m.kind in ("gated", "plain"):
        yield from _dense(f"{prefix}.mlp", hidden, m.inner, 3 if m.kind == "gated" else 2, i)
    elif m.kind == "moe":
        yield from _moe(m, hidden, f"{prefix}.mlp", i)


def _dense(prefix: str, hidden: int, inner: int, matrices: int, i: int) -> Iterator[TensorShape]:
    for name in ("gate_proj", "up_proj")[3 - matrices :]:
        yield TensorShape(f"{prefix}.{name}.weight", (inner, hidden), "mlp", i)
    yield TensorShape(f"{prefix}.down_proj.weight", (hidden, inner), "mlp", i)


def _moe(m: Mlp, hidden: int, prefix: str, i: int) -> Iterator[TensorShape]:
    into = m.latent or hidden
    yield TensorShape(f"{prefix}.gate.weight", (m.experts, hidden), "router", i)
    if m.router_bias:
        yield TensorShape(f"{prefix}.gate.e_score_correction_bias", (m.experts,), "router", i)
    for name in ("gate_proj", "up_proj")[3 - m.matrices :]:
        yield TensorShape(f"{prefix}.experts.{name}.weight", (m.experts, m.inner, into), "experts", i)
    yield TensorShape(f"{prefix}.experts.down_proj.weight", (m.experts, into, m.inner), "experts", i)
    if m.expert_bias:
        yield TensorShape(f"{prefix}.experts.gate_up_proj_bias", (m.experts, 2 * m.inner), "experts", i)
        yield TensorShape(f"{prefix}.experts.down_proj_bias", (m.experts, into), "experts", i)
    if m.latent:
        yield TensorShape(f"{prefix}.fc1_latent_proj.weight", (m.latent, hidden), "mlp", i)
        yield TensorShape(f"{prefix}.fc2_latent_proj.weight", (hidden, m.latent), "mlp", i)
    if m.shared_inner:
        yield from _dense(f"{prefix}.shared_expert", hidden, m.shared_inner, m.matrices, i)
    if m.shared_gate:
        yield TensorShape(f"{prefix}.shared_expert_gate.weight", (1, hidden), "router", i)


def _mtp(model: Decoder) -> Iterator[TensorShape]:
    """Prediction layers: a projection of (embedding, hidden), their norms, the layer itself."""
    h = model.hidden
    for n, layer in enumerate(model.mtp):
        for t in _layer(layer, h, n):
            yield TensorShape(f"mtp.{t.name}", t.shape, "mtp")
        yield TensorShape(f"mtp.layers.{n}.eh_proj.weight", (h, 2 * h), "mtp")
        for name in ("enorm", "hnorm", "norm"):
            yield TensorShape(f"mtp.layers.{n}.{name}.weight", (h,), "mtp")
        if model.mtp_embeddings:
            yield TensorShape(f"mtp.layers.{n}.embed_tokens.weight", (model.vocab, h), "mtp")
            yield TensorShape(f"mtp.layers.{n}.shared_head.head.weight", (model.vocab, h), "mtp")
