"""`selfhost bench --self-check`: the error of this machine's load generator, before any real run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolkit.types import CheckedLoad, SelfCheck


def check(*, quiet: bool) -> SelfCheck:
    """Run it, with progress on stderr."""
    from toolkit.cli.bench_view import Live
    from toolkit.load.self_check import self_check

    with Live(quiet=quiet) as live:
        return self_check(on_progress=live.update)


def show(found: SelfCheck, *, stderr: bool) -> None:
    """The errors as a table, and what to think of them."""
    from rich.table import Table

    from toolkit.cli.output import console

    screen = console(stderr=stderr)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("streams", "TTFT error mean", "p99 ms", "ITL p99 error ms", "tokens/s error", "CPU", ""):
        table.add_column(name, justify="left" if not name else "right", no_wrap=True)
    for load in found.loads:
        table.add_row(*_cells(load))
    bars = found.bars
    table.add_row("allowed", f"±{bars['ttft_mean_ms']:g}", f"{bars['ttft_p99_ms']:g}", f"±{bars['itl_p99_ms']:g}",
                  f"±{bars['throughput_share']:.1%}", "", "")  # fmt: skip
    screen.print(table)
    screen.print()
    screen.print(verdict(found))


def verdict(found: SelfCheck) -> str:
    """In one sentence."""
    if found.interrupted:
        return "interrupted before the check was over"
    good = [load.streams for load in found.loads if load.within_bars]
    if found.within_bars:
        return f"This machine measures truly up to {max(good)} streams with one process."
    if good and max(good) < min(load.streams for load in found.loads if not load.within_bars):
        return (
            f"This machine measures truly up to {max(good)} streams and not beyond: "
            "end other work, or use more processes or another machine."
        )
    return "This machine does not measure truly now: end other work on it, or use another one."


def _cells(load: CheckedLoad) -> list[str]:
    def ms(value: float | None, sign: str = "+") -> str:
        return "–" if value is None else f"{value:{sign}.3f}"

    return [
        f"{load.streams}",
        ms(load.ttft_mean_ms),
        ms(load.ttft_p99_ms, ""),
        ms(load.itl_p99_ms),
        "–" if load.throughput_share is None else f"{load.throughput_share:+.2%}",
        "–" if load.client_busy is None else f"{load.client_busy:.0%}",
        "" if load.within_bars else f"{load.failed} failed" if load.failed else "not within the bars",
    ]
