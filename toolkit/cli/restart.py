"""`selfhost restart`: drain, stop and start a served model again."""

from __future__ import annotations

import typer

from toolkit.cli import complete
from toolkit.cli import options as o

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def restart(
    name: str = typer.Argument(
        help="The server; a stopped one is started as it was.", autocompletion=complete.served_names
    ),
    zero_downtime: bool = typer.Option(
        False, "--zero-downtime", help="Bring a second engine up first, then hand over; needs memory for two."
    ),
    fall_back: bool = typer.Option(
        False, "--fall-back", help="With --zero-downtime: restart with a pause where memory does not suffice for two."
    ),
    as_json: o.Json = False,
) -> None:
    """Restart a served model."""
    from toolkit.cli.events import line
    from toolkit.cli.output import emit, note
    from toolkit.errors import InputError
    from toolkit.supervise import api

    if fall_back and not zero_downtime:
        raise InputError("--fall-back says what to do where --zero-downtime cannot be had", "give both, or neither.")
    final = api.restart(name, lambda event: note(line(event)), zero_downtime=zero_downtime, fall_back=fall_back)
    note(f"ready at {final.base_url}")
    if as_json:
        emit(final)
