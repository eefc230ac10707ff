"""Whatever is in a header: what the reference implementation refuses is refused, in bounded time, without a crash."""

from __future__ import annotations

import json
import struct
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.make_safetensors import TINY, Row, framed, header, shard
from toolkit.errors import ModelFileError
from toolkit.models import safetensors

reference = pytest.importorskip("safetensors")

SMALL: list[Row] = [("a.weight", "BF16", (3, 4)), ("b", "F32", ()), ("c.scales", "U8", (2, 2)), ("d", "F8_E4M3", (0,))]
HEAD, DATA = header(SMALL, {"format": "pt"})
WHOLE = HEAD + b"\0" * DATA


def ours(raw: bytes) -> list[tuple[str, list[int], str]] | None:
    """What we read; None when we refuse."""
    started = time.monotonic()
    try:
        length = safetensors.header_length(raw[:8], "x", len(raw))
        found = safetensors.parse_header(raw[8 : 8 + length], "x", len(raw))
    except ModelFileError:
        return None
    finally:
        assert time.monotonic() - started < 2
    return sorted((t.name, list(t.shape), t.dtype) for t in found)


def theirs(raw: bytes) -> list[tuple[str, list[int], str]] | None:
    """What the reference implementation reads; None when it refuses."""
    try:
        found = reference.deserialize(raw)
    except reference.SafetensorError:
        return None
    return sorted((name, list(t["shape"]), t["dtype"]) for name, t in found)


def test_the_reference_reads_what_the_tests_write() -> None:
    assert ours(WHOLE) == theirs(WHOLE)
    assert ours(WHOLE) is not None


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_damaged_bytes(data: st.DataObject) -> None:
    """Flips, cuts and repeats anywhere."""
    raw = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    for candidate in (bytes(raw), bytes(raw[:cut]), bytes(raw[:cut] + raw)):
        found = ours(candidate)
        assert found is None or found == theirs(candidate)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
NUMBER = st.integers(-2, 20) | st.sampled_from([2**31, 2**32, 2**61, 2**63, 2**64 - 1, 2**64, 10**30]) | JSON
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from([*safetensors.BITS, "Q4_K", "f32", ""]) | JSON,
        "shape": st.lists(NUMBER, max_size=4) | JSON,
        "data_offsets": st.lists(NUMBER, min_size=2, max_size=2) | JSON,
        "more": JSON,
    },
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "b", "c", "__metadata__"]), FIELDS | JSON, max_size=3), st.integers(0, 64))
def test_headers_of_the_right_form_with_any_values(table: dict[str, object], size: int) -> None:
    raw = framed(json.dumps(table).encode()) + b"\0" * size
    found = ours(raw)
    assert found is None or found == theirs(raw)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([*safetensors.BITS]), st.lists(st.integers(0, 5), max_size=3)), max_size=6))
def test_every_sound_file_is_read_as_the_reference_reads_it(kinds: list[tuple[str, list[int]]]) -> None:
    """Types that the installed reference does not know are not compared."""
    table, at = {}, 0
    for n, (dtype, shape) in enumerate(kinds):
        bits = safetensors.BITS[dtype]
        for side in shape:
            bits *= side
        if bits % 8:
            continue
        table[f"t{n}"] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + bits // 8]}
        at += bits // 8
    raw = framed(json.dumps(table).encode()) + b"\0" * at
    expected = theirs(raw)
    assert expected is None or ours(raw) == expected


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 2**64 - 1))
def test_noise(noise: bytes, length: int) -> None:
    for raw in (noise, struct.pack("<Q", length) + noise, framed(noise)):
        found = ours(raw)
        assert found is None or found == theirs(raw)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_indexes(data: st.DataObject) -> None:
    """An index is shards with their tensors, or refused; never a path that leaves the folder."""
    weights = {row[0]: file for file, rows in shard(TINY, 3).items() for row in rows}
    raw = bytearray(json.dumps({"metadata": {}, "weight_map": weights}).encode())
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        listed = safetensors.parse_index(bytes(raw), "x")
    except ModelFileError:
        return
    assert listed
    assert not any("/" in file or "\\" in file for file in listed)
