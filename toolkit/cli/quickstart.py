"""`selfhost quickstart`: every stage once, on a model that is already on this machine."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from toolkit.cli import options as o

if TYPE_CHECKING:
    from toolkit.load.progress import Progress
    from toolkit.types import BenchResult, CostReport, Deployment, Document, Event, LaunchPlan, MemoryPlan, Workload

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

STAGES = ("doctor", "size", "plan", "serve", "bench", "cost", "report")
LEVELS = (1, 2, 4)
CONTEXT = 2048
INPUT_TOKENS, OUTPUT_TOKENS = 128, 48
"""Short requests, so that a minute on two cores holds enough of them."""


@app.command()
def quickstart(
    model: Annotated[str, typer.Option(help="A model that is on this machine.")] = "smollm2-135m",
    duration: Annotated[float, typer.Option(help="Seconds of load per level; three levels.")] = 15,
    gpu_price: Annotated[str | None, typer.Option(help="What this machine costs: 0.10/h, 70/month.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the documents and the report.")] = Path("selfhost-quickstart"),
    as_json: o.Json = False,
) -> None:
    """The whole pipeline on the embedded model, in about two minutes."""
    started = time.monotonic()
    say = _Stages()
    out.mkdir(parents=True, exist_ok=True)
    _doctor(say)
    memory = _size(say, model, out)
    plan = _plan(say, memory, out)
    with _sigterm_is_ctrl_c(), _served(say, plan) as server:
        result = _bench(say, server, plan, duration, out)
    if not any(level.completed for level in result.levels):
        _nothing_measured(result)
    cost = _cost(say, result, gpu_price, out)
    _report(say, result, cost, memory, plan, out, time.monotonic() - started, as_json)
    if result.interrupted:
        raise typer.Exit(130)


def _nothing_measured(result: BenchResult) -> NoReturn:
    """There is no speed to price: interrupted before the first answer, or the server gave none."""
    from toolkit.errors import EnvironmentFailedError

    if result.interrupted:
        raise KeyboardInterrupt
    raise EnvironmentFailedError(f"the load test measured nothing: {result.stopped_early or 'no request succeeded'}")


class _Stages:
    """Numbered lines of progress on stderr."""

    def __init__(self) -> None:
        self.number = 0

    def stage(self, text: str) -> None:
        """The next stage begins."""
        self.number += 1
        self.line(f"[{self.number}/{len(STAGES)}] {STAGES[self.number - 1]:<7} {text}")

    def line(self, text: str) -> None:
        """One line."""
        print(text, file=sys.stderr, flush=True)

    def update(self, text: str) -> None:
        """A line that the next one replaces, on a terminal only."""
        if sys.stderr.isatty():
            print(f"\r\x1b[2K            {text}", end="", file=sys.stderr, flush=True)

    def done(self) -> None:
        """Take the replaced line away."""
        if sys.stderr.isatty():
            print("\r\x1b[2K", end="", file=sys.stderr, flush=True)


def _doctor(say: _Stages) -> None:
    from toolkit.cli.doctor import examine
    from toolkit.errors import NoEngineError

    found = examine()
    machine, engines = found.machine, [e for e in found.engines if e.found]
    names = ", ".join(f"{e.backend} {e.version or ''}".strip() for e in engines)
    gib = machine["memory_available_bytes"] / 2**30
    say.stage(
        f"{machine['usable_cores']} cores, {gib:.1f} GiB free, {len(machine['gpus'])} GPUs; engines: {names or 'none'}"
    )
    if not engines:
        missing = next((e.mend for e in found.engines if e.backend == "llama-server"), None)
        raise NoEngineError("no inference engine is installed", missing)


def _size(say: _Stages, model: str, out: Path) -> MemoryPlan:
    from toolkit.cli.pipeline import memory_plan_for
    from toolkit.report.memory import amount

    memory = memory_plan_for(model, context=CONTEXT, concurrency=max(LEVELS))
    _save(out / "memory.json", memory)
    need = amount(sum(d.total_bytes for d in memory.devices))
    say.stage(
        f"{memory.model} {memory.quant}: {need} for {memory.concurrency} users × {memory.context:,} tokens; "
        f"fits ({memory.certainty})"
        if memory.fits
        else f"{memory.model} does not fit"
    )
    return memory


def _plan(say: _Stages, memory: MemoryPlan, out: Path) -> LaunchPlan:
    from toolkit.cli.pipeline import choose

    plan = choose(memory, "auto", None)
    _save(out / "plan.json", plan)
    others = ", ".join(r.backend for r in plan.rejected)
    say.stage(f"{plan.backend}" + (f" (not {others})" if others else ""))
    return plan


@contextmanager
def _served(say: _Stages, plan: LaunchPlan) -> Iterator[Deployment]:
    """A server of our own name for as long as the block runs; stopped however the block ends."""
    from toolkit.supervise import api

    name = f"quickstart-{os.getpid()}"
    say.stage("starting and waiting until it answers")

    def on_event(event: Event) -> None:
        say.update(f"{event.what} {event.detail}"[:100])

    server = api.start_detached(plan, name=name, port=0, on_event=on_event)
    try:
        say.done()
        say.line(f"            ready in {server.ready_s or 0:.1f} s at {server.base_url}")
        yield server
    finally:
        with _ctrl_c_waits():
            api.stop(name)


def _bench(say: _Stages, server: Deployment, plan: LaunchPlan, duration_s: float, out: Path) -> BenchResult:
    from toolkit.load.run import run
    from toolkit.load.spec import BenchSpec, LoadLevel, endpoint

    workload = _workload()
    say.stage(
        f"{', '.join(map(str, LEVELS))} users, {duration_s:g} s each; "
        f"{INPUT_TOKENS} tokens in, {OUTPUT_TOKENS} out (Locust)"
    )
    spec = BenchSpec(
        endpoint=endpoint(server.base_url),
        target=server.base_url,
        model=plan.served_name,
        workload=workload,
        levels=tuple(LoadLevel(concurrency=n) for n in LEVELS),
        duration_s=duration_s,
        warmup_s=3,
        slo=workload.slo,
        prompt_cache=False,
        command="selfhost quickstart",
        engine={"backend": plan.backend, "version": plan.engine_version, "argv": list(plan.argv)},
        model_file=_model_file(plan.model_path),
    )
    result = run(spec, out, _progress(say))
    say.done()
    for level in result.levels:
        ttft = f"{level.ttft_s.p95 * 1000:.0f} ms" if level.ttft_s else "none"
        say.line(
            f"            {level.concurrency} users: {level.output_tok_s:.1f} tokens/s out, TTFT p95 {ttft}, "
            f"{level.completed} answers, {level.failed} failed"
        )
    return result


def _workload() -> Workload:
    from toolkit import profiles
    from toolkit.types import Lengths

    return profiles.workload("chat").model_copy(
        update={
            "name": "chat, short",
            "input_tokens": Lengths(mean=INPUT_TOKENS),
            "output_tokens": Lengths(mean=OUTPUT_TOKENS),
            "slo": None,
        }
    )


def _progress(say: _Stages) -> Callable[[Progress], None]:
    def show(p: Progress) -> None:
        speed = f", {p.tok_s:.0f} tokens/s" if p.tok_s is not None else ""
        left = f", {p.left_s:.0f} s left" if p.left_s is not None else ""
        say.update(f"{p.label} ({p.stage}, level {p.number} of {p.of}): {p.completed} answers{speed}{left}")

    return show


def _model_file(path: str | None) -> dict[str, Any]:
    """Name, size and SHA-256 of the file that was served."""
    import hashlib

    if path is None or not Path(path).is_file():
        return {}
    with Path(path).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"name": Path(path).name, "bytes": Path(path).stat().st_size, "sha256": digest}


def _cost(say: _Stages, result: BenchResult, gpu_price: str | None, out: Path) -> CostReport:
    from datetime import date

    from toolkit.cost import goodput, machine_price, sources
    from toolkit.cost.quantities import parse_usd_per_hour
    from toolkit.cost.report import DEFAULT_COMPARE, cost_report

    speed = goodput.measured(result, None, allow_invalid=True)
    price = (
        machine_price.given(parse_usd_per_hour(gpu_price), 1) if gpu_price else sources.price_of_machine(result, None)
    )
    report = cost_report(speed, price, sources.quotes(DEFAULT_COMPARE, (speed.request,), date.today()))
    _save(out / "cost.json", report)
    say.stage(f"${report.usage_usd_per_mtok:.2f} per million tokens at ${report.usd_per_gpu_hour:.2f}/h")
    return report


def _report(
    say: _Stages,
    result: BenchResult,
    cost: CostReport,
    memory: MemoryPlan,
    plan: LaunchPlan,
    out: Path,
    seconds: float,
    as_json: bool,
) -> None:
    from toolkit.cli.output import emit
    from toolkit.load.files import ROWS
    from toolkit.load.rows import read_rows
    from toolkit.report.quickstart import summary
    from toolkit.report.write import write_bench_report
    from toolkit.types import QuickstartResult

    page = write_bench_report(out, result, list(read_rows(out / ROWS)), cost)
    say.stage(str(page))
    best = result.best_under_slo or max(result.levels, key=lambda level: level.output_tok_s)
    document = QuickstartResult(
        model=plan.served_name,
        backend=plan.backend,
        fits=memory.fits,
        users=best.concurrency or 0,
        ttft_p95_s=best.ttft_s.p95 if best.ttft_s else None,
        output_tok_s=best.output_tok_s,
        usd_per_mtok=cost.usage_usd_per_mtok,
        usd_per_hour=cost.usd_per_gpu_hour * cost.gpus,
        price_how=cost.price_how,
        folder=str(out.resolve()),
        report=str(page.resolve()),
        seconds=seconds,
    )
    if as_json:
        emit(document)
    else:
        print(summary(document, cost))


def _save(path: Path, document: Document) -> None:
    path.write_text(document.model_dump_json(by_alias=True, indent=1), encoding="utf-8")


@contextmanager
def _sigterm_is_ctrl_c() -> Iterator[None]:
    """SIGTERM unwinds like Ctrl-C, so that the server is stopped."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _ctrl_c_waits() -> Iterator[None]:
    """A second Ctrl-C does not cut the clean-up short."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
