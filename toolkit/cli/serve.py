"""`selfhost serve`: launch a model under supervision, in the foreground or detached."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from toolkit.cli import complete
from toolkit.cli import options as o

if TYPE_CHECKING:
    from toolkit.supervise.limits import Limits
    from toolkit.types import LaunchPlan

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def serve(
    call: typer.Context,
    model: str | None = typer.Argument(
        None, help="Profile name, a .gguf file, a folder, or a launch_plan file.", autocompletion=complete.model_names
    ),
    backend: str = typer.Option("auto", help="auto, vllm, llama-server, llama-cpp-python or command."),
    name: str | None = typer.Option(None, help="What status, logs and stop call it. Default: the served name."),
    served_name: str | None = typer.Option(None, help="The model's name in the API. Default: from the model."),
    host: str = typer.Option("127.0.0.1", help="Address to listen on; any but loopback needs a key file."),
    port: int = typer.Option(8000, min=0, max=65535, help="Port to listen on; 0 picks a free one."),
    api_key_file: Path | None = typer.Option(None, help="File of mode 600 with one API key a line."),
    detach: bool = typer.Option(False, "--detach", help="Return when it is ready and leave it running."),
    config: Path | None = typer.Option(None, help="TOML file with limits in a table [supervise]."),
    gpu_price: str | None = typer.Option(None, help="Price of the machine, e.g. 1.39/h: shows $ per million tokens."),
    systemd_unit: bool = typer.Option(False, "--systemd-unit", help="Print a systemd unit for this; start nothing."),
    cmd: str | None = typer.Option(None, help="With --backend command: the words to run; {port} is filled in."),
    health_path: str = typer.Option("/health", help="With --backend command: path that answers 200 when up."),
    context: o.Context = None,
    concurrency: o.Concurrency = 4,
    gpu: o.Gpu = None,
    vram_gib: o.VramGib = None,
    quant: o.Quant = None,
    kv_dtype: o.KvDtype = None,
    gpu_layers: o.GpuLayers = None,
    as_json: o.Json = False,
) -> None:
    """Launch a model under supervision."""
    from toolkit.cli.events import line
    from toolkit.cli.output import emit, note
    from toolkit.supervise import api, limits
    from toolkit.supervise import gpu as gpu_watch

    known = limits.from_toml(config) if config else limits.Limits()
    price = _price(gpu_price)
    sizes: dict[str, Any] = {
        "context": context,
        "concurrency": concurrency,
        "gpu": gpu,
        "vram_gib": vram_gib,
        "quant": quant,
        "kv_dtype": kv_dtype,
        "gpu_layers": gpu_layers,
    }
    plan = _plan(model, backend, cmd, served_name or name, health_path, sizes)
    if systemd_unit:
        _print_unit(call, plan, name or plan.served_name, known)
        return
    where: dict[str, Any] = {"name": name or plan.served_name, "host": host, "port": port, "key_file": api_key_file}
    spec = api.check(plan, **where, limits=known, on_event=lambda event: note(line(event)))
    spec = spec.model_copy(update={"usd_per_hour": price}) if price else spec
    for reason in (*plan.reasons, gpu_watch.without()):
        if reason:
            note(f"  {reason}")
    if detach:
        final = api.start_spec(spec, lambda event: note(line(event)))
        note(f"ready at {final.base_url} — stop it with: selfhost stop {spec.name}")
    else:
        from toolkit.cli.live import following

        with following() as view:
            final = api.run_foreground(spec, view.event, view.tick)
    if as_json:
        emit(final)


def _price(text: str | None) -> Any:
    """Dollars an hour, as a Decimal; None when no price was given."""
    from toolkit.cost.quantities import parse_usd_per_hour

    return parse_usd_per_hour(text) if text else None


def _print_unit(call: typer.Context, plan: LaunchPlan, name: str, known: Limits) -> None:
    """The unit on stdout, what to do with it on stderr. What a start would refuse now is refused now."""
    from toolkit.cli import unit
    from toolkit.cli.output import note
    from toolkit.errors import InputError
    from toolkit.supervise import api

    given = call.params
    if given["as_json"] or given["detach"]:
        raise InputError("a unit is a text and starts nothing", "give --systemd-unit without --json and --detach.")
    api.check_spec(plan, name=name, host=given["host"], key_file=given["api_key_file"])
    print(unit.text(call, name, given["port"], known, given["api_key_file"]), end="")
    for line in unit.how_to(name):
        note(line)


def _plan(
    model: str | None, backend: str, cmd: str | None, served_name: str | None, health_path: str, sizes: dict[str, Any]
) -> LaunchPlan:
    """The launch plan of a model, or of a command of the user's own."""
    from toolkit.errors import InputError

    if (backend == "command") != (cmd is not None):
        raise InputError(
            "a command needs the backend `command`, and the other way round",
            "selfhost serve --backend command --cmd 'prog --port {port}' --served-name NAME",
        )
    if cmd is not None:
        from toolkit.backends.command import plan_for

        path = Path(model).expanduser() if model else None
        return plan_for(
            cmd,
            served_name=served_name or (path.stem if path else "command"),
            model_path=str(path.resolve()) if path and path.exists() else model,
            health_path=health_path,
        )
    if backend != "auto":
        from toolkit.backends.base import named

        named(backend)
    if model is None:
        raise InputError("no model was named", "selfhost models lists the known ones.")
    from toolkit.cli.pipeline import launch_plan_for

    return launch_plan_for(model, backend=backend, served_name=served_name, **sizes)
