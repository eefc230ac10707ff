"""Synthetic GGUF files that llama.cpp itself accepts: complete headers, sparse weights.

A model of any size costs a few kilobytes of disk, so that the engine's planner can be asked about every architecture.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

from tests.models.make_gguf import header

F32, F16, Q8_0 = 0, 1, 8
WIDTH = {F32: (1, 4), F16: (1, 2), Q8_0: (32, 34)}


@dataclass
class Shape:
    """Sizes of a synthetic model; the defaults are small."""

    arch: str
    layers: int = 4
    hidden: int = 1024
    heads: int = 16
    kv_heads: int = 4
    head_dim: int = 64
    inner: int = 2816
    vocab: int = 32000
    context: int = 32768
    experts: int = 0
    active: int = 2
    expert_inner: int = 0
    window: int = 0
    tied: bool = False
    dense: int = 0
    """First layers without experts."""
    latent: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)
    """MLA: ranks of queries and of keys and values, rotary size, other size of a query head, size of a value head."""
    delta_heads: tuple[int, int] = (0, 0)
    """Gated delta nets in three layers of four: heads of keys and of values, of 128 each."""
    extra: dict[str, object] = field(default_factory=dict)


def write(path: Path, s: Shape) -> Path:
    """The file; its data section is a hole."""
    table, offset = [], 0
    for name, shape, kind in tensors(s):
        size, width = WIDTH[kind]
        table.append((name, shape, kind, offset))
        offset += -(-(prod(shape) // size * width) // 32) * 32
    head = header(metadata(s), table)
    path.write_bytes(head)
    os.truncate(path, len(head) + offset)
    return path


def metadata(s: Shape) -> dict[str, object]:
    a = s.arch
    meta: dict[str, object] = {
        "general.architecture": a,
        "general.name": f"synthetic {a}",
        "general.file_type": 7,
        f"{a}.block_count": s.layers,
        f"{a}.context_length": s.context,
        f"{a}.embedding_length": s.hidden,
        f"{a}.feed_forward_length": s.inner,
        f"{a}.attention.head_count": s.heads,
        f"{a}.attention.head_count_kv": s.kv_heads,
        f"{a}.attention.key_length": s.head_dim,
        f"{a}.attention.value_length": s.head_dim,
        f"{a}.attention.layer_norm_rms_epsilon": 1e-6,
        f"{a}.rope.dimension_count": s.head_dim,
        f"{a}.rope.freq_base": 10000.0,
        f"{a}.vocab_size": s.vocab,
        "tokenizer.ggml.model": "no_vocab",
    }
    if s.experts:
        meta |= {f"{a}.expert_count": s.experts, f"{a}.expert_used_count": s.active}
        meta[f"{a}.expert_feed_forward_length"] = s.expert_inner or s.inner
    if any(s.latent):
        queries, rank, rope, nope, value = s.latent
        meta |= {
            f"{a}.attention.q_lora_rank": queries,
            f"{a}.attention.kv_lora_rank": rank,
            f"{a}.attention.key_length": rank + rope,
            f"{a}.attention.value_length": rank,
            f"{a}.attention.key_length_mla": nope + rope,
            f"{a}.attention.value_length_mla": value,
            f"{a}.rope.dimension_count": rope,
        }
    if any(s.delta_heads):
        keys, values = s.delta_heads
        meta |= {
            f"{a}.ssm.conv_kernel": 4,
            f"{a}.ssm.state_size": 128,
            f"{a}.ssm.group_count": keys,
            f"{a}.ssm.time_step_rank": values,
            f"{a}.ssm.inner_size": values * 128,
            f"{a}.full_attention_interval": FULL_EVERY,
            f"{a}.rope.dimension_count": 64,
            f"{a}.rope.dimension_sections": [11, 11, 10, 0],
        }
    if s.dense:
        meta |= {
            f"{a}.leading_dense_block_count": s.dense,
            f"{a}.expert_shared_count": 1,
            f"{a}.expert_weights_scale": 1.0,
            f"{a}.expert_weights_norm": True,
            f"{a}.expert_gating_func": 2,
        }
    if s.window:
        meta[f"{a}.attention.sliding_window"] = s.window
    return meta | {f"{a}.{k}": v for k, v in s.extra.items()}


def tensors(s: Shape) -> list[tuple[str, tuple[int, ...], int]]:
    out: list[tuple[str, tuple[int, ...], int]] = [("token_embd.weight", (s.hidden, s.vocab), Q8_0)]
    out.append(("output_norm.weight", (s.hidden,), F32))
    if not s.tied:
        out.append(("output.weight", (s.hidden, s.vocab), Q8_0))
    for i in range(s.layers):
        layer = LAYERS[s.arch](s) if i >= s.dense else FIRST[s.arch](s)
        if any(s.delta_heads) and (i + 1) % FULL_EVERY:
            layer = _delta(s)
        out += [(f"blk.{i}.{n}", shape, kind) for n, shape, kind in layer]
    return out


Part = tuple[str, tuple[int, ...], int]


def _qkv(s: Shape) -> list[Part]:
    q, kv = s.heads * s.head_dim, s.kv_heads * s.head_dim
    return [
        ("attn_norm.weight", (s.hidden,), F32),
        ("attn_q.weight", (s.hidden, q), Q8_0),
        ("attn_k.weight", (s.hidden, kv), Q8_0),
        ("attn_v.weight", (s.hidden, kv), Q8_0),
        ("attn_output.weight", (q, s.hidden), Q8_0),
    ]


def _gated(s: Shape) -> list[Part]:
    return [
        ("ffn_norm.weight", (s.hidden,), F32),
        ("ffn_gate.weight", (s.hidden, s.inner), Q8_0),
        ("ffn_up.weight", (s.hidden, s.inner), Q8_0),
        ("ffn_down.weight", (s.inner, s.hidden), Q8_0),
    ]


def _one_matrix(s: Shape) -> list[Part]:
    """An MLP whose gate and up are one."""
    return [
        ("ffn_norm.weight", (s.hidden,), F32),
        ("ffn_up.weight", (s.hidden, 2 * s.inner), Q8_0),
        ("ffn_down.weight", (s.inner, s.hidden), Q8_0),
    ]


def _experts(s: Shape) -> list[Part]:
    inner = s.expert_inner or s.inner
    return [
        ("ffn_norm.weight", (s.hidden,), F32),
        ("ffn_gate_inp.weight", (s.hidden, s.experts), F32),
        ("ffn_gate_exps.weight", (s.hidden, inner, s.experts), Q8_0),
        ("ffn_up_exps.weight", (s.hidden, inner, s.experts), Q8_0),
        ("ffn_down_exps.weight", (inner, s.hidden, s.experts), Q8_0),
    ]


def _biases(s: Shape) -> list[Part]:
    q, kv = s.heads * s.head_dim, s.kv_heads * s.head_dim
    return [("attn_q.bias", (q,), F32), ("attn_k.bias", (kv,), F32), ("attn_v.bias", (kv,), F32)]


def _head_norms(s: Shape) -> list[Part]:
    return [("attn_q_norm.weight", (s.head_dim,), F32), ("attn_k_norm.weight", (s.head_dim,), F32)]


def _post_norms(s: Shape) -> list[Part]:
    return [("post_attention_norm.weight", (s.hidden,), F32), ("post_ffw_norm.weight", (s.hidden,), F32)]


def _gpt_oss(s: Shape) -> list[Part]:
    inner = s.expert_inner or s.inner
    return [
        *_qkv(s),
        *_biases(s),
        ("attn_output.bias", (s.hidden,), F32),
        ("attn_sinks.weight", (s.heads,), F32),
        ("post_attention_norm.weight", (s.hidden,), F32),
        *[p for p in _experts(s) if p[0] != "ffn_norm.weight"],
        ("ffn_gate_inp.bias", (s.experts,), F32),
        ("ffn_gate_exps.bias", (inner, s.experts), F32),
        ("ffn_up_exps.bias", (inner, s.experts), F32),
        ("ffn_down_exps.bias", (s.hidden, s.experts), F32),
    ]


def _delta(s: Shape) -> list[Part]:
    keys, values = s.delta_heads
    mixed, inner = 2 * keys * 128 + values * 128, values * 128
    return [
        ("attn_norm.weight", (s.hidden,), F32),
        ("attn_qkv.weight", (s.hidden, mixed), Q8_0),
        ("attn_gate.weight", (s.hidden, inner), Q8_0),
        ("ssm_conv1d.weight", (4, mixed), F32),
        ("ssm_dt.bias", (values,), F32),
        ("ssm_a", (values,), F32),
        ("ssm_beta.weight", (s.hidden, values), Q8_0),
        ("ssm_alpha.weight", (s.hidden, values), Q8_0),
        ("ssm_norm.weight", (128,), F32),
        ("ssm_out.weight", (inner, s.hidden), Q8_0),
        ("post_attention_norm.weight", (s.hidden,), F32),
        *_gated(s)[1:],
    ]


def _gated_attention(s: Shape) -> list[Part]:
    """Queries are twice as wide: half of them gates the answer."""
    wide = ("attn_q.weight", (s.hidden, 2 * s.heads * s.head_dim), Q8_0)
    rest = [p for p in _qkv(s) if p[0] != "attn_q.weight"]
    return [wide, *rest, *_head_norms(s), ("post_attention_norm.weight", (s.hidden,), F32), *_gated(s)[1:]]


def _shared(s: Shape) -> list[Part]:
    inner = s.expert_inner or s.inner
    return [
        ("exp_probs_b.bias", (s.experts,), F32),
        ("ffn_gate_shexp.weight", (s.hidden, inner), Q8_0),
        ("ffn_up_shexp.weight", (s.hidden, inner), Q8_0),
        ("ffn_down_shexp.weight", (inner, s.hidden), Q8_0),
    ]


def _mla(s: Shape) -> list[Part]:
    queries, rank, rope, nope, value = s.latent
    return [
        ("attn_norm.weight", (s.hidden,), F32),
        ("attn_q_a.weight", (s.hidden, queries), Q8_0),
        ("attn_q_a_norm.weight", (queries,), F32),
        ("attn_q_b.weight", (queries, s.heads * (nope + rope)), Q8_0),
        ("attn_kv_a_mqa.weight", (s.hidden, rank + rope), Q8_0),
        ("attn_kv_a_norm.weight", (rank,), F32),
        ("attn_k_b.weight", (nope, rank, s.heads), Q8_0),
        ("attn_v_b.weight", (rank, value, s.heads), Q8_0),
        ("attn_output.weight", (s.heads * value, s.hidden), Q8_0),
    ]


FIRST = {
    "deepseek2": lambda s: [*_mla(s), *_gated(s)],
    "glm4moe": lambda s: [*_qkv(s), ("post_attention_norm.weight", (s.hidden,), F32), *_gated(s)[1:]],
}
"""The layers before the experts begin."""

FULL_EVERY = 4

LAYERS = {
    "qwen35": _gated_attention,
    "deepseek2": lambda s: [*_mla(s), *_experts(s), *_shared(s)],
    "glm4moe": lambda s: [
        *_qkv(s),
        ("post_attention_norm.weight", (s.hidden,), F32),
        *_experts(s)[1:],
        *_shared(s),
    ],
    "llama": lambda s: [*_qkv(s), *(_experts(s) if s.experts else _gated(s))],
    "qwen2": lambda s: [*_qkv(s), *_biases(s), *_gated(s)],
    "qwen3": lambda s: [*_qkv(s), *_head_norms(s), *_gated(s)],
    "qwen3moe": lambda s: [*_qkv(s), *_head_norms(s), *_experts(s)],
    "gemma2": lambda s: [*_qkv(s), *_post_norms(s), *_gated(s)],
    "glm4": lambda s: [*_qkv(s), *_post_norms(s), *_one_matrix(s)],
    "gemma3": lambda s: [*_qkv(s), *_head_norms(s), *_post_norms(s), *_gated(s)],
    "gpt-oss": _gpt_oss,
}
"""Architecture → the tensors of one layer (llama.cpp `src/models/*.cpp`)."""
