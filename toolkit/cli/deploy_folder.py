"""A deployment's folder on disk: compared, shown, and written without overwriting anything unasked."""

from __future__ import annotations

import difflib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.cli.deployed import ABOUT
from toolkit.errors import EnvironmentFailedError, InputError

if TYPE_CHECKING:
    from toolkit.types.deployed import Change

MAX_BYTES = 8 * 2**20


def check(place: Path) -> None:
    """The folder may be new or a folder, not a file.

    Raises:
        InputError: something else lies there.
    """
    if place.exists() and not place.is_dir():
        raise InputError(f"{place} is a file, and a folder is needed")


def compared(place: Path, files: dict[str, str]) -> dict[str, Change]:
    """How each text differs from what lies there.

    Raises:
        InputError: a link inside the folder leads out of it.
    """
    found: dict[str, Change] = {}
    for path, text in files.items():
        old = _read(_inside(place, path))
        found[path] = "new" if old is None else "same" if old == text else "changed"
    return found


def differences(place: Path, files: dict[str, str]) -> str:
    """A unified diff from what lies there to what would be written; empty when nothing would change."""
    parts: list[str] = []
    for path, text in files.items():
        old = _read(_inside(place, path))
        if old != text:
            before = (old or "").splitlines(keepends=True)
            name = f"{place}/{path}"
            lines = difflib.unified_diff(
                before, text.splitlines(keepends=True), name if old is not None else "/dev/null", name
            )
            parts += [line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines]
    return "".join(parts)


def listing(files: dict[str, str]) -> str:
    """Every file with its path above it."""
    return "".join(f"=== {path}\n{text}\n" for path, text in files.items())


def write(place: Path, files: dict[str, str], *, force: bool) -> None:
    """Write what is new or, when forced, what differs; each file whole or not at all.

    Raises:
        InputError: files differ and force was not given; none is written then.
        EnvironmentFailedError: the folder cannot be written.
    """
    changes = compared(place, files)
    different = [path for path, change in changes.items() if change == "changed"]
    if different and not force:
        raise InputError(
            f"{place} holds other text in {', '.join(different)}; nothing was written",
            "look at --diff, then write with --force, or choose another folder.",
        )
    try:
        for path, text in files.items():
            if changes[path] != "same":
                _write(_inside(place, path), text)
    except OSError as error:
        raise EnvironmentFailedError(f"cannot write {error.filename or place}: {error.strerror}") from None


def left_over(place: Path, files: dict[str, str]) -> list[str]:
    """Files that an earlier deployment wrote here and this one does not."""
    try:
        earlier = json.loads((place / ABOUT).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    names = [n for n in earlier if isinstance(n, str)] if isinstance(earlier, list) else []
    return [n for n in names if n not in files and ".." not in n and (place / n).is_file()]


def _inside(place: Path, path: str) -> Path:
    root = place.resolve()
    target = (root / path).resolve()
    if not target.is_relative_to(root):
        raise InputError(f"{place / path} leads out of {place}", "remove that link, or choose another folder.")
    return target


def _read(path: Path) -> str | None:
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder, and a file belongs there")
        if path.stat().st_size > MAX_BYTES:
            return ""
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        raise InputError(f"{path.parent} is a file, and a folder belongs there") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.new")
    try:
        scratch.write_text(text, encoding="utf-8")
        os.replace(scratch, path)  # noqa: PTH105 - Path.replace is the same call; this names its error's file
    finally:
        scratch.unlink(missing_ok=True)
