"""`selfhost size`: the memory plan."""

from __future__ import annotations

from typing import Any

import typer

from toolkit.cli import complete
from toolkit.cli import options as o
from toolkit.cli.size_options import with_settings

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
@with_settings()
def size(
    model: str = typer.Argument(
        help="Profile name, Hugging Face id, .gguf file, or folder with config.json.",
        autocompletion=complete.model_names,
    ),
    *,
    exact: bool = typer.Option(False, "--exact", help="llama.cpp: ask the engine's own planner (this machine)."),
    every_gpu: bool = typer.Option(False, "--every-gpu", help="The fewest devices of every known GPU that hold it."),
    vs: str | None = typer.Option(None, help="A second model under the same conditions, side by side."),
    markdown: bool = typer.Option(False, "--markdown", help="Print Markdown instead of plain text."),
    as_json: o.Json = False,
    **settings: Any,
) -> None:
    """How much memory a model needs, whether it fits, and what to change.

    Exit status 1 when the asked context and concurrency do not fit.
    """
    from toolkit.cli.output import emit
    from toolkit.cli.pipeline import memory_plan_for
    from toolkit.errors import InputError

    named = ("gpu", "vram_gib", "tp", "pp", "tensor_split", "split_mode", "main_gpu")
    if every_gpu and (exact or any(settings[n] not in (None, []) for n in named)):
        raise InputError("every GPU was asked for, and a device or its split was named too", "leave one of them out.")
    plan = memory_plan_for(model, exact=exact, every_gpu=every_gpu, **settings)
    if vs is not None:
        second = memory_plan_for(vs, exact=exact, every_gpu=every_gpu, **settings)
        plan = plan.model_copy(update={"versus": second})
    if as_json:
        emit(plan)
    else:
        from toolkit.report import memory

        print(memory.markdown(plan) if markdown else memory.render(plan))
    raise typer.Exit(0 if plan.fits else 1)
