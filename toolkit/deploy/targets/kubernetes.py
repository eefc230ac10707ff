"""Plain Kubernetes: a Deployment, its Service, a claim for the weights, and a PodMonitor in a folder of its own."""

from __future__ import annotations

from typing import Any

from toolkit.deploy import fields, monitoring, pod, sidecar
from toolkit.deploy.intent import PORT, Intent
from toolkit.deploy.rendered import Rendered, once_key, once_token
from toolkit.deploy.text import header, noted, yaml
from toolkit.types import DeployCommands

FIELDS = fields.CONTAINER
LONGEST_NAME = 63 - len("-load-master")


def render(intent: Intent) -> Rendered:
    """The files of the folder."""
    files = {
        "deployment.yaml": yaml(_deployment(intent), top=_top(intent)),
        "service.yaml": yaml(_service(intent), top=header("What clients inside the cluster talk to.")),
    }
    resources = ["deployment.yaml", "service.yaml"]
    if intent.source.downloads and not pod.own_copies(intent):
        top = header("Keeps downloaded weights across restarts.")
        files["cache.yaml"] = yaml(pod.cache_claim(intent), top=top)
        resources.append("cache.yaml")
    if intent.options.replicas > 1:
        files["disruption.yaml"] = yaml(_budget(intent), top=header("Nodes are drained one replica at a time."))
        resources.append("disruption.yaml")
    files["kustomization.yaml"] = yaml(
        {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": resources},
        top=header("What `kubectl apply -k .` applies."),
    )
    files |= monitoring.files(intent, _monitor(intent))
    name = intent.name
    return Rendered(
        files=files,
        image=intent.image,
        base_url=f"http://127.0.0.1:{PORT}/v1",
        endpoint=f"kubectl port-forward service/{name} {PORT}:{PORT}",
        commands=DeployCommands(
            once=(*once_key(intent), *once_token(intent)),
            up="kubectl apply -k .",
            check=f"kubectl rollout status deployment/{name} --timeout={intent.resources.first_start_s}s",
            down="kubectl delete -k .",
        ),
        notes=_notes(intent),
    )


def _notes(intent: Intent) -> tuple[str, ...]:
    pause = f"`kubectl scale deployment/{intent.name} --replicas=0` stops it and keeps them"
    cache = f"Down deletes the downloaded weights too; {pause}."
    if pod.own_copies(intent):
        cache = "Each new pod downloads the weights for itself; a volume of the cluster that holds them is quicker."
    own = [sidecar.note(intent)] if intent.options.sidecar else []
    return (*own, *([cache] if intent.source.downloads else []))


def _top(intent: Intent) -> str:
    return header(
        f"{intent.plan.served_name} on {intent.engine}: {intent.where}.",
        "GPUs are the memory plan's; cores and host memory are assumed and may be changed here.",
    )


def _monitor(intent: Intent) -> dict[str, Any]:
    monitor = pod.pod_monitor(intent, pod.labels(intent), port=pod.engine_port(intent)["name"])
    if intent.options.sidecar:
        credentials = {"name": pod.key_secret(intent), "key": pod.KEY_ITEM}
        own: dict[str, Any] = {"port": "http", "path": "/metrics", "interval": "15s"}
        own["authorization"] = {"type": "Bearer", "credentials": credentials}
        monitor["spec"]["podMetricsEndpoints"].append(noted(own, "The proxy's own: times, queue, stalls."))
    return monitor


def _deployment(intent: Intent) -> dict[str, Any]:
    found, mounts = pod.volumes(intent, f"{intent.name}-cache")
    lifecycle, grace = pod.drain(intent)
    container: dict[str, Any] = {
        "name": "engine",
        "image": intent.image,
        "command": list(intent.entry),
        "args": noted([word.replace("$(", "$$(") for word in intent.argv()], "The launch plan's own settings."),
        "env": pod.env(intent),
        "ports": [pod.engine_port(intent)],
        "resources": pod.resources(intent),
        **(sidecar.engine_probes(intent) if intent.options.sidecar else pod.probes(intent)),
        "lifecycle": noted(lifecycle, "The Service forgets the pod first; then the engine ends its open requests."),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    if mounts:
        container["volumeMounts"] = mounts
    if not container["env"]:
        del container["env"]
    spec: dict[str, Any] = {
        "terminationGracePeriodSeconds": noted(grace, "preStop, the engine's drain, and its way out."),
        "automountServiceAccountToken": False,
        "enableServiceLinks": noted(False, "A Service called vllm would set VLLM_PORT, which vLLM reads."),
        **({"initContainers": [sidecar.container(intent)]} if intent.options.sidecar else {}),
        "containers": [container],
        **pod.placement(intent),
    }
    if intent.options.replicas > 1:
        spec["topologySpreadConstraints"] = noted(
            [pod.spread(pod.labels(intent))], "One node's end takes as few replicas with it as can be."
        )
    if found:
        spec["volumes"] = found
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": intent.name, "labels": pod.labels(intent)},
        "spec": {
            "replicas": intent.options.replicas,
            "selector": {"matchLabels": pod.labels(intent)},
            "strategy": noted(_strategy(intent), "No GPU stands idle for a second copy, so the old one goes first."),
            "progressDeadlineSeconds": intent.resources.first_start_s + grace,
            "template": {"metadata": {"labels": pod.labels(intent)}, "spec": spec},
        },
    }


def _strategy(intent: Intent) -> dict[str, Any]:
    if intent.options.replicas == 1:
        return {"type": "Recreate"}
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}


def _service(intent: Intent) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": intent.name, "labels": pod.labels(intent)},
        "spec": {
            "type": "ClusterIP",
            "selector": pod.labels(intent),
            "ports": [{"name": "http", "port": PORT, "targetPort": PORT if intent.options.sidecar else "http"}],
        },
    }


def _budget(intent: Intent) -> dict[str, Any]:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": intent.name},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": pod.labels(intent)}},
    }
