"""GGUF headers: read safely, without the weights.

A GGUF file is a header (magic, counts, key-value metadata, tensor table) and then aligned tensor data. Only the
header is read, by memory map, and nothing in it is trusted: every count, length and offset is checked against
the file before it is used, so a hostile file costs bounded memory and time. Large arrays (the vocabulary) are
walked, not kept.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3).
"""

from __future__ import annotations

import mmap
import re
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolkit.errors import ModelFileError
from toolkit.models import ggml

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MAX_PAIRS = 65_536
MAX_TENSORS = 1_000_000
MAX_DIMS = 4
MAX_KEEP = 1024
"""Longest array kept as values; longer ones become an `ArrayNote`."""
MAX_STRING = 16 * 2**20
MAX_STRINGS = 20_000_000
"""Most strings walked in one header: about ten times the largest vocabulary with its merges."""

SCALARS: dict[int, struct.Struct] = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
STRING, ARRAY = 8, 9
U32, U64 = SCALARS[4], SCALARS[10]
SPLIT_NAME = re.compile(r"^(?P<stem>.+)-(?P<no>\d{5})-of-(?P<of>\d{5})\.gguf$")


@dataclass(frozen=True, slots=True)
class ArrayNote:
    """A metadata array too long to keep: its element type number and length."""

    type: int
    length: int


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """A row of the tensor table; ``offset`` is from the start of the data section."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    offset: int
    bytes: int


@dataclass(frozen=True)
class Header:
    """One file's header. ``file_bytes`` is the file's size as found."""

    path: str
    version: int
    metadata: dict[str, Any]
    tensors: tuple[TensorEntry, ...]
    data_offset: int
    file_bytes: int


@dataclass
class _Cursor:
    """A bounds-checked reader over a buffer."""

    data: mmap.mmap | bytes
    path: str
    at: int = 0
    strings: int = field(default=0)

    def need(self, count: int) -> None:
        if count < 0 or self.at + count > len(self.data):
            raise ModelFileError(
                f"{self.path} is truncated: its header ends at byte {len(self.data):,} "
                f"but byte {self.at + count:,} is needed",
                "download the file again; a complete GGUF starts with a complete header.",
            )

    def scalar(self, kind: struct.Struct) -> Any:
        self.need(kind.size)
        (value,) = kind.unpack_from(self.data, self.at)
        self.at += kind.size
        return value

    def text(self) -> str:
        length = self._string_length()
        value = bytes(self.data[self.at : self.at + length])
        self.at += length
        return value.decode("utf-8", errors="replace")

    def _string_length(self) -> int:
        length: int = self.scalar(U64)
        if length > MAX_STRING:
            raise self.corrupt(f"a string claims {length:,} bytes")
        self.need(length)
        return length

    def skip_strings(self, count: int) -> None:
        self.strings += count
        if self.strings > MAX_STRINGS:
            raise self.corrupt(f"more than {MAX_STRINGS:,} strings")
        self.need(count * U64.size)
        data, at, end, unpack = self.data, self.at, len(self.data), U64.unpack_from
        for _ in range(count):
            if at + 8 > end:
                break
            at += 8 + unpack(data, at)[0]
        else:
            if at <= end:
                self.at = at
                return
        raise ModelFileError(f"{self.path} is truncated inside its vocabulary", "download the file again.")

    def corrupt(self, why: str) -> ModelFileError:
        return ModelFileError(f"{self.path} is corrupt: {why} (near byte {self.at:,})", "download the file again.")


def read_header(path: Path) -> Header:
    """Read one GGUF file's header.

    Raises:
        ModelFileError: no such file, a folder, not GGUF, truncated, corrupt, or an unknown version or type.
    """
    shown = str(path)
    if path.is_dir():
        raise ModelFileError(f"{shown} is a folder, not a GGUF file")
    try:
        with path.open("rb") as file:
            if (size := file.seek(0, 2)) == 0:
                raise ModelFileError(f"{shown} is empty", "download the file again.")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return parse_header(data, shown, size)
    except FileNotFoundError:
        raise ModelFileError(f"no such file: {shown}") from None
    except OSError as error:
        raise ModelFileError(f"cannot read {shown}: {error.strerror or error}") from None


def parse_header(data: mmap.mmap | bytes, path: str, file_bytes: int) -> Header:
    """Parse a header from a buffer that starts at byte 0 of the file (it may end before the weights)."""
    cursor = _Cursor(data, path)
    if bytes(data[:4]) != MAGIC:
        raise ModelFileError(
            f"{path} is no GGUF file: it starts with {bytes(data[:4])!r}, not b'GGUF'",
            "give a .gguf file, a folder with config.json, or a model name (`selfhost models`).",
        )
    cursor.at = 4
    version = cursor.scalar(U32)
    if version not in VERSIONS:
        raise ModelFileError(f"{path} has GGUF version {version}; versions 2 and 3 are understood")
    tensor_count, pair_count = cursor.scalar(U64), cursor.scalar(U64)
    if tensor_count > MAX_TENSORS or pair_count > MAX_PAIRS:
        raise cursor.corrupt(f"it claims {tensor_count:,} tensors and {pair_count:,} metadata pairs")
    metadata = {cursor.text(): _value(cursor) for _ in range(pair_count)}
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment <= 0 or alignment % 8:
        raise cursor.corrupt(f"alignment {alignment!r}")
    tensors = tuple(_tensor(cursor) for _ in range(tensor_count))
    data_offset = -(-cursor.at // alignment) * alignment
    _check_layout(cursor, tensors, data_offset, file_bytes)
    return Header(path, version, metadata, tensors, data_offset, file_bytes)


def _value(cursor: _Cursor) -> Any:
    kind = cursor.scalar(U32)
    if kind in SCALARS:
        return cursor.scalar(SCALARS[kind])
    if kind == STRING:
        return cursor.text()
    if kind == ARRAY:
        return _array(cursor)
    raise cursor.corrupt(f"unknown metadata type {kind}")


def _array(cursor: _Cursor) -> Any:
    kind, length = cursor.scalar(U32), cursor.scalar(U64)
    if kind in SCALARS:
        item = SCALARS[kind]
        cursor.need(length * item.size)
        if length <= MAX_KEEP:
            return [cursor.scalar(item) for _ in range(length)]
        cursor.at += length * item.size
        return ArrayNote(kind, length)
    if kind == STRING:
        if length <= MAX_KEEP:
            return [cursor.text() for _ in range(length)]
        cursor.skip_strings(length)
        return ArrayNote(kind, length)
    raise cursor.corrupt(f"an array of type {kind}")


def _tensor(cursor: _Cursor) -> TensorEntry:
    name = cursor.text()
    dims = cursor.scalar(U32)
    if not 1 <= dims <= MAX_DIMS:
        raise cursor.corrupt(f"tensor {name[:80]!r} has {dims} dimensions")
    shape = tuple(cursor.scalar(U64) for _ in range(dims))
    number, offset = cursor.scalar(U32), cursor.scalar(U64)
    if number not in ggml.TYPES:
        raise cursor.corrupt(f"tensor {name[:80]!r} has unknown type {number}")
    dtype = ggml.TYPES[number][0]
    return TensorEntry(name, shape, dtype, offset, ggml.tensor_bytes(dtype, shape))


def _check_layout(cursor: _Cursor, tensors: tuple[TensorEntry, ...], data_offset: int, file_bytes: int) -> None:
    """Tensors lie inside the file and do not overlap."""
    end = 0
    for t in sorted(tensors, key=lambda t: (t.offset, t.bytes)):
        if t.offset < end:
            raise cursor.corrupt(f"tensor {t.name[:80]!r} overlaps the one before it")
        end = t.offset + t.bytes
    if data_offset + end > file_bytes:
        raise ModelFileError(
            f"{cursor.path} is truncated: {file_bytes:,} of {data_offset + end:,} bytes are there",
            "the download did not finish; resume it or download the file again.",
        )


def split_files(path: Path) -> list[Path]:
    """All files of a split GGUF (``…-00001-of-00003.gguf``), in order; ``[path]`` for a single file.

    Raises:
        ModelFileError: a part is missing.
    """
    match = SPLIT_NAME.match(path.name)
    if not match:
        return [path]
    parts = [path.with_name(f"{match['stem']}-{n:05d}-of-{match['of']}.gguf") for n in range(1, int(match["of"]) + 1)]
    missing = [p.name for p in parts if not p.is_file()]
    if missing:
        raise ModelFileError(
            f"{len(missing)} of {len(parts)} parts of {match['stem']} are missing: {', '.join(missing[:3])}",
            "put all parts into one folder.",
        )
    return parts
