"""Write small safetensors checkpoints byte by byte, so that a test says exactly what is in them."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from math import prod
from pathlib import Path

BITS = {"F4": 4, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F16": 16, "BF16": 16, "F32": 32, "I32": 32, "I64": 64}
Row = tuple[str, str, tuple[int, ...]]
"""Name, type, shape."""


def header(rows: Iterable[Row], metadata: dict[str, str] | None = None) -> tuple[bytes, int]:
    """Length and JSON of a header, and the bytes of data it describes."""
    table: dict[str, object] = {"__metadata__": metadata} if metadata else {}
    at = 0
    for name, dtype, shape in rows:
        end = at + prod(shape) * BITS[dtype] // 8
        table[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, end]}
        at = end
    return framed(json.dumps(table).encode()), at


def framed(raw: bytes) -> bytes:
    """A header with its length before it."""
    return struct.pack("<Q", len(raw)) + raw


def write(path: Path, rows: Iterable[Row], metadata: dict[str, str] | None = None) -> Path:
    """A complete file whose data is a hole: it takes no disk."""
    head, data = header(rows, metadata)
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + data)
    return path


def write_index(folder: Path, shards: dict[str, list[Row]]) -> None:
    """The index of shards, as `save_pretrained` writes it."""
    weights = {row[0]: file for file, rows in shards.items() for row in rows}
    total = sum(prod(shape) * BITS[dtype] // 8 for rows in shards.values() for _, dtype, shape in rows)
    text = json.dumps({"metadata": {"total_size": total}, "weight_map": weights})
    (folder / "model.safetensors.index.json").write_text(text)


def llama(
    layers: int, hidden: int, inner: int, heads: int, kv_heads: int, dim: int, vocab: int, *, tied: bool = False
) -> list[Row]:
    """The tensors of `LlamaForCausalLM` in bf16, as its published index files list them."""
    rows: list[Row] = [("model.embed_tokens.weight", "BF16", (vocab, hidden))]
    for i in range(layers):
        at = f"model.layers.{i}"
        rows += [
            (f"{at}.self_attn.q_proj.weight", "BF16", (heads * dim, hidden)),
            (f"{at}.self_attn.k_proj.weight", "BF16", (kv_heads * dim, hidden)),
            (f"{at}.self_attn.v_proj.weight", "BF16", (kv_heads * dim, hidden)),
            (f"{at}.self_attn.o_proj.weight", "BF16", (hidden, heads * dim)),
            (f"{at}.mlp.gate_proj.weight", "BF16", (inner, hidden)),
            (f"{at}.mlp.up_proj.weight", "BF16", (inner, hidden)),
            (f"{at}.mlp.down_proj.weight", "BF16", (hidden, inner)),
            (f"{at}.input_layernorm.weight", "BF16", (hidden,)),
            (f"{at}.post_attention_layernorm.weight", "BF16", (hidden,)),
        ]
    rows.append(("model.norm.weight", "BF16", (hidden,)))
    return rows if tied else [*rows, ("lm_head.weight", "BF16", (vocab, hidden))]


LLAMA_8B = llama(32, 4096, 14336, 32, 8, 128, 128_256)
LLAMA_8B_CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "max_position_embeddings": 131072,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "vocab_size": 128256,
}

# Two layers, hidden 64, 4 heads of 16, 2 KV heads, inner 128, vocabulary 100.
TINY = llama(2, 64, 128, 4, 2, 16, 100)
TINY_CONFIG = {
    **LLAMA_8B_CONFIG,
    "hidden_size": 64,
    "intermediate_size": 128,
    "max_position_embeddings": 2048,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "vocab_size": 100,
}
# Embedding and head 2 x 6,400; a layer: q, o 2 x 4,096 + k, v 2 x 2,048 + 3 x 8,192 + 2 x 64 = 36,992; final norm 64.
TINY_PARAMS = 2 * 6_400 + 2 * 36_992 + 64


def shard(rows: list[Row], count: int) -> dict[str, list[Row]]:
    """Rows dealt to ``count`` shards in order, named as `save_pretrained` names them."""
    size = -(-len(rows) // count)
    return {f"model-{n + 1:05d}-of-{count:05d}.safetensors": rows[n * size : (n + 1) * size] for n in range(count)}


def write_folder(
    folder: Path, config: dict[str, object], rows: list[Row], shards: int = 1, *, index: bool = True
) -> Path:
    """A whole checkpoint folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    if shards == 1:
        write(folder / "model.safetensors", rows, {"format": "pt"})
        return folder
    dealt = shard(rows, shards)
    for file, part in dealt.items():
        write(folder / file, part, {"format": "pt"})
    if index:
        write_index(folder, dealt)
    return folder
