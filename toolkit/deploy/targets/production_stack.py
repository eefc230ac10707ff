"""vLLM production-stack: values of its Helm chart 0.1.12, and a PodMonitor beside them.

The chart has no setting for the pod's grace period, so Kubernetes' 30 seconds stand: a drain of at most 25 fits.
"""

from __future__ import annotations

from typing import Any

from toolkit.deploy import fields, monitoring, pod, settings
from toolkit.deploy.intent import PORT, Intent
from toolkit.deploy.rendered import Rendered, once_key, once_token
from toolkit.deploy.text import header, noted, yaml
from toolkit.types import DeployCommands

FIELDS = fields.CONTAINER
CHART = "0.1.12"
RELEASE = "vllm"
LONGEST_NAME = 63 - len(f"{RELEASE}--vllm-stack-engine-service")
DRAIN_S = 25
VLLM_ONLY = "its chart starts vLLM"
SAID_BY_VALUES = {
    "--max-model-len": ("maxModelLen", int),
    "--tensor-parallel-size": ("tensorParallelSize", int),
    "--gpu-memory-utilization": ("gpuMemoryUtilization", float),
    "--max-num-seqs": ("maxNumSeqs", int),
}
"""Options that the chart has values for; the others go into ``extraArgs``."""
SAID_BY_PREFIX_CACHING = (("--enable-prefix-caching",), ("--no-enable-prefix-caching",))


def render(intent: Intent) -> Rendered:
    """The files of the folder."""
    top = header(
        f"Values of the Helm chart vllm-stack {CHART}: {intent.plan.served_name}, {intent.where}.",
        "GPUs are the memory plan's; cores and host memory are assumed and may be changed here.",
    )
    monitor = pod.pod_monitor(intent, {"model": intent.name}, port="container-port")
    files = {"values.yaml": yaml(_values(intent), top=top)} | monitoring.files(intent, monitor)
    install = f"helm upgrade --install {RELEASE} vllm-stack --repo https://vllm-project.github.io/production-stack"
    return Rendered(
        files=files,
        image=intent.image,
        base_url=f"http://127.0.0.1:{PORT}/v1",
        endpoint=f"kubectl port-forward service/{RELEASE}-router-service {PORT}:80",
        commands=DeployCommands(
            once=(*once_key(intent), *once_token(intent)),
            up=f"{install} --version {CHART} --values values.yaml",
            # Not `rollout status`, which gives up after the chart's own 1200 s.
            check=f"kubectl wait --for=condition=Available deployment/{RELEASE}-{intent.name}-deployment-vllm "
            f"--timeout={intent.resources.first_start_s}s",
            down=f"helm uninstall {RELEASE}",
        ),
        notes=(
            f"Open requests get {DRAIN_S} s when a pod stops: the chart leaves the pod's grace at 30 s.",
            *(
                ["Down deletes the chart's claim and the downloaded weights with it."]
                if intent.source.downloads
                else []
            ),
        ),
    )


def _values(intent: Intent) -> dict[str, Any]:
    needs = intent.resources
    engine: dict[str, Any] = {
        "enableEngine": True,
        "modelSpec": [_model(intent)],
        "startupProbe": noted(
            pod.probe(intent, PORT, period=10, timeout=5, failures=needs.start_limit_s // 10)
            | {"initialDelaySeconds": 15},
            f"Expected load {needs.load_s} s; the start may take {needs.start_limit_s} s before it is called failed.",
        ),
        "livenessProbe": noted(
            pod.probe(intent, PORT, period=30, timeout=30, failures=10) | {"initialDelaySeconds": 15},
            "Five minutes without an answer: a busy engine answers late, and killing it would lose every request.",
        ),
        "tolerations": pod.tolerate(intent),
        "strategy": noted(
            {"type": "Recreate"}
            if intent.options.replicas == 1
            else {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
            "No GPU stands idle for a second copy, so the old one goes first.",
        ),
    }
    if intent.options.key:
        engine["vllmApiKey"] = noted(
            {"secretName": pod.key_secret(intent), "secretKey": pod.KEY_ITEM}, "The key lies in a Secret that you make."
        )
    router = {"enableRouter": True, "replicaCount": 1, "routingLogic": "roundrobin", "serviceDiscovery": "k8s"}
    return {"servingEngineSpec": engine, "routerSpec": noted(router, "Spreads requests over the replicas.")}


def _model(intent: Intent) -> dict[str, Any]:
    needs = intent.resources
    repository, _, tag = intent.image.rpartition(":")
    model: dict[str, Any] = {
        "name": intent.name,
        "repository": repository,
        "tag": tag,
        "modelURL": intent.source.words[0],
        "replicaCount": intent.options.replicas,
        "requestCPU": needs.cores,
        "requestMemory": f"{needs.memory_gib}Gi",
        "requestGPU": needs.gpus,
        "limitMemory": f"{needs.memory_gib}Gi",
        "nodeSelectorTerms": pod.node_terms(intent),
        "vllmConfig": _config(intent),
    }
    if intent.env:
        model["env"] = [{"name": k, "value": v} for k, v in sorted(intent.env.items())]
    if needs.shm_gib:
        model["shmSize"] = f"{needs.shm_gib}Gi"
    if intent.source.downloads:
        many = intent.options.replicas > 1
        model["pvcStorage"] = noted(f"{needs.disk_gib}Gi", "Keeps downloaded weights across restarts.")
        model["pvcAccessMode"] = ["ReadWriteMany" if many else "ReadWriteOnce"]
        token = {"secretKeyRef": {"name": pod.token_secret(intent), "key": pod.TOKEN_ITEM, "optional": True}}
        # A value beside it, though an empty one: the schema of the chart's older releases asks for one.
        entry = {"name": "HF_TOKEN", "value": "", "valueFrom": token}
        model.setdefault("env", []).append(noted(entry, "Only gated models need it."))
    if intent.source.volume:
        found, mounts = pod.volumes(intent, "")
        kept = [v for v in found if isinstance(v, dict)]
        model |= {"extraVolumes": kept, "extraVolumeMounts": [m for m in mounts if m["name"] == "models"]}
    return model


def _config(intent: Intent) -> dict[str, Any]:
    """``vllmConfig``: what the chart has a value for, and the rest as it stands."""
    off = ("--no-enable-prefix-caching",) in intent.flags
    why = "As the plan has it." if off else "vLLM's own default; the chart would switch it off."
    config: dict[str, Any] = {"enablePrefixCaching": noted(not off, why)}
    extra = ["--served-model-name", intent.plan.served_name]
    if intent.source.hub and intent.source.revision:
        extra += ["--revision", intent.source.revision]
    for flag in intent.flags:
        if flag in SAID_BY_PREFIX_CACHING:
            continue
        name, kind = SAID_BY_VALUES.get(flag[0], (None, str))
        if name is None:
            extra += flag
        else:
            config[name] = settings.read(flag, kind)
    if intent.drain_s:
        extra += ["--shutdown-timeout", str(min(intent.drain_s, DRAIN_S))]
    config["extraArgs"] = noted(extra, "The rest of the launch plan's settings.")
    return config
