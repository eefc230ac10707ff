"""GGUF headers are read exactly and never trusted."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.make_gguf import TINY_META, TINY_TENSORS, header, text, write_tiny
from toolkit.errors import DeclinedError, ModelFileError
from toolkit.models import ggml, gguf, gguf_spec


def test_every_block_size_equals_the_gguf_packages() -> None:
    """The `gguf` package is llama.cpp's own; every type we know must agree with it."""
    constants = pytest.importorskip("gguf.constants")
    for number, (name, size, width) in ggml.TYPES.items():
        try:
            kind = constants.GGMLQuantizationType(number)
        except ValueError:
            continue  # a type newer than the installed gguf package
        assert (kind.name, constants.GGML_QUANT_SIZES[kind]) == (name, (size, width))


def test_file_type_names_equal_the_gguf_packages() -> None:
    constants = pytest.importorskip("gguf.constants")
    for number, name in ggml.FILE_TYPES.items():
        try:
            theirs = constants.LlamaFileType(number).name
        except ValueError:
            continue
        assert theirs.removeprefix("MOSTLY_").removeprefix("ALL_") == name


def test_tiny_model(tmp_path: Path) -> None:
    spec = gguf_spec.read(write_tiny(tmp_path / "tiny.gguf"))
    assert (spec.name, spec.architecture, spec.quant) == ("tiny", "llama", "Q4_0")
    assert (spec.layers, spec.hidden, spec.heads, spec.vocab, spec.max_context) == (1, 64, 4, 100, 2048)
    assert spec.weights_bytes == 12_800 + 256 + 2_304
    assert spec.params == 64 * 100 + 64 + 64 * 64
    assert spec.tied_embeddings
    assert [(a.kv_heads, a.head_dim_k) for a in spec.attention] == [(2, 16)]  # 64 hidden / 4 heads


def test_long_arrays_are_walked_and_not_kept(tmp_path: Path) -> None:
    words = [f"token{i}" for i in range(5000)]
    head = header({**TINY_META, "tokenizer.ggml.tokens": words}, TINY_TENSORS)
    found = gguf.parse_header(head, "x", len(head) + 20_000)
    assert found.metadata["tokenizer.ggml.tokens"] == gguf.ArrayNote(8, 5000)
    assert found.metadata["llama.block_count"] == 1
    assert len(found.tensors) == 3


def test_explicit_key_length_wins_over_hidden_by_heads(tmp_path: Path) -> None:
    """A trap of other calculators: Qwen3 and Gemma have head sizes that are not hidden / heads."""
    path = write_tiny(
        tmp_path / "a.gguf", metadata={"llama.attention.key_length": 128, "llama.attention.value_length": 64}
    )
    (layer,) = gguf_spec.read(path).attention
    assert (layer.head_dim_k, layer.head_dim_v) == (128, 64)


def test_truncated_file_names_both_sizes(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "t.gguf", missing=1)
    size = path.stat().st_size
    with pytest.raises(ModelFileError, match=f"truncated: {size:,} of {size + 1:,}"):
        gguf.read_header(path)


def test_not_a_gguf(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(b"PK\x03\x04 something else")
    with pytest.raises(ModelFileError, match="no GGUF file"):
        gguf.read_header(path)


@pytest.mark.parametrize("content", [b"", b"GG", b"GGUF", b"GGUF\x03\0\0\0"])
def test_every_short_file_is_an_error_not_a_crash(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelFileError):
        gguf.read_header(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no such file"):
        gguf.read_header(tmp_path / "nothing.gguf")
    with pytest.raises(ModelFileError, match="is a folder"):
        gguf.read_header(tmp_path)


def test_overlapping_tensors_are_corrupt(tmp_path: Path) -> None:
    tensors = [TINY_TENSORS[0], ("output_norm.weight", (64,), 0, 12_000)]
    head = header(TINY_META, tensors)
    with pytest.raises(ModelFileError, match="overlaps"):
        gguf.parse_header(head, "x", 10**6)


def test_huge_counts_are_refused_at_once() -> None:
    for counts in [(2**63, 1), (1, 2**63), (10**7, 1)]:
        data = b"GGUF" + struct.pack("<IQQ", 3, *counts) + b"\0" * 64
        with pytest.raises(ModelFileError):
            gguf.parse_header(data, "x", len(data))


def test_endless_string_is_refused() -> None:
    data = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 2**62) + b"abc"
    with pytest.raises(ModelFileError, match="claims"):
        gguf.parse_header(data, "x", len(data))


def test_nested_arrays_are_refused() -> None:
    data = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("deep") + struct.pack("<I", 9)
    data += struct.pack("<IQ", 9, 1) * 1000
    with pytest.raises(ModelFileError, match="array of type 9"):
        gguf.parse_header(data, "x", len(data))


def test_split_file_with_a_part_missing(tmp_path: Path) -> None:
    first = write_tiny(tmp_path / "m-00001-of-00002.gguf")
    with pytest.raises(ModelFileError, match="1 of 2 parts"):
        gguf_spec.read(first)
    write_tiny(tmp_path / "m-00002-of-00002.gguf")
    assert gguf_spec.read(first).weights_bytes == 2 * (12_800 + 256 + 2_304)


def test_recurrent_models_are_declined_not_guessed(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "m.gguf", metadata={"general.architecture": "mamba"})
    with pytest.raises(DeclinedError, match="state-space"):
        gguf_spec.read(path)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_damage_is_an_error_or_the_truth(data: st.DataObject) -> None:
    """Flip bytes anywhere, cut anywhere: a ModelFileError or a parsed header, in bounded time, nothing else."""
    raw = bytearray(header(TINY_META, TINY_TENSORS))
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    started = time.monotonic()
    try:
        found = gguf.parse_header(bytes(raw[:cut]), "x", 10**9)
        gguf_spec.spec_from_headers([found], Path("x"))
    except (ModelFileError, DeclinedError):
        pass
    assert time.monotonic() - started < 2


def test_hybrid_layers_keep_a_state_and_no_cache(tmp_path: Path) -> None:
    meta = {
        **TINY_META,
        "llama.ssm.inner_size": 128,
        "llama.ssm.state_size": 16,
        "llama.ssm.conv_kernel": 4,
        "llama.ssm.group_count": 1,
    }
    tensors = [("token_embd.weight", (64, 100), 1, 0), ("blk.0.ssm_in.weight", (64, 64), 2, 12_800)]
    spec = gguf_spec.spec_from_headers([gguf.parse_header(header(meta, tensors), "x", 10**6)], Path("x"))
    assert [a.kind for a in spec.attention] == ["none"]
    # three columns of the convolution over inner + 2 x groups x state, and state x inner
    assert [(s.conv_elements, s.state_elements) for s in spec.recurrent] == [(3 * (128 + 2 * 16), 16 * 128)]
