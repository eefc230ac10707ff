"""LaunchPlan + options → Intent: the checks that every container target shares, and the engine's image and words."""

from __future__ import annotations

from typing import Literal

from toolkit.deploy import fields, hardware, images, settings, sidecar
from toolkit.deploy.intent import HOST_ENV, Intent, Options
from toolkit.deploy.sizing import Resources, resources
from toolkit.deploy.source import Hub, Volume, locate
from toolkit.errors import InputError
from toolkit.types import LaunchPlan

MAX_REPLICAS = 1000
VLLM_PATIENCE = "VLLM_ENGINE_READY_TIMEOUT_S"
VLLM_PATIENCE_S = 600
"""Its default, `vllm/envs.py` of 0.32."""


def check_options(options: Options, target: str, *, one_machine: bool) -> None:
    """What no plan changes.

    Raises:
        InputError: replicas or spot where they make no sense.
    """
    if not 1 <= options.replicas <= MAX_REPLICAS:
        raise InputError(f"{options.replicas} replicas make no sense; from 1 to {MAX_REPLICAS} do")
    if one_machine and options.replicas > 1:
        raise InputError(
            f"{target} runs on one machine, where {options.replicas} replicas would share its GPUs and its port",
            "kubernetes, production-stack, kserve, skypilot and rayserve hold replicas.",
        )
    if one_machine and options.spot:
        raise InputError(
            f"{target} runs on a machine that you have; only a rented one is spot",
            "skypilot rents spot machines; clusters place replicas on their spot nodes.",
        )


def intent(
    plan: LaunchPlan,
    options: Options,
    table: fields.Fields,
    target: str,
    *,
    hub: Hub | None = None,
    volume: Volume | None = None,
    same_machine: bool = False,
    vllm_only: str | None = None,
) -> Intent:
    """The plan as something a container target can render. ``vllm_only`` is the reason why only vLLM will do there.

    Raises:
        InputError: what the target cannot hold, and what to do instead.
    """
    engine = _engine(plan, target, vllm_only)
    if options.sidecar:
        sidecar.check(options.sidecar, target, key=options.key)
        table = table | {"max_in_flight": fields.used("kept by the sidecar")}
    fields.check(plan, table, target)
    settings.check_words(plan)
    if plan.health_path is None:
        raise InputError("this plan names no health path, so nothing could probe the engine")
    source = locate(plan, hub, volume, same_machine=same_machine)
    flags = settings.settings(plan)
    threads = next((settings.read(f, int) for f in flags if f[0] in ("-t", "--threads")), None)
    needs = resources(plan, downloads=source.downloads, threads=threads)
    _check_gpus(needs, engine, target)
    return Intent(
        options=options,
        engine=engine,
        image=images.vllm(plan) if engine == "vllm" else images.llama(needs.gpus),
        entry=("vllm", "serve") if engine == "vllm" else (images.LLAMA_PROGRAM,),
        flags=flags,
        source=source,
        env={k: v for k, v in plan.env.items() if k not in HOST_ENV} | patience(engine, needs),
        resources=needs,
        health_path=plan.health_path,
        drain_s=settings.DRAIN_S if settings.has_drain(plan) else 0,
        plan=plan,
    )


def patience(engine: str, needs: Resources) -> dict[str, str]:
    """What lets vLLM wait for its own engine as long as the probes do, which may load for longer than vLLM expects."""
    return {VLLM_PATIENCE: str(max(VLLM_PATIENCE_S, needs.start_limit_s))} if engine == "vllm" else {}


def _engine(plan: LaunchPlan, target: str, vllm_only: str | None) -> Literal["vllm", "llama.cpp"]:
    if plan.backend not in settings.PROGRAM_WORDS:
        raise InputError(
            f"{target} runs an engine from its published image, and none is known for the backend {plan.backend}",
            "plan it for llama-server or vllm, or use systemd, which runs any plan.",
        )
    if plan.backend != "vllm" and vllm_only:
        raise InputError(f"{target} cannot run llama.cpp: {vllm_only}", "plan it for vllm, or use kubernetes.")
    return "vllm" if plan.backend == "vllm" else "llama.cpp"


def _check_gpus(needs: Resources, engine: str, target: str) -> None:
    if needs.gpu is None:
        if engine == "vllm":
            raise InputError(
                f"{target}: this plan runs vLLM on a CPU, and its published image needs an NVIDIA GPU",
                "plan it for a GPU, or for llama.cpp.",
            )
        return
    most = hardware.most_per_node(needs.gpu)
    if needs.gpus > most:
        raise InputError(
            f"this plan needs {needs.gpus} × {needs.gpu} in one machine, and machines hold at most {most}",
            "plan it for fewer GPUs, or a larger kind.",
        )
    if _is_foreign(needs.gpu):
        raise InputError(
            f"the engines' images known here are for NVIDIA GPUs, and {needs.gpu} is none",
            "systemd runs the engine that is installed on the machine.",
        )


def _is_foreign(gpu: str) -> bool:
    return gpu.startswith(("MI", "Gaudi", "Arc", "Apple", "Radeon", "RX-", "Ryzen", "Intel-"))
