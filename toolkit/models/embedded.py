"""Model files that ship inside Python distributions: found without importing the package."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from toolkit.types import PackagedFile


def find(packaged: PackagedFile) -> Path | None:
    """Path of the file when its distribution is installed here, else None."""
    try:
        spec = find_spec(packaged.package)
    except (ImportError, ValueError):
        return None
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / packaged.file
        if path.is_file():
            return path
    return None
