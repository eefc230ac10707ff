"""`selfhost status`: how served models are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from toolkit.cli import complete
from toolkit.cli import options as o

if TYPE_CHECKING:
    from toolkit.types import Deployment, StatusList

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def status(
    name: str | None = typer.Argument(
        None, help="One server; without it, all of them.", autocompletion=complete.served_names
    ),
    as_json: o.Json = False,
) -> None:
    """Show the state of served models."""
    from toolkit.cli.output import emit
    from toolkit.supervise import api

    if name is None:
        servers = api.status_all()
        if as_json:
            emit(servers)
        else:
            _table(servers)
        return
    one = api.status(name)
    if as_json:
        emit(one)
    else:
        _details(one)


def _table(servers: StatusList) -> None:
    from toolkit.cli.events import duration

    if not servers.servers:
        print("nothing has been served yet; try: selfhost serve MODEL --detach")
        return
    rows = [("NAME", "STATE", "UP", "IN FLIGHT", "RESTARTS", "BACKEND", "ENDPOINT")]
    for s in servers.servers:
        up = "–" if s.uptime_s is None else duration(s.uptime_s)
        rows.append((s.name, s.state, up, str(s.in_flight), str(s.restarts), s.backend, s.base_url))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for s in servers.servers:
        if s.reason:
            print(f"{s.name}: {s.reason}")


def _details(s: Deployment) -> None:
    from toolkit.cli.events import duration, line

    print(f"{s.name}: {s.state}" + (f" ({s.reason})" if s.reason else ""))
    if s.base_url:
        print(f"  endpoint  {s.base_url}  model {s.served_name}, backend {s.backend}")
    if s.uptime_s is not None:
        speed = "" if s.output_tok_s is None else f", {s.output_tok_s:.1f} tok/s"
        print(f"  ready     up {duration(s.uptime_s)}, {s.in_flight} in flight, {s.queued} waiting{speed}")
    print(f"  process   engine {s.pid or '–'}, supervisor {s.supervisor_pid or '–'}, restarts {s.restarts}")
    if s.last_exit:
        print(f"  last exit {s.last_exit.reason} at {s.last_exit.at}")
    for event in s.events:
        print(f"  {line(event)}")
