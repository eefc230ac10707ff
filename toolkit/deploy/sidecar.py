"""Our own proxy beside the engine of a pod: it asks for the key, queues, measures, and judges the engine's liveness.

A native sidecar (Kubernetes 1.29): up before the engine, ended after it, so that open requests end through it. When
it calls the engine hung, its ``/livez`` fails, and the kubelet restarts the engine's container, not the pod.
"""

from __future__ import annotations

import re
from typing import Any

from toolkit.deploy import pod
from toolkit.deploy.intent import ENGINE_PORT, KEY_ENV, PORT, Intent
from toolkit.deploy.text import noted
from toolkit.errors import InputError

IMAGE = re.compile(r"[a-z0-9][a-z0-9._/:-]*[:@][A-Za-z0-9._:-]+")
BACKENDS = {"vllm": "vllm", "llama.cpp": "llama-server"}
NOBODY = 65534


def check(image: str, target: str, *, key: bool) -> None:
    """Whether a target has a place for it.

    Raises:
        InputError: another target, no key to ask for, or no image with a tag.
    """
    if target != "kubernetes":
        raise InputError(f"{target} has no place for a sidecar", "kubernetes has; systemd runs the same proxy itself.")
    if not key:
        raise InputError("the sidecar listens for the whole cluster and must ask for a key", "keep the key.")
    if not IMAGE.fullmatch(image):
        raise InputError(
            f"{image!r} is no image with a tag or digest", "write it like registry.example.com/selfhost:0.1."
        )


def container(intent: Intent) -> dict[str, Any]:
    """The sidecar itself."""
    words = ["sidecar", f"http://127.0.0.1:{ENGINE_PORT}", "--backend", BACKENDS[intent.engine]]
    words += ["--model", intent.plan.served_name, "--host", "0.0.0.0", "--port", str(PORT)]  # noqa: S104 - in the pod
    words += ["--health-path", intent.health_path]
    if intent.plan.max_in_flight:
        words += ["--max-in-flight", str(intent.plan.max_in_flight)]
    if not intent.resources.gpus:
        words.append("--on-cpu")
    key = {"secretKeyRef": {"name": pod.key_secret(intent), "key": pod.KEY_ITEM}}
    return {
        "name": "proxy",
        "image": intent.options.sidecar,
        "restartPolicy": noted("Always", "A sidecar: up before the engine, and ended after it."),
        "args": [word.replace("$(", "$$(") for word in words],
        "env": [{"name": KEY_ENV, "valueFrom": key}],
        "ports": [pod.http_port()],
        "resources": {"requests": {"cpu": "500m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
        "readinessProbe": noted(
            {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 5, "timeoutSeconds": 5},
            "Ready is an engine that has answered with a token.",
        ),
        "livenessProbe": noted(
            {"tcpSocket": {"port": "http"}, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6},
            "Of the proxy itself; its /livez is about the engine.",
        ),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": NOBODY,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def engine_probes(intent: Intent) -> dict[str, Any]:
    """The engine's own probes: its health page while it starts, the proxy's judgement from then on."""
    alive = {"httpGet": {"path": "/livez", "port": PORT}, "periodSeconds": 15, "timeoutSeconds": 10}
    return {
        "startupProbe": pod.probes(intent)["startupProbe"],
        "livenessProbe": noted(
            alive | {"failureThreshold": 4},
            "The proxy says no when the engine makes no progress while busy, or gives no token when idle.",
        ),
    }


def note(intent: Intent) -> str:
    """What the README says of the image, which nobody publishes."""
    image = intent.options.sidecar
    build = f"docker build --file deploy/sidecar/Dockerfile --tag {image} . && docker push {image}"
    return f"The proxy's image is yours to build, in selfhost's own sources: `{build}`. Kubernetes 1.29 or newer."
