"""Parts of a pod that several Kubernetes targets share: placement, resources, probes, the key, volumes, metrics."""

from __future__ import annotations

from typing import Any

from toolkit.deploy import hardware
from toolkit.deploy.intent import PORT, Intent
from toolkit.deploy.source import CACHE, MODELS
from toolkit.deploy.text import noted

PRESTOP_S = 10
"""Time for endpoints to forget a pod that is about to stop, before its engine hears of it."""
GRACE_EXTRA_S = 20
"""On top of the drain: an engine's own way out."""
SPOT_LABELS = (
    ("karpenter.sh/capacity-type", "spot"),
    ("cloud.google.com/gke-spot", "true"),
    ("eks.amazonaws.com/capacityType", "SPOT"),
    ("kubernetes.azure.com/scalesetpriority", "spot"),
)
"""How Karpenter, GKE, EKS and AKS mark spot nodes; any one of them will do."""
SPOT_TAINTS = ("cloud.google.com/gke-spot", "kubernetes.azure.com/scalesetpriority")
"""Spot nodes that keep other pods away."""
OWN_LABEL = "selfhost-deployment"
"""On pods that an operator makes: its own labels differ by release, or are on every pod of its kind."""
KEY_ITEM = "api-key"
TOKEN_ITEM = "token"  # noqa: S105 - the name of an item, not its content


def key_secret(intent: Intent) -> str:
    """The Secret that holds the API key; made by the user."""
    return f"{intent.name}-api-key"


def token_secret(intent: Intent) -> str:
    """The Secret that may hold a hub token, for models that ask for one."""
    return f"{intent.name}-hub-token"


def labels(intent: Intent) -> dict[str, str]:
    """What selects the engine's pods."""
    return {"app.kubernetes.io/name": intent.name, "app.kubernetes.io/component": "engine"}


def env(intent: Intent) -> list[Any]:
    """The container's variables; secrets by reference."""
    found: list[Any] = [{"name": k, "value": v.replace("$(", "$$(")} for k, v in sorted(intent.env.items())]
    if intent.options.key:
        reference = {"secretKeyRef": {"name": key_secret(intent), "key": KEY_ITEM}}
        found.append(noted({"name": intent.key_env, "valueFrom": reference}, "The key lies in a Secret that you make."))
    if intent.source.downloads:
        variable = "HF_HOME" if intent.engine == "vllm" else "LLAMA_CACHE"
        found.append({"name": variable, "value": CACHE})
        token = {"secretKeyRef": {"name": token_secret(intent), "key": TOKEN_ITEM, "optional": True}}
        found.append(noted({"name": "HF_TOKEN", "valueFrom": token}, "Only gated models need it."))
    return found


def resources(intent: Intent) -> dict[str, Any]:
    """Requests and limits: GPUs from the memory plan, host memory and cores as sized."""
    needs = intent.resources
    gpus = {"nvidia.com/gpu": str(needs.gpus)} if needs.gpus else {}
    memory = f"{needs.memory_gib}Gi"
    return {
        "requests": {"cpu": str(needs.cores), "memory": memory, **gpus},
        "limits": noted({"memory": memory, **gpus}, "No limit on cores: a throttled engine answers late."),
    }


def probe(intent: Intent, port: int | str, *, period: int, timeout: int, failures: int) -> dict[str, Any]:
    """An HTTP probe of the engine's health path, which asks for no key."""
    return {
        "httpGet": {"path": intent.health_path, "port": port},
        "periodSeconds": period,
        "timeoutSeconds": timeout,
        "failureThreshold": failures,
    }


