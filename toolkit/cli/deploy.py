"""`selfhost deploy`: the files that run a launch plan somewhere else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit.cli import options as o

if TYPE_CHECKING:
    from toolkit.deploy.intent import Options
    from toolkit.deploy.source import Hub, Volume
    from toolkit.types import LaunchPlan

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def deploy(
    plan: Annotated[
        Path, typer.Argument(help="A launch_plan file, from `selfhost plan MODEL --json`; - for standard input.")
    ],
    target: Annotated[
        str,
        typer.Option(help="systemd, compose, quadlet, kubernetes, kserve, production-stack, skypilot or rayserve."),
    ],
    out: Annotated[Path | None, typer.Option(help="Folder for the files. Default: NAME-TARGET.")] = None,
    name: Annotated[str | None, typer.Option(help="What it is called there. Default: from the served name.")] = None,
    replicas: Annotated[int, typer.Option(help="Copies, each with its own GPUs.")] = 1,
    spot: Annotated[bool, typer.Option("--spot", help="Run on spot machines.")] = False,
    hub: Annotated[
        str | None,
        typer.Option(help="Where the model is there: ORG/NAME[@REVISION], for one GGUF file :FILE after it."),
    ] = None,
    volume: Annotated[str | None, typer.Option(help="Or a volume that holds it: CLAIM:PATH.")] = None,
    key: Annotated[
        bool | None,
        typer.Option("--key/--no-key", help="Ask clients for an API key. Default: where the target can."),
    ] = None,
    gpu_type: Annotated[str | None, typer.Option(help="What the target calls the GPU, where it is not known.")] = None,
    load_workers: Annotated[
        int | None, typer.Option(help="compose, kubernetes: add a Locust load test of so many workers.")
    ] = None,
    sidecar: Annotated[
        str | None, typer.Option(help="kubernetes: an image that holds selfhost, to stand before the engine.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the files, write nothing.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show what would change, write nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that differ.")] = False,
    as_json: o.Json = False,
) -> None:
    """Write the files that run a launch plan elsewhere: systemd, containers, clusters, clouds."""
    from toolkit.cli import deploy_folder as folder
    from toolkit.cli.output import emit, note
    from toolkit.deploy.deploy import ABOUT, asks_key, deploy, kept, with_changes

    document = _plan(plan)
    place = out or Path(f"{name or document.served_name.replace('/', '-')}-{target}")
    folder.check(place)
    asked = asks_key(target) if key is None else key
    options = _options(
        place, name=name or "", replicas=replicas, spot=spot, key=asked, gpu_type=gpu_type, sidecar=sidecar
    )
    source, claim = _hub(document, hub, target), _volume(volume)
    made = deploy(document, target, options, hub=source, volume=claim, load_workers=load_workers)
    about = with_changes(made, folder.compared(place, made.files), written=not (dry_run or diff))
    files = made.files | {ABOUT: kept(made)}
    if about.written:
        for path in folder.left_over(place, files):
            note(f"{place}/{path} is from an earlier deployment and is left as it is")
        folder.write(place, files, force=force)
    if as_json:
        emit(about)
    elif diff:
        print(folder.differences(place, files), end="")
    elif dry_run:
        print(folder.listing(files), end="")
    else:
        note(f"{len(files)} files in {place}; {place}/README.md has the three commands.")
    if key is None and about.key_env is None:
        note(f"{target} asks clients for no API key: whoever reaches it may use it.")


def _plan(path: Path) -> LaunchPlan:
    from toolkit.cli.pipeline import read_document
    from toolkit.types import LaunchPlan

    document: LaunchPlan = read_document(path, LaunchPlan)
    return document


def _options(place: Path, **chosen: Any) -> Options:
    """What the user chose, with what only this machine knows: its folder, its program, its account, its dashboard."""
    import os
    import pwd

    from toolkit.cli.unit import KEPT_VARIABLES, OWN_VARIABLES, program
    from toolkit.deploy.intent import Options
    from toolkit.paths import data_root

    locustfile = data_root() / "deploy" / "locust" / "locustfile.py"
    watched = data_root() / "deploy" / "grafana"
    dashboard, alerts = watched / "selfhost.json", watched / "alerts.yml"
    environment = {k: os.environ[k] for k in (*KEPT_VARIABLES, *OWN_VARIABLES) if k in os.environ}
    models = Path(environment.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    if models.is_dir():  # the service's own home of caches would not have what was downloaded here
        environment["HF_HOME"] = str(models)
    return Options(
        **chosen,
        folder=str(place.expanduser().resolve()),
        program=program(),
        environment=tuple(environment.items()),
        writable=(str(models),) if models.is_dir() else (),
        user=pwd.getpwuid(os.geteuid()).pw_name,
        locustfile=locustfile.read_text(encoding="utf-8") if locustfile.is_file() else "",
        dashboard=dashboard.read_text(encoding="utf-8") if dashboard.is_file() else None,
        alerts=alerts.read_text(encoding="utf-8") if alerts.is_file() else None,
    )


def _hub(plan: LaunchPlan, given: str | None, target: str) -> Hub | None:
    """The hub id the user names. A quantization that was only imagined has no weights under the model's own id."""
    from toolkit.deploy.source import Hub
    from toolkit.errors import InputError
    from toolkit.models import hub

    if given is None:
        if target != "systemd":  # which starts the very file that the plan was made for
            _imagined(plan)
        return None
    found = hub.parse(given)
    if found is None:
        raise InputError(f"{given!r} is no hub id", "write it like Qwen/Qwen3-8B, or org/name@revision:file.gguf.")
    return Hub(found.repo, found.revision, found.file)


def _imagined(plan: LaunchPlan) -> None:
    from toolkit import profiles
    from toolkit.errors import InputError, UnknownNameError
    from toolkit.models.resolve import resolve

    memory = plan.memory
    source = memory.inputs.get("model_source") if memory else None
    if memory is None or source is None or source.value != "profile":
        return
    try:
        own = resolve(profiles.model(memory.model).name, None).quant
    except UnknownNameError:
        return
    if own != memory.quant:
        raise InputError(
            f"this plan imagines {memory.model} in {memory.quant}; the weights under its own hub id are {own}",
            f"name the hub id of a checkpoint in {memory.quant} with --hub, or plan it as {own}.",
        )


def _volume(given: str | None) -> Volume | None:
    from toolkit.deploy.source import Volume
    from toolkit.errors import InputError

    if given is None:
        return None
    claim, colon, path = given.partition(":")
    if not claim or not colon or not path:
        raise InputError(f"{given!r} names no volume and path", "write it like weights:llama/model.gguf.")
    return Volume(claim, path)
