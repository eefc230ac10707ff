"""Podman Quadlet: a container as a systemd service of this machine. Needs Podman 5.0 or newer."""

from __future__ import annotations

from toolkit.deploy import alerts, dashboard, fields, monitoring
from toolkit.deploy.intent import KEY_ENV, PORT, Intent
from toolkit.deploy.rendered import Rendered
from toolkit.deploy.source import CACHE, MODELS
from toolkit.systemd_unit import quote
from toolkit.types import DeployCommands

FIELDS = fields.CONTAINER
LONGEST_NAME = 50
STOP_EXTRA_S = 20


def render(intent: Intent) -> Rendered:
    """The files of the folder."""
    name = intent.name
    files = {f"{name}.container": _container(intent)}
    copies = [f"{name}.container"]
    if intent.source.downloads:
        files[f"{name}-cache.volume"] = "# Keeps downloaded weights across restarts.\n[Volume]\n"
        copies.append(f"{name}-cache.volume")
    guarded = intent.options.key and intent.engine == "llama.cpp"
    charts, rules = dashboard.render(intent.engine, name), alerts.file(intent)
    watched, told = monitoring.beside(name, PORT, guarded=guarded, charts=charts, rules=rules)
    files |= watched
    place = "~/.config/containers/systemd"
    once = [f"mkdir -p {place}"]
    if intent.options.key:
        once = [
            f'export {KEY_ENV}="$(openssl rand -hex 24)"',
            f'printf %s "${KEY_ENV}" | podman secret create {name}-api-key -',
            *once,
        ]
    return Rendered(
        files=files,
        image=intent.image,
        base_url=f"http://127.0.0.1:{PORT}/v1",
        commands=DeployCommands(
            once=tuple(once),
            up=f"cp {' '.join(copies)} {place}/ && systemctl --user daemon-reload && systemctl --user start {name}",
            check=f"systemctl --user status {name}",
            down=f"systemctl --user stop {name} && rm {' '.join(f'{place}/{c}' for c in copies)}",
        ),
        notes=(
            "`loginctl enable-linger` keeps it running when you log out.",
            *told,
            *(["GPUs need a CDI file: `nvidia-ctk cdi generate`."] if intent.resources.gpus else []),
        ),
    )


def _container(intent: Intent) -> str:
    return "\n".join([*_unit(intent), *_image(intent), *_outside(intent), *_health(intent), *_service(intent)]) + "\n"


def _unit(intent: Intent) -> list[str]:
    return [
        f"# {intent.plan.served_name} on {intent.engine}: {intent.where}. Needs Podman 5.0 or newer.",
        "[Unit]",
        f"Description=selfhost: {intent.name}",
        "Wants=network-online.target",
        "After=network-online.target",
        "",
    ]


def _image(intent: Intent) -> list[str]:
    entry = " ".join(intent.entry) if len(intent.entry) == 1 else intent.entry[0]
    words = [*intent.entry[1:], *intent.argv()]
    lines = [
        "[Container]",
        f"ContainerName={intent.name}",
        f"Image={'docker.io/' if intent.image.startswith('vllm/') else ''}{intent.image}",
        f"Entrypoint={entry}",
        "# The launch plan's own settings.",
        f"Exec={' '.join(quote(word) for word in words)}",
    ]
    environment = dict(sorted(intent.env.items()))
    if intent.source.downloads:
        environment["HF_HOME" if intent.engine == "vllm" else "LLAMA_CACHE"] = CACHE
    return lines + [f"Environment={quote(f'{k}={v}')}" for k, v in environment.items()]


def _outside(intent: Intent) -> list[str]:
    lines = ["# This machine only; put a proxy with TLS before it to open it.", f"PublishPort=127.0.0.1:{PORT}:{PORT}"]
    if intent.options.key:
        lines.append("# The key lies in Podman's own secret store; you put it there.")
        lines.append(f"Secret={intent.name}-api-key,type=env,target={intent.key_env}")
    if intent.source.downloads:
        lines.append("# Only gated models need a token: make a secret of that name, and take the # away.")
        lines.append(f"#Secret={intent.name}-hub-token,type=env,target=HF_TOKEN")
        lines.append(f"Volume={intent.name}-cache.volume:{CACHE}")
    if intent.source.volume:
        lines.append(f"Volume={intent.source.volume.claim}:{MODELS}:ro")
    if intent.source.host_folder:
        lines.append(f"Volume={quote(f'{intent.source.host_folder}:{MODELS}:ro')}")
    lines += [f"AddDevice=nvidia.com/gpu={n}" for n in range(intent.resources.gpus)]
    if intent.resources.shm_gib:
        lines.append(f"ShmSize={intent.resources.shm_gib}g")
    return [*lines, f"PodmanArgs=--memory={intent.resources.memory_gib}g", "NoNewPrivileges=true"]


def _health(intent: Intent) -> list[str]:
    needs = intent.resources
    return [
        f"# Started is said when it is healthy. Expected load {needs.load_s} s, at most {needs.start_limit_s} s.",
        f"HealthCmd=curl -fsS -o /dev/null http://127.0.0.1:{PORT}{intent.health_path}",
        "HealthInterval=15s",
        "HealthTimeout=10s",
        "HealthRetries=20",
        f"HealthStartPeriod={needs.start_limit_s}s",
        "HealthOnFailure=kill",
        "Notify=healthy",
        "# Open requests may end first.",
        f"StopTimeout={intent.drain_s + STOP_EXTRA_S}",
        "",
    ]


def _service(intent: Intent) -> list[str]:
    return [
        "[Service]",
        "Restart=always",
        "RestartSec=5",
        "# The image is pulled on the first start.",
        f"TimeoutStartSec={intent.resources.first_start_s}",
        f"TimeoutStopSec={intent.drain_s + 2 * STOP_EXTRA_S}",
        "",
        "[Install]",
        "WantedBy=default.target",
    ]
