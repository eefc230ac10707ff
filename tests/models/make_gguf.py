"""Write small GGUF files byte by byte, so that a test says exactly what is in them."""

from __future__ import annotations

import struct
from pathlib import Path

U32, F32, STRING, ARRAY, BOOL = 4, 6, 8, 9, 7


def text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def pair(key: str, value: object) -> bytes:
    if isinstance(value, bool):
        return text(key) + struct.pack("<I?", BOOL, value)
    if isinstance(value, int):
        return text(key) + struct.pack("<II", U32, value)
    if isinstance(value, float):
        return text(key) + struct.pack("<If", F32, value)
    if isinstance(value, str):
        return text(key) + struct.pack("<I", STRING) + text(value)
    assert isinstance(value, list)
    if value and isinstance(value[0], str):
        return text(key) + struct.pack("<IIQ", ARRAY, STRING, len(value)) + b"".join(map(text, value))
    return text(key) + struct.pack("<IIQ", ARRAY, U32, len(value)) + b"".join(struct.pack("<I", v) for v in value)


def header(
    metadata: dict[str, object], tensors: list[tuple[str, tuple[int, ...], int, int]], version: int = 3
) -> bytes:
    """``tensors``: (name, shape, GGML type number, offset)."""
    out = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(metadata))
    out += b"".join(pair(k, v) for k, v in metadata.items())
    for name, shape, kind, offset in tensors:
        out += text(name) + struct.pack("<I", len(shape)) + b"".join(struct.pack("<Q", d) for d in shape)
        out += struct.pack("<IQ", kind, offset)
    return out + b"\0" * (-len(out) % 32)


# One layer, hidden 64, vocabulary 100: F16 embedding = 64*100*2 = 12,800 B; Q4_0 matrices in blocks of 32 = 18 B.
TINY_META: dict[str, object] = {
    "general.architecture": "llama",
    "general.name": "tiny",
    "general.file_type": 2,
    "llama.block_count": 1,
    "llama.context_length": 2048,
    "llama.embedding_length": 64,
    "llama.feed_forward_length": 128,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
}
TINY_TENSORS = [
    ("token_embd.weight", (64, 100), 1, 0),  # F16: 12,800 B
    ("output_norm.weight", (64,), 0, 12_800),  # F32: 256 B
    ("blk.0.attn_q.weight", (64, 64), 2, 13_056),  # Q4_0: 64 rows x 2 blocks x 18 B = 2,304 B
]
TINY_DATA = 12_800 + 256 + 2_304


def write_tiny(path: Path, missing: int = 0, metadata: dict[str, object] | None = None) -> Path:
    """A complete tiny model; ``missing`` bytes are cut off its end."""
    head = header({**TINY_META, **(metadata or {})}, TINY_TENSORS)
    path.write_bytes(head + b"\0" * (TINY_DATA - missing))
    return path
