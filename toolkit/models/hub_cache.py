"""What was read from a hub, kept by commit: a second question needs no network.

    hub/ORG--NAME/refs.json               revision → commit, and when the hub said so
    hub/ORG--NAME/COMMIT/files.json.gz    the names of its files
    hub/ORG--NAME/COMMIT/tensors.json.gz  config, declared quantization and the list of tensors
    hub/ORG--NAME/COMMIT/FILE.gguf.gz     the header of a GGUF file, after the file's size in 8 bytes

A commit never changes, so its facts never grow old; only the revision's commit does. A broken cache is an empty one.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from toolkit import paths
from toolkit.models.safetensors import BITS, Tensor

VERSION = 1
FRESH_S = 24 * 3600
"""How long a revision is taken to be the commit that the hub named, seconds."""

MAX_REPOSITORIES = 64
MAX_FILE = 64 * 2**20


@dataclass(frozen=True)
class Found:
    """Everything of one commit that a model's facts follow from."""

    config: dict[str, Any]
    modelopt: dict[str, Any] | None
    tensors: tuple[Tensor, ...]


class Cache:
    """The kept facts of one repository."""

    def __init__(self, repo: str) -> None:
        self.folder = paths.state_root() / "hub" / repo.replace("/", "--")

    def commit(self, revision: str, any_age: bool = False) -> str | None:
        """The commit that a revision was, if the hub said so within `FRESH_S` seconds, or ever."""
        entry = self._refs().get(revision)
        if not isinstance(entry, dict) or not isinstance(sha := entry.get("sha"), str):
            return None
        age = time.time() - float(entry.get("at") or 0)
        return sha if any_age or 0 <= age < FRESH_S else None

    def keep_commit(self, revision: str, sha: str) -> None:
        """Remember what a revision is today."""
        self._write("refs.json", _dumps(self._refs() | {revision: {"sha": sha, "at": int(time.time())}}))

    def files(self, sha: str) -> list[str] | None:
        """The names of a commit's files; None when they are not kept."""
        raw = self._read(f"{sha}/files.json.gz")
        try:
            value = _loads(raw) if raw else None
        except ValueError:
            return None
        return value if isinstance(value, list) and all(isinstance(f, str) for f in value) else None

    def keep_files(self, sha: str, files: list[str]) -> None:
        """Keep the names of a commit's files."""
        self._write(f"{sha}/files.json.gz", gzip.compress(_dumps(files), 6, mtime=0))

    def found(self, sha: str) -> Found | None:
        """A commit's facts; None when they are not kept or not usable."""
        raw = self._read(f"{sha}/tensors.json.gz")
        try:
            value = _loads(raw) if raw else None
            if not isinstance(value, dict) or value.get("version") != VERSION:
                return None
            rows = tuple(Tensor(str(n), tuple(map(int, s)), str(d), int(b)) for n, s, d, b in value["tensors"])
        except (ValueError, TypeError, KeyError):
            return None
        config, modelopt = value.get("config"), value.get("modelopt")
        if not isinstance(config, dict) or not all(t.dtype in BITS for t in rows):
            return None
        return Found(config, modelopt if isinstance(modelopt, dict) else None, rows)

    def keep(self, sha: str, found: Found) -> None:
        """Keep a commit's facts."""
        rows = [tuple(t) for t in found.tensors]
        value = {"version": VERSION, "config": found.config, "modelopt": found.modelopt, "tensors": rows}
        self._write(f"{sha}/tensors.json.gz", gzip.compress(_dumps(value), 6, mtime=0))

    def gguf(self, sha: str, file: str) -> tuple[bytes, int] | None:
        """A GGUF file's first bytes, header included, and its size."""
        raw = self._read(f"{sha}/{quote(file, safe='')}.gz")
        return (raw[8:], int.from_bytes(raw[:8], "little")) if raw and len(raw) > 8 else None

    def keep_gguf(self, sha: str, file: str, head: bytes, file_bytes: int) -> None:
        """Keep a GGUF file's header."""
        raw = file_bytes.to_bytes(8, "little") + head
        self._write(f"{sha}/{quote(file, safe='')}.gz", gzip.compress(raw, 6, mtime=0))

    def _refs(self) -> dict[str, Any]:
        try:
            value = _loads((self.folder / "refs.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return value if isinstance(value, dict) else {}

    def _read(self, name: str) -> bytes | None:
        """A kept file, unpacked; at most `MAX_FILE` bytes of it."""
        try:
            with gzip.open(self.folder / name) as file:
                raw = file.read(MAX_FILE + 1)
        except (OSError, EOFError, zlib.error):
            return None
        return raw if len(raw) <= MAX_FILE else None

    def _write(self, name: str, raw: bytes) -> None:
        """All or nothing; a full or read-only disk costs the cache, not the answer."""
        path = self.folder / name
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, partial = tempfile.mkstemp(dir=path.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(raw)
                Path(partial).replace(path)
            except OSError:
                Path(partial).unlink(missing_ok=True)
                raise
            _prune(self.folder.parent)


def _prune(root: Path) -> None:
    folders = sorted((p for p in root.iterdir() if p.is_dir()), key=lambda p: p.stat().st_mtime, reverse=True)
    for old in folders[MAX_REPOSITORIES:]:
        shutil.rmtree(old, ignore_errors=True)


def _dumps(value: object) -> bytes:
    import orjson

    return orjson.dumps(value)


def _loads(raw: bytes) -> Any:
    import orjson

    return orjson.loads(raw)
