"""`selfhost runs`: the benches that were run here, by id and label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.cli import options as o

if TYPE_CHECKING:
    from toolkit.types import RunRef

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

COLUMNS = ("run", "label", "model", "loads", ">tokens/s", "valid", "target")


@app.command()
def runs(
    name: Annotated[str | None, typer.Argument(help="Show one run: its id, or a label (the newest of that).")] = None,
    text: Annotated[str | None, typer.Option("--filter", "-f", help="Only runs that mention this.")] = None,
    as_json: o.Json = False,
) -> None:
    """List the benches that were run here, or show one.

    With --json and a name: the bench's own result document.
    """
    from toolkit.cli.listing import holds, one_way
    from toolkit.cli.output import emit
    from toolkit.load import history
    from toolkit.types import RunList

    one_way(name, text)
    if name:
        card = history.find(name)
        result = history.document(card)
        if as_json:
            emit(result)
            return
        from toolkit.cli.bench_view import summary

        _facts(card)
        summary(result)
        return
    found = [r for r in history.runs() if holds(text, (r.id, r.label, r.model, r.target, r.workload, r.endpoint))]
    if as_json:
        emit(RunList(runs=tuple(found)))
    else:
        _table(found)


def _facts(card: RunRef) -> None:
    from toolkit.cli.listing import draw_record

    facts = (
        ("label", card.label),
        ("model", card.model),
        ("target", card.target),
        ("endpoint", card.endpoint),
        ("workload", card.workload),
        ("started", card.at),
        ("report", card.folder),
    )
    draw_record(card.id, facts)
    print()


def _table(found: list[RunRef]) -> None:
    from toolkit.cli.listing import draw_rows, figure

    rows = [
        (
            run.id,
            run.label or "",
            run.model.rpartition("/")[2] or run.model,
            ", ".join(run.loads[:4]) + (f" and {len(run.loads) - 4} more" if len(run.loads) > 4 else ""),
            figure(round(run.output_tok_s, 1) if run.output_tok_s is not None else None),
            "yes" if run.valid else "no",
            run.target,
        )
        for run in found
    ]
    footer = "`selfhost compare A B` compares two." if found else "No bench has run here yet."
    draw_rows(COLUMNS, rows, footer)
