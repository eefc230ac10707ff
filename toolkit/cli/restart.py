"""`selfhost restart`: drain, stop and start a served model again."""

from __future__ import annotations

import typer

from toolkit.cli import options as o

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def restart(
    name: str = typer.Argument(help="The server; a stopped one is started as it was."),
    as_json: o.Json = False,
) -> None:
    """Restart a served model."""
    from toolkit.cli.events import line
    from toolkit.cli.output import emit, note
    from toolkit.supervise import api

    final = api.restart(name, lambda event: note(line(event)))
    note(f"ready at {final.base_url}")
    if as_json:
        emit(final)
