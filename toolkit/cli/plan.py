"""`selfhost plan`: which backend, with which words, and why."""

from __future__ import annotations

from typing import Any

import typer

from toolkit.cli import complete
from toolkit.cli import options as o
from toolkit.cli.size_options import with_settings

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
@with_settings(concurrency=4)
def plan(
    model: str = typer.Argument(
        help="Profile name, a .gguf file, a folder, or a memory_plan file.", autocompletion=complete.model_names
    ),
    backend: str = typer.Option("auto", help="auto, or one backend by name."),
    name: str | None = typer.Option(None, help="Served name. Default: from the model's name."),
    *,
    elsewhere: bool = typer.Option(
        False, "--elsewhere", help="For another machine, to be deployed: engines need not be installed here."
    ),
    as_json: o.Json = False,
    **settings: Any,
) -> None:
    """Pick the backend and the exact launch settings, with reasons."""
    from toolkit.cli.output import emit
    from toolkit.cli.pipeline import launch_plan_for

    chosen = launch_plan_for(model, backend=backend, served_name=name, elsewhere=elsewhere, **settings)
    if as_json:
        emit(chosen)
    else:
        from toolkit.report.launch import render

        print(render(chosen))
