"""A model on a hub → `ModelSpec`, from a few kB a file: its config, its index, and the headers of all its shards.

    ORG/NAME[@REVISION]            a repository of safetensors
    ORG/NAME[@REVISION]:FILE.gguf  one GGUF file of a repository, or the part of its name that tells it from others

Weights are never downloaded: headers come by range requests, a few at once. What was read is kept by commit.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.errors import InputError, ModelFileError, SourceUnavailableError, UnknownNameError
from toolkit.models import checkpoint, folder, gguf, gguf_spec, hub_client, safetensors
from toolkit.models.hub_cache import Cache, Found
from toolkit.models.hub_client import Client
from toolkit.models.safetensors import Tensor
from toolkit.models.transport import Transport
from toolkit.types import ModelSpec

AT_ONCE = 8
FIRST_LOOK = 64 * 1024
"""Bytes first asked of a file whose number of tensors no index tells."""

ROW_BYTES = 128
"""About what one tensor takes in a header besides its name."""

GGUF_FIRST, GGUF_MOST = 2**20, 32 * 2**20
"""A GGUF header holds the vocabulary: 0.5-16 MB."""

PART = r"[A-Za-z0-9][\w.-]{0,95}"
HUB_NAME = re.compile(rf"(?P<repo>{PART}/{PART})(@(?P<revision>[\w./-]{{1,200}}))?(:(?P<file>[\w./+ -]{{1,400}}))?")

Progress = Callable[[int, int], None]
"""Called with files read and files to read."""


@dataclass(frozen=True)
class HubName:
    """A model on a hub as a user writes it."""

    repo: str
    revision: str | None = None
    file: str | None = None


def parse(target: str) -> HubName | None:
    """The parts of a hub name; None when ``target`` is not one."""
    match = HUB_NAME.fullmatch(target)
    if match is None or ".." in target or "--" in match["repo"]:
        return None
    return HubName(match["repo"], match["revision"], match["file"])


def read(
    name: HubName, fmt: str | None = None, *, transport: Transport | None = None, progress: Progress | None = None
) -> ModelSpec:
    """Facts of a model on the hub; ``fmt`` imagines another weight format.

    When the hub cannot be asked, what is kept of the last answer stands in, then the user's own download.

    Raises:
        UnknownNameError: no such repository or file.
        InputError: no such revision, several files to choose from, or a format that a GGUF file does not have.
        ModelFileError: a header that is corrupt, or weights only as pickles.
        DeclinedError: an architecture that is not modelled.
        SourceUnavailableError: offline, no access or too busy, and nothing of it is here.
    """
    question = _Question(name, fmt, transport, progress)
    try:
        sha = question.commit()
        return question.answer(sha)
    except SourceUnavailableError as error:
        kept = question.kept(error)
        if kept is None:
            raise
        return kept


def sparse_gguf(label: str, sha: str, folder: Path) -> Path:
    """The named GGUF file of that commit as a hollow one: real header, no weights, all its parts; the first's path.

    Enough for an engine's planner, and a few megabytes of disk for a model of any size. ``label`` is ``REPO:FILE``.

    Raises as `read` does.
    """
    name = parse(f"{label.partition(':')[0]}@{sha}:{label.partition(':')[2]}")
    if name is None:
        raise ModelFileError(f"{label} is not a GGUF file on a hub")
    question = _Question(name, None, None, None)
    written = []
    for file in question.gguf_parts(sha):
        head, size = question.gguf_head(sha, file)
        path = folder / Path(file).name
        path.write_bytes(head)
        os.truncate(path, size)
        written.append(path)
    return written[0]


class _Question:
    """One question: the name, the cache, and a client that is made when the network is needed."""

    def __init__(self, name: HubName, fmt: str | None, transport: Transport | None, progress: Progress | None) -> None:
        self.name, self.fmt, self.progress = name, fmt, progress or (lambda done, of: None)
        self.cache = Cache(name.repo)
        self.revision = name.revision or "main"
        self._transport, self._client = transport, None if hub_client.offline() else Client(transport)
        self._listed: dict[str, list[str]] = {}

    @property
    def client(self) -> Client:
        """The network.

        Raises:
            SourceUnavailableError: the user forbids it.
        """
        if self._client is None:
            raise SourceUnavailableError(
                f"{self.name.repo} is not here, and HF_HUB_OFFLINE forbids to ask the hub", hub_client.ELSEWHERE
            )
        return self._client

    def commit(self) -> str:
        """The revision's commit: itself, or what the hub said today, or what it says now."""
        if hub_client.COMMIT.fullmatch(self.revision):
            return self.revision
        return self.cache.commit(self.revision) or self._ask(self.revision)

    def _ask(self, revision: str) -> str:
        """Ask what a revision is, and keep its commit and its files."""
        info = self.client.info(self.name.repo, revision)
        sha, listed = str(info["sha"]), info.get("siblings")
        rows = listed if isinstance(listed, list) else []
        files = [f for r in rows if isinstance(r, dict) and isinstance(f := r.get("rfilename"), str)]
        self.cache.keep_commit(revision, sha)
        self.cache.keep_files(sha, files)
        self._listed[sha] = files
        return sha

    def answer(self, sha: str, *notes: str) -> ModelSpec:
        """The facts of a commit, kept or fetched."""
        if self.name.file:
            return self._gguf(sha, *notes)
        found = self.cache.found(sha) or self._fetch(sha)
        config = checkpoint.with_modelopt(found.config, found.modelopt)
        repo = self.name.repo
        spec = checkpoint.spec_from_checkpoint(config, found.tensors, repo, source="hub", path=repo, fmt=self.fmt)
        return spec.model_copy(update={"revision": sha, "notes": (*spec.notes, *notes)})

    def kept(self, error: SourceUnavailableError) -> ModelSpec | None:
        """What is here of the model when the hub cannot be asked: an older answer, or the user's own download."""
        self._client, why = None, f"{error.message}; these are the facts of"
        sha = self.cache.commit(self.revision, any_age=True)
        if sha:
            with suppress(SourceUnavailableError):
                return self.answer(sha, f"{why} commit {sha[:8]}, read before")
        return None if self.name.file else self._downloaded(why)

    def _downloaded(self, why: str) -> ModelSpec | None:
        """The snapshot in Hugging Face's own cache, if it is complete."""
        root = hub_client.home() / "hub" / f"models--{self.name.repo.replace('/', '--')}"
        try:
            sha = (root / "refs" / self.revision).read_text(encoding="utf-8")[:64].strip()
        except (OSError, UnicodeDecodeError):
            sha = self.revision
        snapshot = root / "snapshots" / sha
        if not hub_client.COMMIT.fullmatch(sha) or not (snapshot / "config.json").is_file():
            return None
        try:
            spec = folder.read(snapshot, self.name.repo, self.fmt)
        except ModelFileError:
            return None
        return spec.model_copy(update={"revision": sha, "notes": (*spec.notes, f"{why} your download {sha[:8]}")})

    def _files(self, sha: str) -> list[str]:
        if sha not in self._listed:
            kept = self.cache.files(sha)
            if kept is None:
                self._ask(sha)
            else:
                self._listed[sha] = kept
        return self._listed.get(sha, [])

    def _fetch(self, sha: str) -> Found:
        files, repo = self._files(sha), self.name.repo
        top = [f for f in files if "/" not in f]
        if "config.json" not in top:
            raise self._no_config(files)
        config = self._json(sha, "config.json")
        modelopt = self._json(sha, folder.MODELOPT_FILE) if folder.MODELOPT_FILE in top else None
        index = next((n for n in safetensors.INDEX_NAMES if n in top), None)
        if index:
            raw = self.client.whole(repo, sha, index, safetensors.MAX_INDEX)
            listed = safetensors.parse_index(raw, f"{repo}/{index}")
            if lost := next((f for f in listed if f not in top), None):
                raise ModelFileError(f"{repo} names {lost} in its index and does not hold it")
            read = self._headers(sha, {f: sum(len(n) + ROW_BYTES for n in names) for f, names in listed.items()})
            tensors = safetensors.check_index(read, listed, repo)
        else:
            chosen = safetensors.choose(top, repo)
            if not chosen:
                raise self._no_weights(files)
            read = self._headers(sha, dict.fromkeys(chosen, FIRST_LOOK))
            tensors = safetensors.unique((t for found in read.values() for t in found), repo)
        found = Found(config, modelopt, tensors)
        self.cache.keep(sha, found)
        return found

    def _json(self, sha: str, file: str) -> dict[str, Any]:
        raw = self.client.whole(self.name.repo, sha, file, folder.CONFIG_MAX_BYTES)
        return checkpoint.parse_config(raw, f"{self.name.repo}/{file}")

    def _headers(self, sha: str, guesses: dict[str, int]) -> dict[str, tuple[Tensor, ...]]:
        """Every file's header, `AT_ONCE` at a time; the first error ends the rest."""
        result: dict[str, tuple[Tensor, ...]] = {}
        with ThreadPoolExecutor(AT_ONCE) as pool:
            read = pool.map(lambda file: self._header(sha, file, guesses[file]), guesses)
            for file, tensors in zip(guesses, read, strict=True):
                result[file] = tensors
                self.progress(len(result), len(guesses))
        return result

    def _header(self, sha: str, file: str, guess: int) -> tuple[Tensor, ...]:
        repo, shown = self.name.repo, f"{self.name.repo}/{file}"
        raw, size = self.client.piece(repo, sha, file, 0, safetensors.PREFIX + max(4096, guess))
        end = safetensors.PREFIX + safetensors.header_length(raw[: safetensors.PREFIX], shown, size)
        if end > len(raw):
            raw += self.client.piece(repo, sha, file, len(raw), end)[0]
        return safetensors.parse_header(raw[safetensors.PREFIX : end], shown, size)

    def _gguf(self, sha: str, *notes: str) -> ModelSpec:
        """The facts of one GGUF file, all its parts. ``path`` is None: no engine can launch from a header."""
        parts = self.gguf_parts(sha)
        headers = []
        for number, file in enumerate(parts, 1):
            headers.append(self._gguf_header(sha, file))
            self.progress(number, len(parts))
        spec = gguf_spec.spec_from_headers(headers, Path(parts[0]))
        if self.fmt and self.fmt.lower() != spec.quant.lower():
            raise InputError(f"{parts[0]} is {spec.quant}; a GGUF file has one format, not {self.fmt}")
        label = f"{self.name.repo}:{parts[0]}"
        return spec.model_copy(update={"name": label, "path": None, "revision": sha, "notes": (*spec.notes, *notes)})

    def gguf_head(self, sha: str, file: str) -> tuple[bytes, int]:
        """A GGUF file's first bytes, header included, and the size of the whole file; fetched unless kept."""
        kept = self.cache.gguf(sha, file)
        if kept is None:
            self._gguf_header(sha, file)
            kept = self.cache.gguf(sha, file)
        if kept is None:
            raise SourceUnavailableError(
                f"the header of {file} cannot be kept on disk", "make room for a few megabytes."
            )
        return kept

    def gguf_parts(self, sha: str) -> list[str]:
        """The files of the GGUF that was named: exactly, or by a part of its name that no other has."""
        wanted, repo = str(self.name.file), self.name.repo
        known = [f for f in self._files(sha) if f.endswith(".gguf")]
        heads = [f for f in known if not _later_part(f) and "mmproj" not in f.lower()]
        fits = [f for f in known if f == wanted] or [f for f in heads if wanted.lower() in f.lower()]
        if len(fits) > 1:
            raise InputError(f"{wanted!r} fits {len(fits)} files of {repo}: {_listed(fits)}", "name one.")
        if not fits:
            raise UnknownNameError(f"file of {repo}", wanted, heads, f"it holds {_listed(heads)}.")
        match = gguf.SPLIT_NAME.match(fits[0])
        if match is None:
            return fits
        parts = [f"{match['stem']}-{n:05d}-of-{match['of']}.gguf" for n in range(1, int(match["of"]) + 1)]
        if lost := [p for p in parts if p not in known]:
            raise ModelFileError(f"{repo} lacks {len(lost)} of {len(parts)} parts: {lost[0]}")
        return parts

    def _gguf_header(self, sha: str, file: str) -> gguf.Header:
        """A header of unknown length: more is asked for until it parses, at most `GGUF_MOST` bytes."""
        shown = f"{self.name.repo}:{file}"
        if kept := self.cache.gguf(sha, file):
            return gguf.parse_header(kept[0], shown, kept[1])
        raw, want = b"", GGUF_FIRST
        while True:
            more, size = self.client.piece(self.name.repo, sha, file, len(raw), want)
            raw += more
            try:
                header = gguf.parse_header(raw, shown, size)
            except ModelFileError:
                if raw[:4] != gguf.MAGIC or len(raw) >= min(size, GGUF_MOST):
                    raise
                want = min(want * 4, size, GGUF_MOST)
                continue
            self.cache.keep_gguf(sha, file, raw[: header.data_offset], size)
            return header

    def _no_config(self, files: list[str]) -> InputError:
        repo, ggufs = self.name.repo, [f for f in files if f.endswith(".gguf") and not _later_part(f)]
        if ggufs:
            return InputError(f"{repo} holds GGUF files: {_listed(ggufs)}", f"name one: {repo}:{ggufs[0]}")
        return InputError(f"{repo} has no config.json; it is no language model that can be sized")

    def _no_weights(self, files: list[str]) -> InputError:
        if any(f.endswith(".gguf") for f in files):
            return self._no_config(files)
        return ModelFileError(f"{self.name.repo} holds no weights", "name a repository that does.")


def _later_part(file: str) -> bool:
    match = gguf.SPLIT_NAME.match(file)
    return match is not None and int(match["no"]) > 1


def _listed(files: list[str]) -> str:
    return ", ".join(files[:6]) + (f" and {len(files) - 6} more" if len(files) > 6 else "") if files else "none"
