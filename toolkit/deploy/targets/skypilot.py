"""SkyPilot: a service that rents machines where they are cheapest, spot ones when asked. For SkyPilot 0.14."""

from __future__ import annotations

import shlex
from typing import Any

from toolkit.deploy import dashboard, fields, hardware, monitoring
from toolkit.deploy.intent import KEY_ENV, PORT, Intent
from toolkit.deploy.rendered import Rendered
from toolkit.deploy.source import CACHE
from toolkit.deploy.text import header, noted, yaml
from toolkit.errors import InputError
from toolkit.types import DeployCommands

FIELDS = fields.CONTAINER | {"health_path": fields.irrelevant("its probe asks the engine for a token instead")}
LONGEST_NAME = 40
FILE = "service.yaml"
MACHINE_S = 600
"""Assumed: from asking a cloud for a machine to its first command, image pulled."""


def render(intent: Intent) -> Rendered:
    """The file of the folder."""
    if intent.source.volume:
        raise InputError(
            "skypilot rents machines in several clouds, and a volume lies in one of them", "name the model's hub id."
        )
    if not intent.options.key:
        raise InputError(
            "skypilot puts the address on the internet, and without an API key anybody may use it", "keep the key."
        )
    top = header(
        f"{intent.plan.served_name} on {intent.engine}: {intent.where}.",
        "GPUs are the memory plan's; cores, memory and disk are assumed lower bounds.",
    )
    return Rendered(
        files={
            FILE: yaml(_task(intent), top=top),
            monitoring.DASHBOARD: dashboard.render(intent.engine, intent.name),
        },
        image=intent.image,
        base_url=None,
        endpoint=f"sky serve status --endpoint {intent.name}",
        commands=DeployCommands(
            once=(f'export {KEY_ENV}="$(openssl rand -hex 24)"',),
            up=f"sky serve up --yes --service-name {intent.name} --secret {KEY_ENV} {FILE}",
            check=f"sky serve status {intent.name}",
            down=f"sky serve down --yes {intent.name}",
        ),
        notes=(
            "SkyPilot gives a stopping replica no time to end its open requests beyond the engine's own.",
            f"Metrics, for {monitoring.DASHBOARD}, are at /metrics there; of several replicas each look asks another.",
            "The address is plain HTTP and open to the internet: the key is what guards it.",
        ),
    )


def _task(intent: Intent) -> dict[str, Any]:
    task: dict[str, Any] = {"name": intent.name, "resources": _resources(intent), "service": _service(intent)}
    environment = dict(sorted(intent.env.items()))
    environment["HF_HOME" if intent.engine == "vllm" else "LLAMA_CACHE"] = CACHE
    task["envs"] = environment
    secrets = {KEY_ENV: "", "HF_TOKEN": noted("", "Only gated models need it: one more `--secret HF_TOKEN`.")}
    task["secrets"] = noted(secrets, "Given by `sky serve up --secret`; written in no file.")
    task["run"] = noted(_run(intent), "The launch plan's own settings.")
    return task


def _resources(intent: Intent) -> dict[str, Any]:
    needs = intent.resources
    found: dict[str, Any] = {}
    if needs.gpu:
        found["accelerators"] = f"{hardware.sky(needs.gpu, intent.options.gpu_type)}:{needs.gpus}"
    found |= {
        "cpus": f"{needs.cores}+",
        "memory": f"{needs.memory_gib}+",
        "disk_size": noted(needs.disk_gib + 60, "GB: the weights, the image and the system."),
        "image_id": f"docker:{intent.image}",
        "ports": PORT,
    }
    if intent.options.spot:
        found["use_spot"] = noted(True, "A machine may be taken away at any time; another one is rented then.")
    return found


def _service(intent: Intent) -> dict[str, Any]:
    needs = intent.resources
    probe: dict[str, Any] = {
        "path": "/v1/chat/completions",
        "post_data": {
            "model": intent.plan.served_name,
            "messages": [{"role": "user", "content": "Say one word."}],
            "max_tokens": 1,
        },
        "initial_delay_seconds": noted(
            needs.start_limit_s + MACHINE_S, f"Expected load {needs.load_s} s, after the machine itself is up."
        ),
        "timeout_seconds": 60,
    }
    probe["headers"] = {"Authorization": f"Bearer ${{{KEY_ENV}}}"}
    policy: dict[str, Any] = {"min_replicas": intent.options.replicas, "max_replicas": intent.options.replicas}
    if intent.options.spot:
        policy["dynamic_ondemand_fallback"] = noted(True, "An on-demand machine stands in while no spot one is there.")
    return {
        "readiness_probe": noted(probe, "A POST that the engine must answer with a token, not a page that is up."),
        "replica_policy": policy,
        "ports": PORT,
    }


def _run(intent: Intent) -> str:
    words = shlex.join([*intent.entry, *intent.argv()])
    given = f': "${{{KEY_ENV}:?give it with --secret}}"'  # an empty one would let anybody in
    lines = [f"mkdir -p {CACHE}", given, f'export {intent.key_env}="${KEY_ENV}"']
    return "\n".join([*lines, f"exec {words}"]) + "\n"