def probes(intent: Intent) -> dict[str, Any]:
    """Startup, readiness and liveness: the load may be slow, an answer may be late, a dead engine goes."""
    needs = intent.resources
    return {
        "startupProbe": noted(
            probe(intent, engine_port(intent)["name"], period=10, timeout=5, failures=needs.start_limit_s // 10),
            f"Expected load {needs.load_s} s; the start may take {needs.start_limit_s} s before it is called failed.",
        ),
        "readinessProbe": noted(
            probe(intent, "http", period=5, timeout=5, failures=3), "Not ready: no new requests; nothing is killed."
        ),
        "livenessProbe": noted(
            probe(intent, "http", period=30, timeout=30, failures=10),
            "Five minutes without an answer: a busy engine answers late, and killing it would lose every request.",
        ),
    }


def drain(intent: Intent) -> tuple[dict[str, Any], int]:
    """The container's ``lifecycle`` and the pod's grace, seconds."""
    lifecycle = {"preStop": {"exec": {"command": ["sleep", str(PRESTOP_S)]}}}
    return lifecycle, PRESTOP_S + intent.drain_s + GRACE_EXTRA_S


def placement(intent: Intent) -> dict[str, Any]:
    """Where the pod may run: nodes with that GPU, spot nodes when asked."""
    found: dict[str, Any] = {}
    terms = node_terms(intent)
    if terms:
        found["affinity"] = {
            "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
        }
    tolerations = tolerate(intent)
    if tolerations:
        found["tolerations"] = tolerations
    return found


def node_terms(intent: Intent) -> list[dict[str, Any]]:
    """Node selector terms; any one must match."""
    gpu = intent.resources.gpu
    kind = []
    if gpu:
        values = list(hardware.labels(gpu, intent.options.gpu_type))
        kind = [{"key": "nvidia.com/gpu.product", "operator": "In", "values": values}]
    if not intent.options.spot:
        return [{"matchExpressions": kind}] if kind else []
    return [
        {"matchExpressions": [*kind, {"key": key, "operator": "In", "values": [value]}]} for key, value in SPOT_LABELS
    ]


def tolerate(intent: Intent) -> list[dict[str, Any]]:
    """Taints of GPU nodes and of spot nodes."""
    keys = (["nvidia.com/gpu"] if intent.resources.gpus else []) + (list(SPOT_TAINTS) if intent.options.spot else [])
    return [{"key": key, "operator": "Exists", "effect": "NoSchedule"} for key in keys]


def spread(selector: dict[str, str]) -> dict[str, Any]:
    """Over as many nodes as there are, and no further."""
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector},
    }


def volumes(intent: Intent, cache_claim: str) -> tuple[list[Any], list[Any]]:
    """The pod's volumes and where the container sees them."""
    found: list[Any] = []
    mounts: list[Any] = []
    if intent.source.downloads:
        found.append(_cache(intent, cache_claim))
        mounts.append({"name": "cache", "mountPath": CACHE})
    if intent.source.volume:
        claim = {"claimName": intent.source.volume.claim, "readOnly": True}
        found.append({"name": "models", "persistentVolumeClaim": claim})
        mounts.append({"name": "models", "mountPath": MODELS, "readOnly": True})
    if intent.resources.shm_gib:
        memory = {"medium": "Memory", "sizeLimit": f"{intent.resources.shm_gib}Gi"}
        found.append(noted({"name": "shm", "emptyDir": memory}, "Ranks of one engine talk through shared memory."))
        mounts.append({"name": "shm", "mountPath": "/dev/shm"})  # noqa: S108 - the mount point itself
    return found, mounts


def own_copies(intent: Intent) -> bool:
    """Whether each pod must download for itself: llama.cpp writes a file under one name and takes no lock."""
    return intent.engine == "llama.cpp" and intent.source.downloads and intent.options.replicas > 1


def _cache(intent: Intent, claim: str) -> Any:
    if not own_copies(intent):
        return {"name": "cache", "persistentVolumeClaim": {"claimName": claim}}
    spec = {"accessModes": ["ReadWriteOnce"], "resources": _storage(intent)}
    why = "A copy for each pod: llama.cpp downloads into one file without a lock, so replicas must not share it."
    return noted({"name": "cache", "ephemeral": {"volumeClaimTemplate": {"spec": spec}}}, why)


def _storage(intent: Intent) -> dict[str, Any]:
    return {"requests": {"storage": f"{intent.resources.disk_gib}Gi"}}


def cache_claim(intent: Intent) -> dict[str, Any]:
    """The claim for downloaded weights, so that a restart does not download again."""
    mode = "ReadWriteOnce" if intent.options.replicas == 1 else "ReadWriteMany"
    why = (
        "One replica, one node."
        if intent.options.replicas == 1
        else "Replicas on several nodes share one download; the storage class must allow it."
    )
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": f"{intent.name}-cache", "labels": labels(intent)},
        "spec": {
            "accessModes": noted([mode], why),
            "resources": _storage(intent),
        },
    }


def pod_monitor(intent: Intent, selector: dict[str, str], port: str = "http", path: str = "/metrics") -> dict[str, Any]:
    """Scraping for the Prometheus operator. llama.cpp guards its metrics with the key, vLLM does not."""
    endpoint: dict[str, Any] = {"port": port, "path": path, "interval": "15s"}
    if intent.options.key and intent.engine == "llama.cpp":
        credentials = {"name": key_secret(intent), "key": KEY_ITEM}
        endpoint["authorization"] = {"type": "Bearer", "credentials": credentials}
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": {"name": intent.name},
        "spec": {"selector": {"matchLabels": selector}, "podMetricsEndpoints": [endpoint]},
    }


def engine_port(intent: Intent) -> dict[str, Any]:
    """The engine's port, which is not the pod's where our own proxy has that one."""
    name = "engine" if intent.options.sidecar else "http"
    return {"name": name, "containerPort": intent.engine_port}


def http_port() -> dict[str, Any]:
    """The container's port, by name."""
    return {"name": "http", "containerPort": PORT}
