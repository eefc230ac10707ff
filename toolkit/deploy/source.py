"""Where the model comes from on another machine: the hub, a volume, or (same machine only) a file of this host."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from toolkit.errors import InputError
from toolkit.types import LaunchPlan

MODELS = "/models"
"""Where a volume or a host's folder is mounted, read-only."""
CACHE = "/cache"
"""Where downloads are kept across restarts."""
CLAIM = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
"""Names of Kubernetes' persistent volume claims (RFC 1123)."""
OWN_VOLUME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""Names of volumes in Docker and Podman."""
HUB_URL = "https://huggingface.co"


@dataclass(frozen=True)
class Hub:
    """A model on the hub; ``file`` names one GGUF file of the repository."""

    repo: str
    revision: str | None = None
    file: str | None = None


@dataclass(frozen=True)
class Volume:
    """A volume that the target already has: its name there, and the model's path inside it."""

    claim: str
    path: str


@dataclass(frozen=True)
class Source:
    """What the engine is told, and what must be mounted for it."""

    kind: Literal["hub", "volume", "host"]
    label: str
    words: tuple[str, ...]
    """The engine's words for the model: a positional for vLLM, options for llama.cpp."""
    revision: str | None = None
    hub: Hub | None = None
    volume: Volume | None = None
    host_folder: str | None = None
    """Folder of this machine to mount; only ever set for targets on this machine."""

    @property
    def downloads(self) -> bool:
        """Whether the engine fetches the model when it starts."""
        return self.kind == "hub"


def locate(plan: LaunchPlan, hub: Hub | None, volume: Volume | None, *, same_machine: bool) -> Source:
    """The model's source for a target. What the user names goes before what the plan knows.

    Raises:
        InputError: the plan's model lies on this machine only, and the target is another one; or a GGUF repository
            without its file.
    """
    gguf = plan.memory is not None and plan.memory.engine == "llama.cpp"
    if hub and volume:
        raise InputError("a model comes from the hub or from a volume, not from both")
    if volume:
        _check_claim(volume.claim, same_machine)
        return _volume(volume, gguf)
    if hub is None and same_machine and plan.model_path and plan.model_path.startswith("/"):
        return _host(plan.model_path, gguf)
    hub = hub or _hub_of(plan)
    if hub is None:
        raise InputError(
            f"the model of this plan lies on this machine only ({plan.served_name}), and no path of this machine "
            "belongs into a file for another one",
            "name where the other machine gets it: a hub id (ORG/NAME, and ORG/NAME:FILE for one GGUF file), or a "
            "volume there that holds it (CLAIM:PATH).",
        )
    if gguf and (hub.file is None or not hub.file.endswith(".gguf")):
        raise InputError(f"{hub.repo} may hold several GGUF files", f"name one: {hub.repo}:FILE.gguf")
    if not gguf and hub.file is not None:
        raise InputError(f"vLLM serves a whole repository, not the one file {hub.file}", f"name {hub.repo}.")
    return _from_hub(hub, gguf)


def _hub_of(plan: LaunchPlan) -> Hub | None:
    """The hub id that the plan itself carries."""
    inputs = plan.memory.inputs if plan.memory else {}
    source, revision = inputs.get("model_source"), inputs.get("revision")
    if plan.memory is None or source is None:
        return None
    if source.value not in ("hub", "profile") and not (source.value == "gguf" and plan.model_path is None):
        return None  # a file or a folder of this machine; a GGUF header read from the hub has no path
    commit = revision.value if revision and isinstance(revision.value, str) else None
    repo, _, file = (plan.model_path or plan.memory.model).partition(":")
    if repo.startswith("/") or repo.count("/") != 1:
        return None
    return Hub(repo, commit, file or None)


def _from_hub(hub: Hub, gguf: bool) -> Source:
    if not gguf:
        return Source("hub", hub.repo, (hub.repo,), hub.revision, hub=hub)
    file = str(hub.file)
    url = f"{HUB_URL}/{hub.repo}/resolve/{hub.revision or 'main'}/{file}"
    words = ("--model-url", url, "--model", f"{CACHE}/{PurePosixPath(file).name}")
    return Source("hub", f"{hub.repo}:{file}", words, hub.revision, hub=hub)


def _check_claim(claim: str, same_machine: bool) -> None:
    if not (OWN_VOLUME if same_machine else CLAIM).fullmatch(claim):
        what = "a volume" if same_machine else "a claim (small letters, digits, '-' and '.')"
        raise InputError(f"{claim!r} is no name of {what}", "write it like weights:llama/model.gguf.")


def _volume(volume: Volume, gguf: bool) -> Source:
    inside = PurePosixPath(volume.path.lstrip("/"))
    if ".." in inside.parts or not inside.parts:
        raise InputError(f"{volume.path!r} is no path inside a volume", "write it like CLAIM:folder/model.gguf.")
    path = f"{MODELS}/{inside}"
    if gguf and not path.endswith(".gguf"):
        raise InputError(f"llama.cpp reads one GGUF file, and {volume.path!r} is none")
    return Source("volume", f"{volume.claim}:{inside}", ("--model", path) if gguf else (path,), volume=volume)


def _host(path: str, gguf: bool) -> Source:
    here = PurePosixPath(path)
    folder = _whole(here) or here.parent
    inside = f"{MODELS}/{here.relative_to(folder)}"
    words = ("--model", inside) if gguf else (inside,)
    return Source("host", here.name, words, host_folder=str(folder))


def _whole(here: PurePosixPath) -> PurePosixPath | None:
    """The hub cache's folder of a model, when ``here`` is in its ``snapshots``: these are links to its ``blobs``."""
    found = (p.parent for p in here.parents if p.name == "snapshots" and p.parent.name.startswith("models--"))
    return next(found, None)
