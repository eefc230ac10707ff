"""Runs a bench: prepares the target, drives the load process level by level, computes and writes the result."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.errors import UnknownNameError
from toolkit.load import slo as slo_of
from toolkit.load.child import LoadProcess, LoadProcessDiedError
from toolkit.load.environment import environment
from toolkit.load.files import ROWS, open_folder, write_result
from toolkit.load.metrics import Window, figures
from toolkit.load.orders import child_spec, longest_s, order, write_prompts
from toolkit.load.progress import OnProgress, Progress, Tracker
from toolkit.load.prompts import bodies
from toolkit.load.rows import Row, append_rows, merge_rows
from toolkit.load.spec import BenchSpec, LoadLevel
from toolkit.load.target import Prepared, prepare
from toolkit.load.validity import Evidence, judge
from toolkit.types import BenchResult, Level

NOTHING_WORKS = 8
"""So many failures, or two a user if that is more, without one success end a run."""
POLL_S = 0.5

Restarts = Callable[[], int | None]
"""How often the server has restarted; None when that is not known."""


@dataclass
class _Run:
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


def run(
    spec: BenchSpec,
    out: Path,
    on_progress: OnProgress | None = None,
    restarts: Restarts | None = None,
) -> BenchResult:
    """Run every level and write `result.json`, `summary.csv` and `requests.jsonl` into ``out``.

    Ctrl-C ends the run early; what was measured is written and comes back marked ``interrupted``.

    Raises:
        EnvironmentFailedError: nothing answers at the endpoint, or the load process cannot run.
        InputError: a bad service level, no model, unknown prompt material.
    """
    slo = slo_of.parse(spec.slo) if spec.slo else None
    key = os.environ.get(spec.api_key_env) if spec.api_key_env else None
    report = on_progress or (lambda _: None)
    report(Progress("prepare", "getting to know the target", 0, len(spec.levels)))
    epoch_ns = time.perf_counter_ns()
    target = prepare(spec, key)
    open_folder(out)
    with tempfile.TemporaryDirectory(prefix="selfhost-bench-") as folder:
        work = _Run(spec, target, slo, out, Path(folder), report, restarts or (lambda: None), [])
        try:
            _drive(work, epoch_ns)
        except LoadProcessDiedError as error:
            if not work.levels:
                raise
            work.stopped_early = error.message
    result = _result(work)
    write_result(out, result)
    return result


def _drive(work: _Run, epoch_ns: int) -> None:
    write_prompts(work.folder, bodies(work.target.prompts, work.target.model, work.target.extra))
    try:
        with LoadProcess(work.folder, child_spec(work.spec, work.folder, epoch_ns), work.spec.processes) as child:
            for number, load in enumerate(work.spec.levels):
                _level(work, child, number, load)
                if work.stopped_early or work.interrupted:
                    return
    except KeyboardInterrupt:
        work.interrupted = True


def _level(work: _Run, child: LoadProcess, number: int, load: LoadLevel) -> None:
    tracker = Tracker(load.label, number + 1, len(work.spec.levels))
    restarts = work.restarts()
    child.send({"level": order(work.spec, number, load)})
    over: dict[str, Any] | None = None
    try:
        over = _watch(work, child, tracker, load)
    except KeyboardInterrupt:
        work.interrupted = True
        child.send({"stop": True})
        over = _watch(work, child, tracker, load)
    finally:
        after = work.restarts()
        window = Window(
            unsent=over["unsent"] if over else 0,
            busy=tracker.busy(),
            clock_steps=over["clock_steps"] if over else 0,
            restarted=restarts is not None and after is not None and after > restarts,
        )
        _record(work, number, load, window)


def _watch(work: _Run, child: LoadProcess, tracker: Tracker, load: LoadLevel) -> dict[str, Any]:
    """Follow one level to its end; tell the child to stop when nothing works. Raises LoadProcessDiedError."""
    enough = max(NOTHING_WORKS, 2 * (load.concurrency or 1))
    limit = time.monotonic() + longest_s(work.spec, load)
    while time.monotonic() < limit:
        event = child.receive(POLL_S)
        if event is None:
            continue
        if event["event"] == "level_done":
            return event
        if event["event"] == "phase":
            tracker.phase(event)
        elif event["event"] == "sample":
            work.on_progress(tracker.sample(event))
            if not work.stopped_early and tracker.failed() >= enough and not tracker.completed():
                work.stopped_early = "nothing works"
                child.send({"stop": True})
    raise LoadProcessDiedError("the load process stopped reporting")


def _record(work: _Run, number: int, load: LoadLevel, window: Window) -> None:
    """Read the level's rows, keep them, compute its figures and its verdict."""
    rows = merge_rows(sorted(work.folder.glob(f"rows-{number}-*.jsonl")))
    append_rows(work.out / ROWS, rows)
    found = figures(rows, load, window, work.slo)
    if not found["completed"] and not work.interrupted:
        work.stopped_early = _why_nothing_works(work, rows)
    if found["slo_met"] is not None and found["failed"] > work.spec.max_failed_share * found["requests"]:
        found["slo_met"] = False
    asked = {prompt.id: prompt.asked_input_tokens for prompt in work.target.prompts}
    verdict = judge(Evidence(rows, found, load, window, work.slo, asked))
    work.levels.append(
        Level(**found, valid=verdict.why_invalid is None, why_invalid=verdict.why_invalid, notes=verdict.notes)
    )


def _why_nothing_works(work: _Run, rows: list[Row]) -> str:
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


def _result(work: _Run) -> BenchResult:
    spec, target = work.spec, work.target
    client = {"prompt_lengths": target.calibration.basis, "request_fields": sorted(target.extra)}
    met = [level for level in work.levels if level.slo_met and level.valid]
    return BenchResult(
        target=spec.target,
        model=target.model,
        workload=spec.workload,
        slo=spec.slo,
        seed=spec.seed,
        environment=environment(spec, target.engine, client),
        levels=tuple(work.levels),
        best_under_slo=max(met, key=lambda level: level.goodput_total_tok_s, default=None),
        interrupted=work.interrupted,
        stopped_early=work.stopped_early,
    )
