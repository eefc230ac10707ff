"""`selfhost workloads`: the kinds of load we can send, and what each assumes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.cli import options as o

if TYPE_CHECKING:
    from toolkit.types import Lengths, Workload

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

COLUMNS = ("workload", ">tokens in", ">tokens out", ">shared", "service level", "description")


@app.command()
def workloads(
    name: Annotated[str | None, typer.Argument(help="Show one workload in full.")] = None,
    text: Annotated[str | None, typer.Option("--filter", "-f", help="Only workloads that mention this.")] = None,
    as_json: o.Json = False,
) -> None:
    """Browse the workload profiles."""
    from toolkit import profiles
    from toolkit.cli.listing import draw_rows, figure, holds, one_way
    from toolkit.cli.output import emit
    from toolkit.types import WorkloadList

    one_way(name, text)
    if name:
        found = [profiles.workload(name)]
    else:
        found = [w for w in profiles.workloads().values() if holds(text, (w.name, w.description, w.material))]
    if as_json:
        emit(WorkloadList(workloads=tuple(found)))
    elif name:
        _page(found[0])
    else:
        rows = [
            (
                w.name,
                figure(w.input_tokens.mean),
                figure(w.output_tokens.mean),
                f"{w.shared_prefix_share:.0%}",
                w.slo or "",
                w.description,
            )
            for w in found
        ]
        draw_rows(COLUMNS, rows, "Tokens are means. `selfhost workloads NAME` shows one with its source.")


def _page(workload: Workload) -> None:
    from toolkit.cli.listing import draw_record

    facts = (
        ("description", workload.description),
        ("tokens in", _words(workload.input_tokens)),
        ("tokens out", _words(workload.output_tokens)),
        ("shared prefix", f"{workload.shared_prefix_share:.0%} of each prompt is the same for all"),
        ("service level", workload.slo),
        ("material", workload.material),
        ("source", workload.source),
        ("checked", workload.checked.isoformat()),
    )
    draw_record(workload.name, facts)


def _words(lengths: Lengths) -> str:
    from toolkit.cli.listing import figure

    if lengths.shape == "fixed":
        return f"always {figure(lengths.mean)}"
    most = f" to {figure(lengths.max)}" if lengths.max else " up"
    spread = f" ± {figure(lengths.stdev)}" if lengths.stdev else ""
    return f"{figure(lengths.mean)}{spread}, {lengths.shape}, from {figure(lengths.min)}{most}"
