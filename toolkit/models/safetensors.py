"""Safetensors headers: every tensor's name, shape, type and size, without the weights.

A file is an 8-byte little-endian length, that many bytes of JSON, then the tensor data. Only the header is read and
nothing in it is trusted: its length, the number of its tensors and every offset are checked against the file, so a
hostile file costs bounded memory and time. A checkpoint is one such file or the shards that its index names.

Format: https://github.com/huggingface/safetensors (`safetensors/src/tensor.rs`, `Metadata::validate`); what that
implementation refuses is refused here.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

from toolkit.errors import ModelFileError

PREFIX = 8
"""Bytes of the length before the header."""

MAX_HEADER = 100_000_000
"""Longest header the reference implementation accepts, bytes."""

MAX_INDEX = 64 * 2**20
"""Largest index read, bytes. A quarter of a million tensors take 25 MB."""

MAX_TENSORS = 1_000_000
MAX_DIMS = 16
MAX_ELEMENTS = 2**60

BITS: dict[str, int] = {
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
}
"""Bits of one element by type name (`Dtype::bitsize`). A U8 is one byte, whatever is packed into it."""

INDEX_NAMES = ("model.safetensors.index.json", "consolidated.safetensors.index.json")
SHARD = re.compile(r"^(?P<stem>.+)-(?P<no>\d{5,6})-of-(?P<of>\d{5,6})\.safetensors$")
UNFINISHED = (".part", ".incomplete", ".crdownload", ".aria2", ".download")
PICKLES = (".bin", ".pt", ".pth", ".ckpt")
AGAIN = "the download did not finish; resume it or download the file again."


class Tensor(NamedTuple):
    """One tensor as its file lists it."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    bytes: int


def read_folder(folder: Path) -> tuple[Tensor, ...]:
    """Every tensor of the checkpoint in a folder; empty when it holds no weights at all.

    Raises:
        ModelFileError: unfinished, truncated, corrupt or missing files, or weights only as pickles.
    """
    names = sorted(p.name for p in folder.iterdir())
    _refuse_unfinished(names, folder)
    index = next((n for n in INDEX_NAMES if n in names), None)
    if index:
        listed = parse_index(_read(folder / index, MAX_INDEX), str(folder / index))
        return check_index({f: read_file(folder / f) for f in listed}, listed, str(folder))
    chosen = choose(names, str(folder))
    return unique((t for n in chosen for t in read_file(folder / n)), str(folder))


