"""`selfhost doctor`: what this machine has, and the command that mends what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from toolkit.cli import options as o

if TYPE_CHECKING:
    from toolkit.types import Doctor

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def doctor(as_json: o.Json = False) -> None:
    """What this machine has, which engines are found, and what is missing."""
    from toolkit.cli.output import emit

    found = examine()
    if as_json:
        emit(found)
    else:
        from toolkit.report.doctor import render

        print(render(found))
    raise typer.Exit(0 if any(e.found for e in found.engines) else 1)


def examine() -> Doctor:
    """Look at the machine and for every engine once."""
    from toolkit import machine
    from toolkit.backends.base import installed
    from toolkit.models import embedded
    from toolkit.plan import INSTALL
    from toolkit.profiles import models
    from toolkit.types import Doctor, EngineFound

    engines = []
    for backend in installed():
        if backend.name == "command":
            continue
        engine = backend.find()
        engines.append(
            EngineFound(
                backend=backend.name,
                found=engine is not None,
                version=engine.version if engine else None,
                where=engine.where if engine else None,
                gpu=engine.gpu if engine else False,
                mend=None if engine else INSTALL.get(backend.name),
            )
        )
    packaged = {m.name: embedded.find(m.packaged) for m in models().values() if m.packaged}
    snapshot = machine.snapshot()
    return Doctor(
        machine=snapshot.model_dump(mode="json"),
        engines=tuple(engines),
        models={name: str(path) if path else None for name, path in packaged.items()},
    )
