"""The rows of the level table that tell what the server did and drew: its queue, its cache, its CPU, its energy."""

from __future__ import annotations

from collections.abc import Callable

from toolkit.report import words
from toolkit.types import Energy, Gauge, Level, ServerSide

Cell = Callable[[Level], str]
_Show = Callable[[float | None], str]


def mean(gauge: Gauge | None) -> float | None:
    """The mean of a gauge that may be unknown."""
    return gauge.mean if gauge is not None else None


def most(gauge: Gauge | None) -> float | None:
    """Its maximum."""
    return gauge.max if gauge is not None else None


def _number(value: float | None) -> str:
    return words.UNKNOWN if value is None else words.significant(value)


def _server(pick: Callable[[ServerSide], float | None], show: _Show = _number) -> Cell:
    return lambda level: show(pick(level.server)) if level.server is not None else words.UNKNOWN


def _energy(pick: Callable[[Energy], float | None], show: _Show = _number) -> Cell:
    return lambda level: show(pick(level.energy)) if level.energy is not None else words.UNKNOWN


ROWS: tuple[tuple[str, list[tuple[str, Cell]]], ...] = (
    (
        "Server",
        [
            ("running, mean", _server(lambda s: mean(s.running))),
            ("queued, mean", _server(lambda s: mean(s.queued))),
            ("queued, most", _server(lambda s: most(s.queued))),
            ("KV cache used, most", _server(lambda s: most(s.kv_use), words.percent)),
            ("preemptions", _server(lambda s: s.preemptions)),
            ("prefix cache hits", _server(lambda s: s.prefix_hit_share, words.percent)),
            ("restarts", _server(lambda s: s.restarts)),
            ("CPU cores used", _server(lambda s: s.cpu_cores)),
            ("machine busy", _server(lambda s: mean(s.machine_busy), words.percent)),
        ],
    ),
    (
        "Energy",
        [
            ("watts, mean", _energy(lambda e: mean(e.watts))),
            ("GPU busy", _energy(lambda e: mean(e.gpu_busy), words.percent)),
            ("joules per token", _energy(lambda e: e.joules_per_token)),
            ("joules per output token", _energy(lambda e: e.joules_per_output_token)),
        ],
    ),
)
"""Heading, then name and cell of each row; rows that no level knows are left out by the table."""
