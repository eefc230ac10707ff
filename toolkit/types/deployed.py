"""What `deploy` writes beside the files of a target."""

from __future__ import annotations

from typing import Literal

from toolkit.types.common import Document, Frozen

Target = Literal["systemd", "compose", "quadlet", "kubernetes", "kserve", "production-stack", "skypilot", "rayserve"]
Change = Literal["new", "changed", "same"]


class DeployCommands(Frozen):
    """Shell lines, run inside the folder. ``once`` prepares what no file may hold, such as the key."""

    once: tuple[str, ...] = ()
    up: str
    check: str
    down: str


class DeployFolder(Document):
    """A deployment as `deployment.json` keeps it, so that `bench`, `cost` and `recommend` can take the folder."""

    kind: Literal["deploy"] = "deploy"
    target: Target
    name: str
    replicas: int
    gpu: str | None
    """Canonical GPU id; None = it runs on the CPU."""
    gpus_per_replica: int
    spot: bool
    engine: Literal["vllm", "llama.cpp"] | None
    """None for a command of the user's own."""
    engine_version: str | None = None
    image: str | None
    """The container image with its tag; None where the target or the host brings the engine."""
    model: str
    """As the plan names it."""
    source: str | None
    """Where the weights come from: a hub id (with its file), a volume and path, or a path of this machine."""
    revision: str | None
    quant: str | None
    context: int | None
    concurrency: int | None
    settings: dict[str, str | int | float | bool] = {}
    """What else decides the plan's memory, by its name in the memory plan: kv_dtype, tp, gpu_memory_utilization, …"""
    served_name: str
    base_url: str | None
    """Where clients reach it once it is up; None = only the target knows, and ``endpoint`` asks it."""
    endpoint: str | None
    """Shell line that makes ``base_url`` reachable from here, or that prints the address."""
    key_env: str | None
    """Environment variable from which clients take the API key; None = it asks for none."""
    commands: DeployCommands
    files: tuple[str, ...]
    """Paths relative to the folder, with ``/``."""
    changes: dict[str, Change] = {}
    """How each file differs from what lay there; only in the answer of the command, not in the folder."""
    written: bool = True
    """False after a dry run."""
