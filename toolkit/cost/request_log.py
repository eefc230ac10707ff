"""How uneven the day is, from a log of requests: the busiest hour over the mean hour; and which requests come.

A log is CSV with a header (commas, semicolons or tabs) or one JSON object a line, with a time (`timestamp`, `time`,
`at`, `created`, `sent`…; ISO 8601 or Unix seconds) and, where known, tokens (`tokens`, or `input_tokens` and
`output_tokens`; OpenAI's names of them too). Names are read in any case. With tokens on every row hours are weighed by
them, else by requests.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import chain
from math import isfinite
from typing import Any

from toolkit.cost.traffic import Request
from toolkit.errors import InputError

TIMES = ("timestamp", "time", "at", "created", "sent", "created_at", "ts", "datetime", "@timestamp")
INPUT, OUTPUT = ("input_tokens", "prompt_tokens"), ("output_tokens", "completion_tokens")
TOTAL = ("tokens", "total_tokens")
HOUR_S = 3_600
MIN_HOURS = 24
"""Less than a day shows no daily peak."""
MAX_HOURS = 24 * 366 * 5
MAX_ROWS = 20_000_000
MILLISECONDS = 1e11
"""A Unix time above this (the year 5138 in seconds) is in milliseconds."""


@dataclass(frozen=True)
class Log:
    """Busiest hour over mean hour, what it rests on, and the classes of requests where every row has its tokens."""

    peak: Decimal
    requests: int
    hours: int
    by: str
    classes: tuple[Request, ...] = ()
    """By the length of the input, each class with the mean of its requests."""


class _Classes:
    """Requests by the length of their input, doubling from class to class: long ones may cost more per token."""

    def __init__(self) -> None:
        self.sums: dict[int, list[int]] = {}
        self.complete = True

    def add(self, parts: tuple[int, int] | None) -> None:
        if parts is None:
            self.complete = False
            return
        found = self.sums.setdefault(parts[0].bit_length(), [0, 0, 0])
        for i, amount in enumerate((1, *parts)):
            found[i] += amount

    def means(self) -> tuple[Request, ...]:
        """Most frequent first; none when a row lacks its tokens."""
        if not self.complete:
            return ()
        ranked = sorted(self.sums.values(), key=lambda sums: -sums[0])
        return tuple(Request(round(into / n), round(out / n), Decimal(n)) for n, into, out in ranked if into + out)


def read(lines: Iterable[str]) -> Log:
    """What a log of requests tells.

    Raises:
        InputError: no rows, no time in a row, a time that is none, or less than a day.
    """
    by_request: Counter[int] = Counter()
    by_token: Counter[int] = Counter()
    classes = _Classes()
    requests = weighed = 0
    for number, row in enumerate(_rows(lines), 1):
        if number > MAX_ROWS:
            raise InputError(f"the log has more than {MAX_ROWS:,} rows", "Give a part of it: some weeks are enough.")
        hour = int(_seconds(row, number) // HOUR_S)
        tokens = _tokens(row, number)
        by_request[hour] += 1
        by_token[hour] += sum(tokens) if tokens else 0
        classes.add((tokens[0], tokens[1]) if tokens and len(tokens) == 2 else None)
        requests, weighed = requests + 1, weighed + (tokens is not None)
    if not requests:
        raise InputError("the log has no rows", "Give CSV with a header, or one JSON object a line.")
    hours = max(by_request) - min(by_request) + 1
    if not MIN_HOURS <= hours <= MAX_HOURS:
        span = "one hour" if hours == 1 else f"{hours:,} hours"
        raise InputError(f"the log spans {span}; a peak needs a day at least, and five years at most")
    counted, by = (by_token, "tokens") if weighed == requests and by_token.total() else (by_request, "requests")
    ratio = Decimal(max(counted.values())) * hours / counted.total()
    return Log(ratio, requests, hours, by, classes.means())


def _rows(lines: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    """CSV or JSON lines, told apart by the first line that is not empty."""
    filled = (line for line in lines if line.strip())
    first = next(filled, None)
    if first is None:
        return iter(())
    first = first.removeprefix("\ufeff")  # Excel's mark of UTF-8
    if first.lstrip().startswith("["):
        raise InputError("the log is a JSON array", "Give one JSON object a line, or CSV with a header.")
    rest = chain([first], filled)
    rows = _json_rows(rest) if first.lstrip().startswith("{") else csv.DictReader(rest, delimiter=_delimiter(first))
    return ({str(key).strip().lower(): value for key, value in row.items()} for row in rows)


def _delimiter(header: str) -> str:
    """What parts the columns: whichever of comma, semicolon and tab the header has most of."""
    return max(",;\t", key=header.count)


def _json_rows(lines: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise InputError(f"row {number} of the log is no JSON") from None
        if not isinstance(row, dict):
            raise InputError(f"row {number} of the log is no JSON object")
        yield row


def _seconds(row: Mapping[str, Any], number: int) -> float:
    value = _first(row, TIMES)
    if value is None:
        raise InputError(f"row {number} of the log has no time", f"Name its column one of {', '.join(TIMES)}.")
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return _iso(str(value), number)
    if not isfinite(seconds) or seconds < 0:
        raise InputError(f"row {number} of the log: {value!r} is not a time")
    return seconds / 1000 if seconds > MILLISECONDS else seconds


def _iso(text: str, number: int) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"row {number} of the log: {text!r} is not a time") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _first(row: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((row[name] for name in names if row.get(name) not in (None, "")), None)


def _tokens(row: Mapping[str, Any], number: int) -> tuple[int, ...] | None:
    """(input, output) tokens, or only their sum; None where the row does not say."""
    parts = [_first(row, INPUT), _first(row, OUTPUT)]
    if None in parts:
        parts = [_first(row, TOTAL)]
    if None in parts:
        return None
    try:
        counted = tuple(int(float(str(part))) for part in parts)
    except (ValueError, OverflowError):
        raise InputError(f"row {number} of the log: its tokens are not a number") from None
    if min(counted) < 0:
        raise InputError(f"row {number} of the log: its tokens are below zero")
    return counted
