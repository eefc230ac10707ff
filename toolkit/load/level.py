"""Runs one level in the load process: follows it, ends it when it is hopeless, reads its rows, judges it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from toolkit.errors import UnknownNameError
from toolkit.load import slo as slo_of
from toolkit.load.child import LoadProcess, LoadProcessDiedError
from toolkit.load.crew import Crew
from toolkit.load.files import ROWS
from toolkit.load.metrics import Window, figures, measured
from toolkit.load.observer import Observer
from toolkit.load.orders import SLACK_S, longest_s, order
from toolkit.load.progress import OnProgress, Tracker
from toolkit.load.rows import Row, append_rows, merge_rows
from toolkit.load.spec import BenchSpec, LoadLevel
from toolkit.load.target import Prepared
from toolkit.load.validity import Evidence, judge
from toolkit.types import Level

NOTHING_WORKS = 8
"""So many failures, or two a user if that is more, without one success end a run."""
POLL_S = 0.5
STOP_S = 30.0
"""How long a level that was interrupted may take to end what runs; `bench.director` needs 5 s to cut it."""

Restarts = Callable[[], int | None]
"""How often the server has restarted; None when that is not known."""


@dataclass
class Run:
    """What one run carries from level to level."""

    spec: BenchSpec
    target: Prepared
    slo: slo_of.Slo | None
    out: Path
    folder: Path
    on_progress: OnProgress
    restarts: Restarts
    levels: list[Level]
    stopped_early: str | None = None
    interrupted: bool = False
    observer: Observer | None = None
    crew: Crew = field(default_factory=Crew)


def run_level(work: Run, child: LoadProcess, load: LoadLevel) -> None:
    """Run the next level and append it to ``work.levels``. Raises LoadProcessDiedError after that."""
    number = len(work.levels)
    tracker = Tracker(load.label, number + 1, len(work.spec.levels) or None)
    restarts = work.restarts()
    child.send({"level": order(work.spec, number, load)})
    over: dict[str, Any] = {}
    try:
        over = _watch(work, child, tracker, load)
    except KeyboardInterrupt:
        work.interrupted = True
        child.send({"stop": True})
        over = _watch(work, child, tracker, load, STOP_S)
    finally:
        after = work.restarts()
        window = Window(
            unsent=over.get("unsent", 0),
            busy=tracker.busy(),
            clock_steps=over.get("clock_steps", 0),
            restarted=restarts is not None and after is not None and after > restarts,
            ended_early=tracker.given_up,
            lost=tuple(over.get("lost", ())),
        )
        work.crew.aligned(over.get("clocks", {}))
        _record(work, number, load, window)
        if window.lost and not work.interrupted:
            work.stopped_early = f"a load worker was lost: {', '.join(window.lost)}"


def _watch(
    work: Run, child: LoadProcess, tracker: Tracker, load: LoadLevel, longest: float | None = None
) -> dict[str, Any]:
    """Follow one level to its end; end it when nothing works or it is lost. Raises LoadProcessDiedError."""
    enough = max(NOTHING_WORKS, 2 * (load.concurrency or 1))
    limit = time.monotonic() + (longest or longest_s(work.spec, load))
    while time.monotonic() < limit:
        event = child.receive(POLL_S)
        if event is None:
            continue
        if event["event"] == "level_done":
            return event
        if event["event"] == "phase":
            tracker.phase(event)
        elif event["event"] == "rows":  # they may be many, from far away
            limit = max(limit, time.monotonic() + SLACK_S)
        elif event["event"] == "sample":
            work.on_progress(tracker.sample(event))
            if not work.stopped_early and tracker.failed() >= enough and not tracker.completed() and not work.levels:
                work.stopped_early = "nothing works"
                child.send({"stop": True})
            elif tracker.given_up is None and (lost := _lost(work, tracker, load)) is not None:
                tracker.given_up = lost
                child.send({"cut": len(work.levels)})
    raise LoadProcessDiedError("the load process stopped reporting")


def _lost(work: Run, tracker: Tracker, load: LoadLevel) -> str | None:
    """Why a level of a search can no longer keep the service level, however its other requests end.

    So many requests as are still allowed to be late for the first token, out of all that can come, already were.
    """
    if work.spec.search is None or load.rate is None or work.slo is None:
        return None
    mean = load.rate * work.spec.seconds(load)
    most = mean + (4 * math.sqrt(mean) if work.spec.arrival == "poisson" else 1)
    for bound in work.slo.bounds:
        if bound.metric == "ttft" and isinstance(bound.quantile, float):
            late = sum(value > bound.limit_s for value in tracker.ttft_s)
            if late > most * (1 - bound.quantile / 100) + 1:
                return f"{late} requests had waited longer than {bound.limit_s:g} s for the first token"
    return None


def _record(work: Run, number: int, load: LoadLevel, window: Window) -> None:
    """Read the level's rows, keep them, compute its figures and its verdict."""
    rows = merge_rows(sorted(work.folder.glob(f"rows-{number}-*.jsonl")))
    append_rows(work.out / ROWS, rows)
    found = figures(rows, load, window, work.slo)
    if not found["completed"] and not work.interrupted and (work.spec.search is None or not work.levels):
        work.stopped_early = _why_nothing_works(work, rows)
    if found["slo_met"] is not None and found["failed"] > work.spec.max_failed_share * found["requests"]:
        found["slo_met"] = False
    asked = {p.id: p.asked_input_tokens for p in work.target.prompts if p.asked_input_tokens is not None}
    beside = _beside(work, rows, found)
    if beside and beside["server"] is not None and beside["server"].restarts:
        window = replace(window, restarted=True)
    verdict = judge(Evidence(rows, found, load, window, work.slo, asked))
    work.levels.append(
        Level(
            **found,
            **beside,
            valid=verdict.why_invalid is None,
            why_invalid=verdict.why_invalid,
            broken_rules=verdict.broken,
            notes=verdict.notes,
        )
    )


def _beside(work: Run, rows: list[Row], found: dict[str, Any]) -> dict[str, Any]:
    """What was seen of the server while the level was measured."""
    counted = measured(rows)
    if work.observer is None or not counted:
        return {}
    begin_s, end_s = min(row.sent_s for row in counted), max(row.end_s for row in counted)
    return work.observer.level(begin_s, end_s, found["input_tokens"] + found["output_tokens"], found["output_tokens"])


def _why_nothing_works(work: Run, rows: list[Row]) -> str:
    failures = [row for row in rows if row.error]
    if not failures:
        return "no request was sent"
    names = [row.error for row in failures]
    common = max(set(names), key=names.count)
    detail = next((row.detail for row in failures if row.error == common and row.detail), None)
    text = f"no request succeeded: {common} ({names.count(common)} of {len(rows)})"
    text += f": {detail}" if detail else ""
    known, model = work.target.known_models, work.target.model
    if common == "http_404" and known and model not in known:
        text += f"; {UnknownNameError('model', model, known).hint or 'the server has ' + ', '.join(known[:3])}"
    return text
