"""Reads a TOML file that a user named, with one clear sentence when that fails."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from toolkit.errors import InputError

MAX_BYTES = 2**20


def read_toml(path: Path) -> dict[str, Any]:
    """The parsed file.

    Raises:
        InputError: no such file, larger than 1 MiB, not UTF-8 or not TOML.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} is larger than 1 MiB")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{path} is not TOML: {error}") from None
