"""A folder that `deploy` wrote, as something the other commands take: where it answers, what runs there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.errors import InputError

if TYPE_CHECKING:
    from toolkit.types import DeployFolder

ABOUT = "deployment.json"


def deployment(target: str | None) -> DeployFolder | None:
    """The deployment of a folder (or of its `deployment.json`); None when the word means something else.

    Raises:
        InputError: the folder holds no deployment, or one of another version.
    """
    if target is None or "://" in target:
        return None
    place = Path(target)
    path = place if place.name == ABOUT else place / ABOUT
    if not path.is_file():
        return None
    from toolkit.cli.pipeline import read_document
    from toolkit.types import DeployFolder

    document: DeployFolder = read_document(path, DeployFolder)
    return document


def address(about: DeployFolder) -> str:
    """Where clients reach it.

    Raises:
        InputError: only the target itself knows; the hint is the line that asks it.
    """
    if about.base_url is None:
        raise InputError(
            f"only {about.target} knows where {about.name} answers", f"ask it, and name that: {about.endpoint}"
        )
    return about.base_url


def facts(about: DeployFolder) -> dict[str, Any]:
    """What runs there, for the record of a measurement."""
    wanted = (
        "target",
        "engine",
        "image",
        "gpu",
        "gpus_per_replica",
        "replicas",
        "spot",
        "source",
        "revision",
        "quant",
        "context",
    )
    return {"deployment": about.model_dump(include=set(wanted), exclude_none=True)}


def memory_settings(about: DeployFolder) -> dict[str, Any]:
    """What was sized there, as settings to size it by again; a folder of an older selfhost has none."""
    return {"engine_version": about.engine_version, **about.settings}
