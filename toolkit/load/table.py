"""Rows of a user's file: JSONL, or CSV with a header; bounded, and every error names its line."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

from toolkit.errors import InputError

MAX_BYTES = 512 * 2**20


def read_table(file: Path, most: int) -> list[dict[str, Any]]:
    """At most ``most`` records. Raises InputError: unreadable, empty, too long, a line that is no record."""
    try:
        if file.stat().st_size > MAX_BYTES:
            raise InputError(f"{file} is larger than {MAX_BYTES >> 20} MiB", "Use a part of it.")
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 text ({error.reason} at byte {error.start})") from error
    rows = _json_lines(file, text) if text.lstrip().startswith(("{", "[")) else _csv(file, text)
    if not rows:
        raise InputError(f"{file} holds no rows", "It must be JSON lines, or CSV with a header.")
    if len(rows) > most:
        raise InputError(f"{file} has {len(rows):,} rows; at most {most:,} are taken", "Use a part of it.")
    return rows


def _json_lines(file: Path, text: str) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(f"{file}: line {number} is not JSON ({error})") from error
        if not isinstance(row, dict):
            raise InputError(f"{file}: line {number} is not a JSON object", "Write one object a line.")
        rows.append(row)
    return rows


def _csv(file: Path, text: str) -> list[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]] = list(csv.DictReader(text.splitlines(), strict=True))
    except csv.Error as error:
        raise InputError(f"{file} is not CSV ({error})") from error
    wrong = next((i for i, row in enumerate(rows, 2) if None in row or None in row.values()), None)
    if wrong is not None:
        raise InputError(f"{file}: line {wrong} has more or fewer cells than the header")
    return rows


def number_of(value: object) -> float | None:
    """A finite number, written as one or as text; else None."""
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
