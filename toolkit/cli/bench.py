"""`selfhost bench`: load-test an endpoint, judge the result, write the report."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from toolkit.cli import bench_expect, bench_machines, bench_prompts
from toolkit.cli import bench_options as b
from toolkit.cli import options as o
from toolkit.cli.bench_load import Words, load, seconds
from toolkit.cli.interrupts import interrupted_once

if TYPE_CHECKING:
    from toolkit.load.spec import BenchSpec, Endpoint
    from toolkit.types import BenchResult, Deployment, SelfCheck

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
@interrupted_once()
def bench(
    target: b.Target = None,
    model: b.Model = None,
    endpoint: b.Endpoint = "chat",
    workload: b.Workload = "chat",
    input_len: b.InputLen = None,
    output_len: b.OutputLen = None,
    lengths: b.Lengths = None,
    prompts: b.Prompts = None,
    shared_prefix: b.SharedPrefix = None,
    cache_bust: b.CacheBust = None,
    turns: b.Turns = 1,
    think: b.Think = "0s",
    concurrency: b.Concurrency = None,
    rate: b.Rate = None,
    arrival: b.Arrival = "constant",
    sweep: b.Sweep = False,
    find_max: b.FindMax = False,
    ramp: b.Ramp = None,
    trace: b.Trace = None,
    trace_speed: b.TraceSpeed = 1.0,
    search_time: b.SearchTime = "30m",
    max_in_flight: b.MaxInFlight = 512,
    duration: b.Duration = None,
    warmup: b.Warmup = None,
    max_requests: b.MaxRequests = None,
    slo: b.Slo = None,
    max_failed: b.MaxFailed = 0.01,
    timeout: b.Timeout = None,
    stall: b.Stall = "60s",
    ignore_eos: b.IgnoreEos = None,
    prompt_cache: b.PromptCache = None,
    processes: b.Processes = 1,
    workers: b.Workers = None,
    listen: b.Listen = None,
    worker_of: b.WorkerOf = None,
    api_key_env: b.ApiKeyEnv = None,
    out: b.Out = None,
    export: b.Export = None,
    prediction: b.Prediction = None,
    label: b.Label = None,
    seed: b.Seed = 0,
    self_check: b.SelfCheck = False,
    as_json: o.Json = False,
    quiet: b.Quiet = False,
) -> None:
    """Load-test an endpoint and write the report.

    Exit status 1 when more requests failed than allowed, or no level met the service level; 3 when nothing answers.
    """
    from toolkit.cli import deployed
    from toolkit.cli.bench_view import Live, show
    from toolkit.cli.output import emit
    from toolkit.load.history import check_label
    from toolkit.load.run import run

    if worker_of is not None:
        return bench_machines.join(target, worker_of, processes, _key_variable(api_key_env), as_json=as_json)
    checked = _self_check(quiet=quiet, as_json=as_json, alone=target is None) if self_check else None
    there = deployed.deployment(target)
    address, served = _target(deployed.address(there) if there else target)
    asked, drawn = bench_prompts.workload(workload, input_len, output_len, lengths, shared_prefix)
    spec = _spec(
        endpoint=address,
        target=target or "",
        kind=endpoint,
        model=model or next((known.served_name for known in (there, served) if known), None) or None,
        **load(
            Words(concurrency, rate, sweep, find_max, search_time, ramp, trace, trace_speed, duration, warmup), asked
        ),
        **bench_prompts.fields(prompts, drawn, cache_bust, turns, seconds(think, "think time")),
        arrival=arrival,
        max_in_flight=max_in_flight,
        max_requests=max_requests,
        slo=_slo(slo, asked.slo if find_max else None),
        max_failed_share=max_failed,
        seed=seed,
        processes=processes,
        machines=bench_machines.machines(workers, listen),
        api_key_env=_key_variable(api_key_env or (there.key_env if there else None)),
        ignore_eos=ignore_eos,
        prompt_cache=prompt_cache,
        limits=_limits(timeout, stall),
        command=shlex.join(["selfhost", *sys.argv[1:]]),
        label=check_label(label),
        prediction=_prediction(prediction),
        self_check=checked,
        **({"engine": deployed.facts(there)} if there else _facts(served)),
    )
    folder = out or Path("selfhost-bench") / _now()
    with Live(quiet=quiet) as live:
        result = run(spec, folder, live.update, _restarts(served.name) if served else None)
    if served is not None:
        result = bench_expect.expected(result, served.name, folder)
    report = _report(folder, result)
    _remember(folder, result)
    if export is not None and report is not None:
        _export(report, export, len(result.levels))
    if as_json:
        emit(result)
    elif not quiet:
        show(result, folder, report)
    raise typer.Exit(_status(result, max_failed))


def _self_check(*, quiet: bool, as_json: bool, alone: bool) -> SelfCheck:
    """The check; exits when it was asked for alone, when it was interrupted, or with 1 when it was failed."""
    from toolkit.cli import bench_check
    from toolkit.cli.output import emit

    found = bench_check.check(quiet=quiet)
    if alone and as_json:
        emit(found)
    elif not quiet or not found.within_bars:
        bench_check.show(found, stderr=not alone)
    if found.interrupted:
        raise typer.Exit(130)
    if alone or not found.within_bars:
        raise typer.Exit(0 if found.within_bars else 1)
    return found


def _target(target: str | None) -> tuple[Endpoint, Deployment | None]:
    """The endpoint of a URL or of a served name, and the name's status."""
    from toolkit.errors import EnvironmentFailedError, InputError
    from toolkit.load.spec import endpoint, looks_like_url
    from toolkit.supervise import api

    if target is None:
        raise InputError("there is no target", "Give a served name, a URL, or a folder of `deploy`.")
    if looks_like_url(target):
        return endpoint(target), None
    served = api.status(target)
    if served.state not in ("ready", "degraded"):
        why = f": {served.reason}" if served.reason else ""
        raise EnvironmentFailedError(f"{target} is {served.state}, not ready{why}", "Serve it first.")
    return endpoint(served.base_url), served