def read_file(path: Path) -> tuple[Tensor, ...]:
    """The tensors of one file, in the order of their data.

    Raises:
        ModelFileError: no such file, truncated, corrupt, or no safetensors file.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            length = header_length(file.read(PREFIX), str(path), size)
            return parse_header(file.read(length), str(path), size)
    except FileNotFoundError:
        raise ModelFileError(f"{path.name} is missing from {path.parent}", "put all shards into one folder.") from None
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror or error}") from None


def header_length(first: bytes, shown: str, file_bytes: int) -> int:
    """Length of the header, from the first eight bytes of a file of ``file_bytes``.

    Raises:
        ModelFileError: the file is too short, or the length makes no sense.
    """
    if first.startswith(b"version "):
        raise ModelFileError(f"{shown} is a Git LFS pointer, not the weights", "`git lfs pull` fetches the file.")
    if len(first) < PREFIX:
        raise ModelFileError(f"{shown} is truncated: {file_bytes} bytes are no safetensors file", AGAIN)
    length = int.from_bytes(first[:PREFIX], "little")
    if length > MAX_HEADER or length < 2:
        raise ModelFileError(f"{shown} is no safetensors file, or corrupt: its header claims {length:,} bytes", AGAIN)
    if PREFIX + length > file_bytes:
        raise ModelFileError(
            f"{shown} is truncated: its header ends at byte {PREFIX + length:,} and the file at {file_bytes:,}", AGAIN
        )
    return length


def parse_header(raw: bytes, shown: str, file_bytes: int) -> tuple[Tensor, ...]:
    """The tensors a header lists, in the order of their data; ``raw`` is the JSON without its length.

    Raises:
        ModelFileError: no JSON of the format, or tensors that overlap, leave gaps or do not end with the file.
    """
    table = _json(raw, shown)
    rows = [_row(name, row, shown) for name, row in table.items() if name != "__metadata__"]
    _check_metadata(table.get("__metadata__"), shown)
    rows.sort(key=lambda r: (r[1], r[2]))
    at = 0
    for tensor, start, end in rows:
        if start != at:
            what = "overlaps the one before it" if start < at else "leaves a gap before it"
            raise corrupt(shown, f"tensor {tensor.name[:80]!r} {what}")
        at = end
    _check_end(PREFIX + len(raw) + at, file_bytes, shown)
    return tuple(tensor for tensor, _, _ in rows)


def _check_end(end: int, file_bytes: int, shown: str) -> None:
    if end > file_bytes:
        raise ModelFileError(f"{shown} is truncated: {file_bytes:,} of {end:,} bytes are there", AGAIN)
    if end < file_bytes:
        raise corrupt(shown, f"{file_bytes - end:,} bytes after its last tensor belong to none")


def parse_index(raw: bytes, shown: str) -> dict[str, list[str]]:
    """An index's shards, each with the tensors it is said to hold.

    Raises:
        ModelFileError: no index, or a shard that is not a file beside it.
    """
    table = _json(raw, shown)
    weights = table.get("weight_map")
    if not isinstance(weights, dict) or not weights:
        raise corrupt(shown, "it has no weight_map")
    shards: dict[str, list[str]] = defaultdict(list)
    for tensor, file in weights.items():
        if not isinstance(file, str):
            raise corrupt(shown, f"tensor {tensor[:80]!r} lies in {file!r}")
        shards[file].append(tensor)
    for file in shards:
        if "/" in file or "\\" in file or not file.endswith(".safetensors"):
            raise corrupt(shown, f"{file[:80]!r} is no safetensors file beside it")
    return dict(shards)


def check_index(
    found: Mapping[str, tuple[Tensor, ...]], listed: Mapping[str, list[str]], shown: str
) -> tuple[Tensor, ...]:
    """All tensors of all shards, once each shard holds what the index says.

    Raises:
        ModelFileError: a shard without a tensor of its own, or a tensor in two shards.
    """
    for file, names in listed.items():
        held = {t.name for t in found[file]}
        if missing := next((n for n in names if n not in held), None):
            raise ModelFileError(
                f"{shown}: {file} does not hold {missing[:80]!r}, which the index says it does",
                "index and shards are of different downloads; download the folder again.",
            )
    return unique((t for tensors in found.values() for t in tensors), shown)


def unique(tensors: Iterable[Tensor], shown: str) -> tuple[Tensor, ...]:
    """The tensors, checked to have different names and to be no more than `MAX_TENSORS`.

    Raises:
        ModelFileError: one name twice, or too many.
    """
    by_name: dict[str, Tensor] = {}
    for t in tensors:
        if by_name.setdefault(t.name, t) is not t:
            raise corrupt(shown, f"tensor {t.name[:80]!r} lies in two files")
        if len(by_name) > MAX_TENSORS:
            raise corrupt(shown, f"more than {MAX_TENSORS:,} tensors")
    return tuple(by_name.values())


def choose(names: Iterable[str], shown: str) -> list[str]:
    """Which files make up a checkpoint without an index; none when there are no weights.

    ``consolidated`` files are the same weights in another layout, ``adapter`` files belong to another model.

    Raises:
        ModelFileError: a shard is missing, weights only as pickles, or files that do not say which is the model.
    """
    listed = sorted(names)
    files = [n for n in listed if n.endswith(".safetensors") and "/" not in n and not n.startswith("adapter_")]
    if "model.safetensors" in files:
        return ["model.safetensors"]
    own = [n for n in files if not n.startswith("consolidated")] or files
    if own and all(SHARD.match(n) for n in own):
        return _complete(own, shown)
    if len(own) > 1:
        raise ModelFileError(
            f"{shown} holds {len(own)} safetensors files and no index: {', '.join(own[:3])}",
            "download model.safetensors.index.json, or keep the files of one model.",
        )
    pickles = [n for n in listed if n.endswith(PICKLES) and not n.startswith("training_args")]
    if not own and pickles:
        raise ModelFileError(
            f"{shown} holds its weights only as pickles ({pickles[0]}), which are not read: they can run code",
            "convert them to safetensors.",
        )
    return own


def _complete(shards: list[str], shown: str) -> list[str]:
    """All shards of one set."""
    parts = [m for n in shards if (m := SHARD.match(n))]
    sets = {(m["stem"], m["of"]) for m in parts}
    if len(sets) > 1:
        raise ModelFileError(f"{shown} holds shards of {len(sets)} checkpoints and no index", "keep those of one.")
    ((_, of),) = sets
    have = {int(m["no"]) for m in parts}
    if len(have) < int(of):
        lost = next(n for n in range(1, len(have) + 2) if n not in have)
        raise ModelFileError(f"{shown} holds {len(have)} of {int(of)} shards; number {lost} is missing", AGAIN)
    return shards


def _refuse_unfinished(names: list[str], folder: Path) -> None:
    for name in names:
        stem = name.removesuffix(next((s for s in UNFINISHED if name.endswith(s)), "\0"))
        if stem != name and ".safetensors" in stem and stem not in names:
            raise ModelFileError(f"{folder / name} is an unfinished download", "wait for it, or resume it.")


def _read(path: Path, most: int) -> bytes:
    try:
        if (size := path.stat().st_size) > most:
            raise ModelFileError(f"{path} is {size:,} bytes; at most {most:,} are read")
        return path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror or error}") from None


def _json(raw: bytes, shown: str) -> dict[str, Any]:
    """A JSON object of bounded cost: what could become too many Python objects is counted before it is parsed."""
    if raw.count(b"{") + raw.count(b"[") > 4 * MAX_TENSORS or raw.count(b",") > 16 * MAX_TENSORS:
        raise corrupt(shown, f"it lists more than {MAX_TENSORS:,} tensors")
    import orjson

    try:
        value = orjson.loads(raw)
    except ValueError as error:
        raise corrupt(shown, f"its header is no JSON: {str(error)[:80]}") from None
    if not isinstance(value, dict):
        raise corrupt(shown, "its header is no JSON object")
    return value


def _row(name: str, row: object, shown: str) -> tuple[Tensor, int, int]:
    if not isinstance(row, dict):
        raise corrupt(shown, f"tensor {name[:80]!r} is no object")
    dtype, shape, offsets = row.get("dtype"), row.get("shape"), row.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in BITS:
        raise corrupt(shown, f"tensor {name[:80]!r} has the unknown type {str(dtype)[:20]!r}")
    if not _counts(shape) or len(shape) > MAX_DIMS:
        raise corrupt(shown, f"tensor {name[:80]!r} has no shape")
    if not _counts(offsets) or len(offsets) != 2:
        raise corrupt(shown, f"tensor {name[:80]!r} has no offsets")
    bits, (start, end) = prod(shape) * BITS[dtype], offsets
    if bits % 8 or bits // 8 != end - start:
        raise corrupt(shown, f"tensor {name[:80]!r} is {bits} bits by its shape and {end - start:,} bytes by its place")
    return Tensor(name, tuple(shape), dtype, end - start), start, end


def _counts(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(v) is int and 0 <= v <= MAX_ELEMENTS for v in value)


def _check_metadata(value: object, shown: str) -> None:
    if value is not None and not (isinstance(value, dict) and all(isinstance(v, str) for v in value.values())):
        raise corrupt(shown, "its __metadata__ is not text")


def corrupt(shown: str, why: str) -> ModelFileError:
    """The error for a file that is there and wrong."""
    return ModelFileError(f"{shown} is corrupt: {why}", "download the file again.")
