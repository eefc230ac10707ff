"""Rows → figures of one level. Pure and exact: nearest-rank percentiles of flat lists, no means of means.

TTFT = first token of any kind − start; TTFAT = first answer token − start; E2E = last token − start; ITL = every gap
between token events in one list; TPOT = (E2E − TTFT)/(N − 1) of each request. The start is the scheduled time (open
loop) or the sending (closed loop: the same). Failed requests and those cut by the end are in none of them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from toolkit.load.rows import CUT, Row
from toolkit.load.slo import METRICS, Slo, percentile
from toolkit.load.spec import LoadLevel
from toolkit.types import Stat


@dataclass(frozen=True)
class Window:
    """Client-side facts of one level that rows do not hold. ``busy`` is the CPU share of the busiest process."""

    unsent: int = 0
    busy: float | None = None
    clock_steps: int = 0
    restarted: bool = False
    ended_early: str | None = None
    """Why a level was given up before its time."""
    lost: tuple[str, ...] = ()
    """Load processes that ended in the middle, by their machines."""


def stat(values: Iterable[float]) -> Stat | None:
    """Exact statistics of a flat list of seconds; None of an empty one."""
    ordered = sorted(values)
    if not ordered:
        return None
    return Stat(
        n=len(ordered),
        mean=math.fsum(ordered) / len(ordered),
        p50=percentile(ordered, 50),
        p90=percentile(ordered, 90),
        p95=percentile(ordered, 95),
        p99=percentile(ordered, 99),
        min=ordered[0],
        max=ordered[-1],
    )


def values_of(row: Row) -> dict[str, tuple[float, ...]]:
    """Every latency of one completed request, by metric; a metric it does not have is empty."""
    start, tokens = row.scheduled_s, row.token_s
    pace = tpot(row)
    return {
        "ttft": (tokens[0] - start,) if tokens else (),
        "ttfat": () if row.first_answer_s is None else (row.first_answer_s - start,),
        "itl": tuple(later - earlier for earlier, later in pairwise(tokens)),
        "tpot": () if pace is None else (pace,),
        "e2e": ((tokens[-1] if tokens else row.end_s) - start,),  # an embedding has no tokens: the end of the reply
    }


def tpot(row: Row) -> float | None:
    """Seconds per output token after the first; None for fewer than two tokens or token events."""
    if row.output_tokens < 2 or len(row.token_s) < 2:
        return None
    return (row.token_s[-1] - row.token_s[0]) / (row.output_tokens - 1)


def measured(rows: Iterable[Row]) -> list[Row]:
    """The rows that count: not warm-up, not cut by the end."""
    return [row for row in rows if not row.warmup and row.error != CUT]


def figures(rows: Sequence[Row], load: LoadLevel, window: Window, slo: Slo | None) -> dict[str, Any]:
    """Every field of `types.Level` that can be computed, without the verdict. ``rows`` are those of the level."""
    counted = measured(rows)
    done = [row for row in counted if row.ok]
    seconds = max(r.end_s for r in counted) - min(r.sent_s for r in counted) if counted else 0.0
    each = [values_of(row) for row in done]
    flat: dict[str, list[float]] = {m: [v for values in each for v in values[m]] for m in METRICS}
    good = [row for row, values in zip(done, each, strict=True) if slo is None or slo.met_by_request(values)]
    found = {
        "concurrency": load.concurrency,
        "rate": load.rate,
        "shape": load.shape,
        "breaks_at_rate": breaks_at(counted, load, slo),
        "duration_s": seconds,
        "requests": len(counted),
        "completed": len(done),
        "failed": len(counted) - len(done),
        "errors": dict(Counter(row.error for row in counted if row.error).most_common()),
        **{f"{metric}_s": stat(values) for metric, values in flat.items()},
        "decode_tok_s_per_user": _median([1 / pace for row in done if (pace := tpot(row))]),
        "token_source": dict(Counter(row.token_source for row in done)),
        "client_lag_s": stat(row.lag_s for row in done if row.lag_s is not None),
        "client_busy": window.busy,
        "slo_met": None if slo is None or not counted else bool(done) and slo.met(flat),
        **_rates("", done, seconds),
        **_rates("goodput_", good, seconds),
        **_arrivals(counted, load, seconds),
        **_steady(rows, load),
    }
    return {**found, "output_tokens": _output(done), "input_tokens": _input(done)}


RAMP_PARTS = 10


def breaks_at(counted: Sequence[Row], load: LoadLevel, slo: Slo | None) -> float | None:
    """Rate at which the first tenth of a ramp begins from which on no tenth met the service level; else None.

    A request belongs to the tenth in which it was due; one that failed breaks its tenth.
    """
    if load.ramp is None or slo is None or load.duration_s is None or not counted:
        return None
    begin = min(row.scheduled_s for row in counted)
    parts: list[list[Row]] = [[] for _ in range(RAMP_PARTS)]
    for row in counted:
        parts[min(RAMP_PARTS - 1, int((row.scheduled_s - begin) / load.duration_s * RAMP_PARTS))].append(row)
    first = RAMP_PARTS
    for i in reversed([i for i in range(RAMP_PARTS) if parts[i]]):
        each = [values_of(row) for row in parts[i] if row.ok]
        if len(each) == len(parts[i]) and slo.met({m: [v for values in each for v in values[m]] for m in METRICS}):
            break
        first = i
    low, high = load.ramp
    return None if first == RAMP_PARTS else low + (high - low) * first / RAMP_PARTS


def _rates(prefix: str, rows: Sequence[Row], seconds: float) -> dict[str, float]:
    per = 1 / seconds if seconds else 0.0
    out, into = _output(rows), _input(rows)
    rates = {
        f"{prefix}request_s": len(rows) * per,
        f"{prefix}output_tok_s": out * per,
        f"{prefix}total_tok_s": (out + into) * per,
    }
    return rates if prefix else {**rates, "input_tok_s": into * per}


def _arrivals(counted: Sequence[Row], load: LoadLevel, seconds: float) -> dict[str, Any]:
    if load.rate is None or not counted:
        return {
            "asked_rate": load.rate,
            "achieved_rate": len(counted) / seconds if seconds else 0.0,
            "queue_delay_s": None,
            "service_ttft_s": None,
        }
    return {
        "asked_rate": load.rate,
        "achieved_rate": len(counted) / (_span([row.sent_s for row in counted]) + 1 / load.rate),
        "queue_delay_s": stat(row.sent_s - row.scheduled_s for row in counted),
        "service_ttft_s": stat(row.token_s[0] - row.sent_s for row in counted if row.ok and row.token_s),
    }


def on_schedule(counted: Sequence[Row], rate: float, unsent: int) -> float:
    """How much of the asked rate was really sent: 1 when every request left on time.

    Compares with the schedule that was drawn, not with its mean, so a short Poisson run raises no false alarm.
    """
    if not counted:
        return 0.0
    wanted = _span([row.scheduled_s for row in counted]) + 1 / rate
    took = max(row.sent_s for row in counted) - min(row.scheduled_s for row in counted) + 1 / rate
    return wanted / took * len(counted) / (len(counted) + unsent)


def _steady(rows: Sequence[Row], load: LoadLevel) -> dict[str, float | None]:
    """Output tokens per second while all users were busy: from the first to the last moment with full flight."""
    none: dict[str, float | None] = {"steady_s": None, "steady_output_tok_s": None}
    mine = [row for row in rows if not row.warmup]
    if load.concurrency is None or not any(row.token_s for row in mine):
        return none
    changes = sorted([(row.sent_s, 1) for row in mine] + [(row.end_s, -1) for row in mine], key=lambda c: (c[0], -c[1]))
    full: list[float] = []
    flying = 0
    for at, change in changes:
        if flying >= load.concurrency > flying + change or flying + change >= load.concurrency > flying:
            full.append(at)
        flying += change
    if len(full) < 2 or full[-1] <= full[0]:
        return none
    begin, end = full[0], full[-1]
    tokens = math.fsum(
        row.output_tokens / len(row.token_s) * sum(begin <= t <= end for t in row.token_s)
        for row in mine
        if row.token_s
    )
    return {"steady_s": end - begin, "steady_output_tok_s": tokens / (end - begin)}


def _output(rows: Iterable[Row]) -> int:
    return sum(row.output_tokens for row in rows)


def _input(rows: Iterable[Row]) -> int:
    return sum(row.input_tokens or 0 for row in rows)


def _span(times: Sequence[float]) -> float:
    return max(times) - min(times)


def _median(values: Sequence[float]) -> float | None:
    return percentile(sorted(values), 50) if values else None
