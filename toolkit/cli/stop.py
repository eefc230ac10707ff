"""`selfhost stop`: drain and stop a served model."""

from __future__ import annotations

import typer

from toolkit.cli import complete
from toolkit.cli import options as o

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def stop(
    name: str | None = typer.Argument(
        None, help="The server; may be left out when only one runs.", autocompletion=complete.served_names
    ),
    now: bool = typer.Option(False, "--now", help="Do not wait for requests in flight."),
    as_json: o.Json = False,
) -> None:
    """Stop a served model."""
    from toolkit.cli.events import line
    from toolkit.cli.output import emit, note
    from toolkit.errors import InputError
    from toolkit.supervise import api

    if name is None:
        running = [s.name for s in api.status_all().servers if s.supervisor_pid or s.pid]
        if len(running) > 1:
            raise InputError(f"{len(running)} servers run: {', '.join(running)}", "name the one to stop.")
        if not running:
            known = api.status_all()
            note("nothing is running")
            if as_json:
                emit(known)
            return
        name = running[0]
    final = api.stop(name, lambda event: note(line(event)), now=now)
    note(f"{name} is {final.state}")
    if as_json:
        emit(final)
