"""What the shell offers when Tab is pressed. Cheap, and silent when it cannot know: nothing here may raise or print."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def served_names(incomplete: str) -> list[str]:
    """Names that have been served here."""
    try:
        from toolkit.paths import state_root

        folder = state_root() / "servers"
        names = [path.name for path in folder.iterdir() if (path / "spec.json").is_file()]
    except OSError:
        return []
    return _fitting(names, incomplete)


def model_names(incomplete: str) -> list[str]:
    """Models of the profiles, and files and folders: a model may be either."""
    try:
        from toolkit.paths import data_root, user_profiles

        roots = (data_root() / "profiles", user_profiles())
        names = [path.stem for root in roots for path in (root / "models").glob("*.toml")]
    except OSError:
        names = []
    return [*_fitting(names, incomplete), *_paths(incomplete)]


def gpu_names(incomplete: str) -> list[str]:
    """Devices of the profiles; in small letters where they are typed so, which every command takes."""
    from toolkit import profiles
    from toolkit.errors import SelfhostError

    try:
        names = list(profiles.gpus())
    except SelfhostError:
        return []
    small = incomplete != incomplete.upper()
    return _fitting([name.lower() if small else name for name in names], incomplete)


def _fitting(names: Iterable[str], incomplete: str) -> list[str]:
    return sorted({name for name in names if name.startswith(incomplete)})


def _paths(incomplete: str) -> list[str]:
    """Model files and folders that begin so; folders end in a slash."""
    if not incomplete:
        return []
    head, _, begun = incomplete.rpartition("/")
    folder = Path(head or ("/" if incomplete.startswith("/") else ".")).expanduser()
    try:
        with os.scandir(folder) as entries:
            found = sorted((e for e in entries if e.name.startswith(begun)), key=lambda e: e.name)
    except OSError:
        return []
    lead = incomplete[: len(incomplete) - len(begun)]
    fits = [e for e in found if e.is_dir() or e.name.endswith((".gguf", ".json"))]
    return [lead + e.name + ("/" if e.is_dir() else "") for e in fits]
