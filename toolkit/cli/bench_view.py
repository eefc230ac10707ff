"""What `selfhost bench` shows: a line of progress on stderr while it runs, a table at the end."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from toolkit.load.progress import Progress
    from toolkit.types import BenchResult, Level, Stat

PLAIN_EVERY_S = 5.0
COLUMNS = ("load", "tokens/s", "each", "TTFT p50", "p95", "ITL p50", "p99 ms", "req/s", "failed", "")
EMBEDDING_COLUMNS = ("load", "input tokens/s", "latency p50", "p95", "p99 ms", "req/s", "failed", "")
STAGES = {"prepare": "preparing", "warmup": "warming up", "measure": "measuring", "drain": "waiting for the last"}


class Live:
    """One line that is replaced on a terminal; elsewhere a line when something changes, and every few seconds."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._last: tuple[str, int, str] | None = None
        self._said_at = 0.0

    def __enter__(self) -> Live:
        return self

    def __exit__(self, *_: object) -> None:
        if self._terminal and self._last is not None:
            print("\r\x1b[2K", end="", file=sys.stderr, flush=True)

    def update(self, progress: Progress) -> None:
        """Show it, or not yet."""
        now, state = time.monotonic(), (progress.stage, progress.number, progress.label)
        if self._quiet:
            return
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\x1b[2K{line(progress)[:width]}", end="", file=sys.stderr, flush=True)
        elif state != self._last or now - self._said_at > PLAIN_EVERY_S:
            print(line(progress), file=sys.stderr, flush=True)
            self._said_at = now
        self._last = state


def line(progress: Progress) -> str:
    """``[2/4] 4 users · measuring · 173 tokens/s · TTFT p95 210 ms · 37 done, 0 failed · 12 s left``."""
    of = "" if progress.of is None else f"/{progress.of}"
    parts = [f"[{progress.number}{of}] {progress.label}", STAGES[progress.stage]]
    if progress.stage == "prepare":
        return progress.label
    if progress.tok_s is not None:
        parts.append(f"{progress.tok_s:.0f} tokens/s")
    if progress.ttft_p95_s is not None:
        parts.append(f"TTFT p95 {progress.ttft_p95_s * 1e3:.0f} ms")
    parts.append(f"{progress.completed} done, {progress.failed} failed")
    if progress.left_s is not None and progress.stage != "drain":
        parts.append(f"{progress.left_s:.0f} s left")
    return " · ".join(parts)


def show(result: BenchResult, folder: Path, report: Path | None) -> None:
    """The table, what to think of it, and where the files are."""
    summary(result)
    print(f"report: {report or folder}")


def summary(result: BenchResult) -> None:
    """The table of the levels, and what to think of them."""
    from rich.markup import escape
    from rich.table import Table

    from toolkit.cli.output import console
    from toolkit.cost.goodput import load_of
    from toolkit.report.headline import headline, load_key, verdicts

    screen = console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    embeds = result.endpoint == "embeddings"
    for name in EMBEDDING_COLUMNS if embeds else COLUMNS:
        table.add_column(name, justify="left" if name in ("load", "") else "right", no_wrap=True)
    for level in sorted(result.levels, key=load_key):
        table.add_row(load_of(level), *(_embedding_cells(level) if embeds else _cells(level)))
    screen.print(table)
    screen.print()
    screen.print(escape(headline(result)))
    if result.search is not None:
        screen.print(escape(result.search.statement))
        screen.print(f"ended because {escape(result.search.ended_because)}")
    for reason in verdicts(result):
        screen.print(f"not valid: {escape(reason)}")


def _ms(stat: Stat | None, quantile: str) -> str:
    return f"{getattr(stat, quantile) * 1e3:,.0f}" if stat else "–"


def _embedding_cells(level: Level) -> list[str]:
    times = [_ms(level.e2e_s, quantile) for quantile in ("p50", "p95", "p99")]
    return [f"{level.input_tok_s:,.1f}", *times, f"{level.request_s:.2f}", f"{level.failed}", _verdict(level)]


def _verdict(level: Level) -> str:
    if not level.valid:
        return "not valid"
    return {True: "meets the SLO", False: "misses the SLO", None: ""}[level.slo_met]


def _cells(level: Level) -> list[str]:
    each = f"{level.decode_tok_s_per_user:.1f}" if level.decode_tok_s_per_user else "–"
    return [
        f"{level.output_tok_s:,.1f}",
        each,
        _ms(level.ttft_s, "p50"),
        _ms(level.ttft_s, "p95"),
        _ms(level.itl_s, "p50"),
        _ms(level.itl_s, "p99"),
        f"{level.request_s:.2f}",
        f"{level.failed}",
        _verdict(level),
    ]
