"""One line of `requests.jsonl`: what happened to one request, from the client's clock.

All times are seconds since the start of the bench on one monotonic clock (CLOCK_MONOTONIC, shared by all
processes of a machine), written with microsecond precision. Percentiles are computed from these rows and from
nothing else, so anyone can compute them again.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import orjson

from toolkit.errors import InputError

CUT = "cut"
"""``Row.error`` of a request that was still running when its level was ended: neither completed nor failed."""


@dataclass(frozen=True, slots=True)
class Row:
    """One request.

    ``scheduled_s`` is when an open loop wanted it sent (closed loop: the same as ``sent_s``), ``sent_s`` just
    before its first byte left. ``first_byte_s`` is the first byte of the reply, ``first_token_s`` the first token of
    any kind, ``first_answer_s`` the first that is not reasoning; ``token_s`` every token event, ``end_s`` the end
    of the reply or of the attempt. Absent times are None.
    """

    id: str
    level: int
    warmup: bool
    worker: int
    prompt_id: int
    scheduled_s: float
    sent_s: float
    first_byte_s: float | None
    first_token_s: float | None
    first_answer_s: float | None
    token_s: tuple[float, ...]
    end_s: float
    lag_s: float | None
    """Greatest user stamp − kernel stamp of its reads; None where there are no kernel stamps."""
    shared: int
    """Token events that arrived in one read with another and share its stamp."""
    stamps: Literal["kernel", "user"]
    input_tokens: int | None
    output_tokens: int
    asked_output_tokens: int
    token_source: Literal["usage", "events"]
    events: int
    status: int | None
    """HTTP status of the reply; None when none came."""
    error: str | None
    """Name of the failure, ``cut`` for one ended by us, None for success."""
    detail: str | None
    """The server's own words or the system's, at most 200 characters."""
    finish_reason: str | None
    reply_id: str | None
    """The server's own id of its reply, to find it in the server's log."""
    turn: int = 0
    """Which turn of its conversation, from 0."""
    conversation: int | None = None
    """Which conversation, where there are any."""
    retry_after_s: float | None = None
    """How long a refusal (429, 503) asked us to wait."""

    @property
    def ok(self) -> bool:
        """Whether the request completed: a whole stream with at least one token."""
        return self.error is None


_FIELDS = frozenset(f.name for f in fields(Row))


def parse_row(line: bytes | str) -> Row:
    """One line → one row; keys of later versions are ignored. Raises ValueError, TypeError or KeyError."""
    record: dict[str, Any] = orjson.loads(line)
    record["token_s"] = tuple(record["token_s"])
    return Row(**{k: v for k, v in record.items() if k in _FIELDS})


def read_rows(file: Path) -> Iterator[Row]:
    """Rows of a file, plain or gzipped, one by one; InputError names the line that is no row."""
    with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    yield parse_row(line)
                except (ValueError, TypeError, KeyError) as error:
                    raise InputError(f"{file}: line {number} is not a request row ({error})") from error


def append_rows(file: Path, rows: Iterable[Row]) -> None:
    """Add rows to a file, one JSON object a line."""
    with file.open("ab") as out:
        for row in rows:
            out.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))


def merge_rows(files: Sequence[Path]) -> list[Row]:
    """The rows of all load processes in one list, by the time they were sent.

    A last line cut short by a killed process is left out; nothing else is.
    """
    rows: list[Row] = []
    for file in files:
        lines = file.read_bytes().split(b"\n")
        rows += [parse_row(line) for line in lines[:-1] if line]
    return sorted(rows, key=lambda row: (row.sent_s, row.id))