def _restarts(name: str) -> Callable[[], int | None]:
    from toolkit.errors import SelfhostError
    from toolkit.supervise import api

    def count() -> int | None:
        try:
            return api.status(name).restarts
        except SelfhostError:
            return None

    return count


def _facts(served: Deployment | None) -> dict[str, Any]:
    """What the supervisor knows of the engine and the model's file."""
    if served is None:
        return {}
    from toolkit.load.environment import model_file
    from toolkit.supervise import store

    engine: dict[str, Any] = {"backend": served.backend, **served.effective_config}
    spec = store.folder_of(served.name).read_spec()
    if spec is None:
        return {"engine": engine, "engine_pid": served.pid}
    engine |= {"version": spec.plan.engine_version, "argv": list(spec.plan.argv)}
    return {"engine": engine, "engine_pid": served.pid, "model_file": model_file(spec.plan.model_path)}


def _limits(timeout: str | None, stall: str) -> dict[str, float]:
    asked = {} if timeout is None else {"request_s": seconds(timeout, "timeout")}
    return {**asked, "stall_s": seconds(stall, "stall")}


def _slo(text: str | None, default: str | None) -> str | None:
    from toolkit.load.slo import parse

    text = default if text is None else text
    return parse(text).text if text is not None else None


def _key_variable(name: str | None) -> str | None:
    import os

    from toolkit.errors import InputError

    if name is not None and not name.isidentifier():  # perhaps the key itself: not to be repeated
        raise InputError("that is not the name of an environment variable", "Give its name, not the key.")
    if name is not None and not os.environ.get(name):
        raise InputError(f"the environment variable {name} is not set", "Put the API key into it.")
    return name


def _spec(**fields: Any) -> BenchSpec:
    from pydantic import ValidationError

    from toolkit.errors import InputError
    from toolkit.load.spec import BenchSpec

    try:
        return BenchSpec.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:  # of the whole: its input is everything there is
            raise InputError(first["msg"].removeprefix("Value error, ")) from None
        name = ".".join(map(str, first["loc"])).replace("_", " ")
        raise InputError(f"{name} {first.get('input')!r}: {first['msg']}") from None


def _report(folder: Path, result: BenchResult) -> Path | None:
    from toolkit.load.files import ROWS
    from toolkit.load.rows import read_rows
    from toolkit.report.write import write_bench_report

    return write_bench_report(folder, result, list(read_rows(folder / ROWS))) if result.levels else None


def _prediction(file: Path | None) -> Any:
    """A prediction document. Raises InputError."""
    from pydantic import ValidationError

    from toolkit.errors import InputError
    from toolkit.types import Prediction

    if file is None:
        return None
    try:
        return Prediction.model_validate_json(file.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror or error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the document"
        raise InputError(
            f"{file} is no prediction: {where}: {first['msg']}", "Write one with `selfhost predict … --json`."
        ) from None


def _export(report: Path, kind: Literal["svg", "png"], levels: int) -> None:
    """The plots as files; a browser that is missing spoils no bench."""
    from toolkit.cli.output import note
    from toolkit.errors import EnvironmentFailedError
    from toolkit.report.export import export_plots

    try:
        written = export_plots(report, kind, levels)
        note(f"{len(written)} plots in {written[0].parent}" if written else "the report has no plots")
    except EnvironmentFailedError as error:
        note(f"plots not exported: {error.message}{f'. {error.hint}' if error.hint else ''}")


def _remember(folder: Path, result: BenchResult) -> None:
    """Into the history; a state folder that cannot be written spoils no bench."""
    from toolkit.cli.output import note
    from toolkit.load import history

    if not result.levels:
        return
    try:
        history.keep(folder, result, result.label)
    except OSError as error:
        note(f"not kept in the history: {error.strerror or error} ({history.root()})")


def _now() -> str:
    from datetime import datetime

    return datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")


def _status(result: BenchResult, max_failed: float) -> int:
    """130 interrupted; 1 too many failures or the service level missed everywhere; else 0."""
    if result.interrupted:
        return 130
    if result.search is not None and result.search.mode == "find_max":
        return 0 if result.best_under_slo is not None else 1
    missed = result.slo is not None and not any(level.slo_met for level in result.levels)
    requests, failed = sum(lv.requests for lv in result.levels), sum(lv.failed for lv in result.levels)
    broken = result.stopped_early is not None or failed > max_failed * requests
    return 1 if missed or broken else 0
