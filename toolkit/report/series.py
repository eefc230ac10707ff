"""What the plots show, computed from the rows of a bench: distributions and a timeline.

Both are thinned to what a screen can show; percentiles in the tables never come from here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from toolkit.load.metrics import measured, values_of
from toolkit.load.rows import CUT, Row
from toolkit.report.svg import nice_step

ECDF_POINTS = 240
TIMELINE_BINS = 240


@dataclass(frozen=True)
class Span:
    """When a level ran, seconds since the bench began; ``measured_s`` is when its warm-up was over."""

    level: int
    start_s: float
    measured_s: float
    end_s: float


@dataclass(frozen=True)
class Timeline:
    """Per bin of ``bin_s`` seconds from ``start_s`` on: tokens per second, requests in flight, failures."""

    start_s: float
    bin_s: float
    tok_s: tuple[float, ...]
    in_flight: tuple[float, ...]
    failures: tuple[int, ...]


def waits(rows: Sequence[Row], level: int, metric: str) -> list[float]:
    """Every value of one latency of a level (`load.metrics.values_of`), one flat list, seconds."""
    mine = measured(row for row in rows if row.level == level)
    return [value for row in mine if row.ok and row.token_s for value in values_of(row)[metric]]


def ecdf(values: Sequence[float], most: int = ECDF_POINTS) -> list[tuple[float, float]]:
    """Points (value, share of values ≤ it), ascending; at most ``most``, the least and the greatest among them."""
    ordered = sorted(values)
    n = len(ordered)
    if n <= most:
        return [(v, (i + 1) / n) for i, v in enumerate(ordered)]
    ranks = {round(i * (n - 1) / (most - 1)) for i in range(most)}
    return [(ordered[r], (r + 1) / n) for r in sorted(ranks)]


def spans(rows: Sequence[Row]) -> list[Span]:
    """When each level ran, by level."""
    found = []
    for level in sorted({row.level for row in rows}):
        mine = [row for row in rows if row.level == level]
        after_warmup = [row.sent_s for row in mine if not row.warmup]
        start, end = min(row.sent_s for row in mine), max(row.end_s for row in mine)
        found.append(Span(level, start, min(after_warmup, default=end), end))
    return found


def timeline(rows: Sequence[Row], most: int = TIMELINE_BINS) -> Timeline | None:
    """The whole bench in equal bins, warm-up included; None without rows.

    Tokens of a request are spread over its token events; a request is in flight from its sending to its end.
    """
    if not rows:
        return None
    start = min(row.sent_s for row in rows)
    end = max([start + 1e-3, *(row.end_s for row in rows)])
    bin_s = nice_step(max((end - start) / most, 0.25))
    bins = math.ceil((end - start) / bin_s)
    tokens, busy, failures = [0.0] * bins, [0.0] * bins, [0] * bins
    for row in rows:
        _add_tokens(tokens, row, start, bin_s)
        _add_presence(busy, row, start, bin_s)
        if row.error not in (None, CUT):
            failures[_bin(row.end_s, start, bin_s, bins)] += 1
    return Timeline(start, bin_s, tuple(t / bin_s for t in tokens), tuple(busy), tuple(failures))


def _bin(t: float, start: float, bin_s: float, bins: int) -> int:
    return min(bins - 1, max(0, int((t - start) / bin_s)))


def _add_tokens(tokens: list[float], row: Row, start: float, bin_s: float) -> None:
    if row.token_s:
        weight = max(row.output_tokens, len(row.token_s)) / len(row.token_s)
        for t in row.token_s:
            tokens[_bin(t, start, bin_s, len(tokens))] += weight


def _add_presence(busy: list[float], row: Row, start: float, bin_s: float) -> None:
    """Adds the share of each bin during which the request was in flight."""
    first, last = _bin(row.sent_s, start, bin_s, len(busy)), _bin(row.end_s, start, bin_s, len(busy))
    for i in range(first, last + 1):
        lo, hi = start + i * bin_s, start + (i + 1) * bin_s
        busy[i] += max(0.0, min(hi, row.end_s) - max(lo, row.sent_s)) / bin_s
