"""LaunchPlan + target + options → every file of the folder, as text. The one door of this stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple, get_args

from toolkit.deploy import build, fields, hardware, loadtest, names, readme, settings, sidecar
from toolkit.deploy.intent import KEY_ENV, Intent, Options
from toolkit.deploy.rendered import Rendered
from toolkit.deploy.source import Hub, Source, Volume
from toolkit.deploy.targets import (
    compose,
    kserve,
    kubernetes,
    production_stack,
    quadlet,
    rayserve,
    skypilot,
    systemd,
)
from toolkit.errors import InputError, UnknownNameError
from toolkit.types import DeployFolder, LaunchPlan
from toolkit.types.deployed import Change, Target

ABOUT = "deployment.json"
README = "README.md"


class Container(NamedTuple):
    """A target that runs an engine's image."""

    fields: fields.Fields
    longest_name: int
    render: Callable[[Intent], Rendered]
    one_machine: bool = False
    vllm_only: str | None = None
    asks_key: bool = True


CONTAINERS: dict[str, Container] = {
    "compose": Container(compose.FIELDS, compose.LONGEST_NAME, compose.render, one_machine=True),
    "quadlet": Container(quadlet.FIELDS, quadlet.LONGEST_NAME, quadlet.render, one_machine=True),
    "kubernetes": Container(kubernetes.FIELDS, kubernetes.LONGEST_NAME, kubernetes.render),
    "kserve": Container(kserve.FIELDS, kserve.LONGEST_NAME, kserve.render, vllm_only=kserve.VLLM_ONLY),
    "production-stack": Container(
        production_stack.FIELDS,
        production_stack.LONGEST_NAME,
        production_stack.render,
        vllm_only=production_stack.VLLM_ONLY,
    ),
    "skypilot": Container(skypilot.FIELDS, skypilot.LONGEST_NAME, skypilot.render),
    "rayserve": Container(
        rayserve.FIELDS, rayserve.LONGEST_NAME, rayserve.render, vllm_only=rayserve.VLLM_ONLY, asks_key=False
    ),
}
FIELDS: dict[str, fields.Fields] = {"systemd": systemd.FIELDS} | {t: c.fields for t, c in CONTAINERS.items()}
"""Target → what it does with each field of a launch plan."""


class Deployed(NamedTuple):
    """Texts by relative path, and what `deployment.json` will say of them (``changes`` still empty)."""

    files: dict[str, str]
    about: DeployFolder


def asks_key(target: str) -> bool:
    """Whether something there can ask clients for an API key."""
    return target not in CONTAINERS or CONTAINERS[target].asks_key


def deploy(
    plan: LaunchPlan,
    target: str,
    options: Options,
    *,
    hub: Hub | None = None,
    volume: Volume | None = None,
    load_workers: int | None = None,
) -> Deployed:
    """Render everything. ``options.name`` may be empty: it is then made from the served name.

    ``load_workers`` adds files for a load test from so many workers.

    Raises:
        UnknownNameError: no such target.
        InputError: what the target cannot hold, in one sentence, and what to do instead.
    """
    known: tuple[Target, ...] = get_args(Target)
    if target not in known:
        raise UnknownNameError("target", target, known, f"targets: {', '.join(known)}.")
    found = CONTAINERS.get(target)
    longest = found.longest_name if found else systemd.LONGEST_NAME
    name = options.name or names.from_served(plan.served_name, longest)
    options = replace(options, name=names.check(name, longest, target))
    hardware.check_given(options.gpu_type)
    build.check_options(options, target, one_machine=found.one_machine if found else True)
    if found is None:
        _own_model(target, hub, volume, load_workers)
        if options.sidecar:
            sidecar.check(options.sidecar, target, key=options.key)
        return _folder(plan, target, options, systemd.render(plan, options), None)
    intent = build.intent(
        plan,
        options,
        found.fields,
        target,
        hub=hub,
        volume=volume,
        same_machine=found.one_machine,
        vllm_only=found.vllm_only,
    )
    rendered = found.render(intent)
    if intent.resources.gpu is None and intent.threads:
        rendered = replace(rendered, notes=(*rendered.notes, _threads(intent.threads, intent.resources.cores)))
    if load_workers is not None:
        rendered = loadtest.added(rendered, intent, target, load_workers)
    return _folder(plan, target, options, rendered, intent.source)


def _threads(threads: str, cores: int) -> str:
    return (
        f"It computes with `-t {threads}`, which fits the machine that planned it: for another processor change that "
        f"and the {cores} cores together."
    )


def _own_model(target: str, hub: Hub | None, volume: Volume | None, load_workers: int | None) -> None:
    if hub or volume:
        raise InputError(f"{target} starts the plan's own model on this machine", "plan it for the model you mean.")
    if load_workers is not None:
        raise InputError(f"{target} has no files for a load test", "compose and kubernetes have.")


def _gpus_of(plan: LaunchPlan) -> tuple[str | None, int]:
    gpus = [d.name for d in plan.memory.devices if not hardware.is_processor(d.name)] if plan.memory else []
    return (gpus[0] if gpus else None), len(gpus)


def _folder(plan: LaunchPlan, target: str, options: Options, rendered: Rendered, source: Source | None) -> Deployed:
    """The texts and their document; without a source the plan's own model is served."""
    gpu, gpus = _gpus_of(plan)
    memory = plan.memory
    about = DeployFolder(
        target=target,
        name=options.name,
        replicas=options.replicas,
        gpu=gpu,
        gpus_per_replica=gpus,
        spot=options.spot,
        engine=memory.engine if memory else None,
        engine_version=memory.engine_version if memory else None,
        image=rendered.image,
        model=memory.model if memory else plan.served_name,
        source=source.label if source else plan.model_path,
        revision=source.revision if source else _revision(plan),
        quant=memory.quant if memory else None,
        context=memory.context if memory else None,
        concurrency=memory.concurrency if memory else None,
        settings=settings.of_memory(memory) if memory else {},
        served_name=plan.served_name,
        base_url=rendered.base_url,
        endpoint=rendered.endpoint,
        key_env=KEY_ENV if options.key else None,
        commands=rendered.commands,
        files=(),
    )
    files = {README: readme.render(about, plan, rendered), **rendered.files}
    return Deployed(files, about.model_copy(update={"files": tuple(sorted(files))}))


def _revision(plan: LaunchPlan) -> str | None:
    setting = plan.memory.inputs.get("revision") if plan.memory else None
    return str(setting.value) if setting and setting.value else None


def with_changes(deployed: Deployed, changes: dict[str, Change], *, written: bool) -> DeployFolder:
    """The document of the command: how each file differs from what lay there."""
    return deployed.about.model_copy(update={"changes": changes, "written": written})


def kept(deployed: Deployed) -> str:
    """The text of `deployment.json`: the same for the same plan and options, whatever lay there before."""
    return deployed.about.model_dump_json(by_alias=True, indent=1, exclude={"changes", "written"}) + "\n"
