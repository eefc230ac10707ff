"""Runs a bench: prepares the target, drives the load process level by level, computes and writes the result."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from toolkit.load import find_max, sweep
from toolkit.load import slo as slo_of
from toolkit.load.child import LoadProcess, LoadProcessDiedError
from toolkit.load.crew import joining
from toolkit.load.environment import environment
from toolkit.load.files import open_folder, write_result
from toolkit.load.level import Restarts, Run, run_level
from toolkit.load.observer import Observer
from toolkit.load.orders import child_spec, write_prompts, write_trace
from toolkit.load.progress import OnProgress, Progress
from toolkit.load.prompts import bodies
from toolkit.load.proxy import proxy_for
from toolkit.load.spec import BenchSpec, LoadLevel
from toolkit.load.target import prepare
from toolkit.types import BenchResult, Level, Search


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
    if slo and spec.kind == "embeddings":
        slo_of.check_whole(slo)
    key = os.environ.get(spec.api_key_env) if spec.api_key_env else None
    report = on_progress or (lambda _: None)
    report(Progress("prepare", "getting to know the target", 0, len(spec.levels) or None))
    epoch_ns = time.perf_counter_ns()
    target = prepare(spec, key)
    open_folder(out)
    ended = "the load process ended"
    with tempfile.TemporaryDirectory(prefix="selfhost-bench-") as folder:
        work = Run(spec, target, slo, out, Path(folder), report, restarts or (lambda: None), [])
        try:
            with Observer(spec.endpoint, key, epoch_ns, spec.engine_pid) as work.observer:
                ended = _drive(work, epoch_ns)
        except LoadProcessDiedError as error:
            if not work.levels:
                raise
            work.stopped_early = error.message
        finally:
            if work.observer is not None:
                work.observer.write(out)
    result = _result(work, ended)
    write_result(out, result)
    return result


def _drive(work: Run, epoch_ns: int) -> str:
    """Run level after level; returns why there are no more."""
    spec, target = work.spec, work.target
    pieces = bodies(target.prompts, target.model, target.extra, spec.kind, unique=spec.busts_caches, turns=spec.turns)
    write_prompts(work.folder, pieces)
    write_trace(work.folder, target.trace)
    orders = child_spec(spec, work.folder, epoch_ns, target.silence_s)
    try:
        with LoadProcess(work.folder, orders, spec.processes, spec.machines, _on_crew(work)) as child:
            work.crew.joined(child.crew)
            began = time.monotonic()
            while not (work.stopped_early or work.interrupted):
                load = _next(work, time.monotonic() - began)
                if isinstance(load, str):
                    return load
                run_level(work, child, load)
    except KeyboardInterrupt:
        work.interrupted = True
    return "it was interrupted" if work.interrupted else work.stopped_early or ""


def _on_crew(work: Run) -> Callable[[dict[str, Any]], None]:
    machines, of = work.spec.machines, len(work.spec.levels) or None
    address = machines.address if machines else ""
    return lambda event: work.on_progress(Progress("prepare", joining(event, address), 0, of))


def _next(work: Run, spent_s: float) -> LoadLevel | str:
    """The next level, or why there is none."""
    spec, done = work.spec, len(work.levels)
    if spec.search is None:
        return spec.levels[done] if done < len(spec.levels) else "every level was run"
    load = (
        sweep.step(spec.search, work.levels)
        if spec.search.mode == "sweep"
        else find_max.step(spec.search, work.levels, spec.arrival)
    )
    if isinstance(load, str):
        return load
    if spec.search.mode == "find_max":
        load = load.model_copy(update={"duration_s": find_max.duration_s(load, spec.duration_s, work.slo)})
    if work.levels and spent_s + spec.warmup_s + spec.seconds(load) > spec.search.longest_s:
        return f"the time for the search, {spec.search.longest_s:g} s, was over"
    return load


def _search(work: Run, ended_because: str) -> Search | None:
    plan = work.spec.search
    if plan is None:
        return None
    if plan.mode == "sweep":
        return sweep.finding(plan, work.levels, ended_because)
    return find_max.finding(plan, work.levels, ended_because, work.spec.arrival)


def _best_under_slo(work: Run, search: Search | None) -> Level | None:
    """The search's own choice; else the level of most goodput among those that met the service level."""
    if search is not None and search.mode == "find_max":
        return None if search.best_level is None else work.levels[search.best_level]
    met = [level for level in work.levels if level.slo_met and level.valid]
    return max(met, key=lambda level: level.goodput_total_tok_s, default=None)


def _result(work: Run, ended_because: str) -> BenchResult:
    spec, target = work.spec, work.target
    client: dict[str, object] = {"prompt_lengths": target.calibration.basis, "request_fields": sorted(target.extra)}
    client |= work.observer.facts if work.observer else {}
    client |= work.crew.facts()
    proxy = proxy_for(spec.endpoint)
    client |= {"proxy": proxy.address} if proxy else {}
    if spec.self_check is not None:
        client["self_check"] = spec.self_check.model_dump(mode="json", exclude={"schema_version", "kind"})
    search = _search(work, ended_because)
    return BenchResult(
        target=spec.target,
        model=target.model,
        endpoint=spec.kind,
        workload=spec.workload,
        slo=spec.slo,
        seed=spec.seed,
        label=spec.label,
        prediction=spec.prediction,
        environment=environment(spec, target.engine, client),
        levels=tuple(work.levels),
        best_under_slo=_best_under_slo(work, search),
        search=search,
        interrupted=work.interrupted,
        stopped_early=work.stopped_early,
    )
