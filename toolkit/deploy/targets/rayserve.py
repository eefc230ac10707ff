"""Ray Serve on Kubernetes: a KubeRay RayService with Ray's own OpenAI application over vLLM."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from toolkit.deploy import fields, hardware, images, monitoring, pod, settings
from toolkit.deploy.intent import PORT, Intent
from toolkit.deploy.rendered import Rendered, once_token
from toolkit.deploy.text import header, noted, yaml
from toolkit.errors import InputError
from toolkit.types import DeployCommands

FIELDS = fields.CONTAINER | {"health_path": fields.irrelevant("Ray Serve probes its own replicas")}
LONGEST_NAME = 41
"""KubeRay's own limit for a RayService: the names it makes from it are longer."""
VLLM_ONLY = "its OpenAI application starts vLLM"
WORKER_GROUP = "engine"
OPTIONS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "--max-model-len": ("max_model_len", int),
    "--tensor-parallel-size": ("tensor_parallel_size", int),
    "--pipeline-parallel-size": ("pipeline_parallel_size", int),
    "--max-num-seqs": ("max_num_seqs", int),
    "--max-num-batched-tokens": ("max_num_batched_tokens", int),
    "--gpu-memory-utilization": ("gpu_memory_utilization", float),
    "--kv-cache-dtype": ("kv_cache_dtype", str),
    "--quantization": ("quantization", str),
    "--dtype": ("dtype", str),
    "--block-size": ("block_size", int),
    "--decode-context-parallel-size": ("decode_context_parallel_size", int),
    "--max-lora-rank": ("max_lora_rank", int),
    "--max-loras": ("max_loras", int),
    "--speculative-config": ("speculative_config", json.loads),
}
"""vLLM's options with a value → ``engine_kwargs`` of Ray's `LLMConfig`, which are vLLM's engine arguments."""
SWITCHES = {
    "--enforce-eager": ("enforce_eager", True),
    "--enable-prefix-caching": ("enable_prefix_caching", True),
    "--no-enable-prefix-caching": ("enable_prefix_caching", False),
    "--enable-expert-parallel": ("enable_expert_parallel", True),
    "--enable-lora": ("enable_lora", True),
}
"""Those without one."""


def render(intent: Intent) -> Rendered:
    """The files of the folder.

    Raises:
        InputError: a key, which Ray's application does not ask for; another vLLM release; an option it has no name for.
    """
    _check(intent)
    name, ray = intent.name, images.ray(intent.plan)
    top = header(
        f"{intent.plan.served_name}: {intent.where}. KubeRay 1.4 or newer; vLLM {ray.vllm} comes with the image.",
        "GPUs are the memory plan's; cores and host memory are assumed and may be changed here.",
    )
    monitor = pod.pod_monitor(intent, {pod.OWN_LABEL: name}, port="metrics")
    files = {"rayservice.yaml": yaml(_service(intent), top=top)}
    if intent.source.downloads:
        files["cache.yaml"] = yaml(pod.cache_claim(intent), top=header("Keeps downloaded weights across restarts."))
    files |= monitoring.files(intent, monitor, charts=False)
    applied = " ".join(f"-f {file}" for file in files if "/" not in file)
    return Rendered(
        files=files,
        image=ray.image,
        base_url=f"http://127.0.0.1:{PORT}/v1",
        endpoint=f"kubectl port-forward service/{name}-serve-svc {PORT}:{PORT}",
        commands=DeployCommands(
            once=once_token(intent),
            up=f"kubectl apply {applied}",
            check=f"kubectl wait --for=condition=Ready rayservice/{name} --timeout={intent.resources.first_start_s}s",
            down=f"kubectl delete {applied}",
        ),
        notes=(
            *(["Down deletes the downloaded weights too."] if intent.source.downloads else []),
            "A changed file makes KubeRay start a second cluster beside the first, which needs its GPUs too until it "
            "has taken over; `spec.upgradeStrategy.type: None` forbids it.",
            "Ray renames vLLM's series; the dashboards that Ray generates show them.",
            "Ray's application asks for no key: whoever reaches the Service may use it. Keep it inside the cluster.",
        ),
    )


def _check(intent: Intent) -> None:
    if intent.options.key:
        raise InputError(
            "rayserve cannot ask for an API key: Ray's OpenAI application has none",
            "leave the key out and put a gateway that asks for one before it, or use kubernetes.",
        )


def _service(intent: Intent) -> dict[str, Any]:
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": {"name": intent.name},
        "spec": {
            "serveConfigV2": noted(yaml(_application(intent)), "What Ray Serve runs; it reads this text as YAML."),
            "rayClusterConfig": {
                "rayVersion": images.ray(intent.plan).version,
                "headGroupSpec": _head(intent),
                "workerGroupSpecs": [_workers(intent)],
            },
        },
    }


def _application(intent: Intent) -> dict[str, Any]:
    model: dict[str, Any] = {
        "model_loading_config": {"model_id": intent.plan.served_name, "model_source": intent.source.words[0]},
        "accelerator_type": hardware.ray(str(intent.resources.gpu), intent.options.gpu_type),
        "engine_kwargs": _engine_kwargs(intent),
        "deployment_config": {
            "num_replicas": intent.options.replicas,
            "graceful_shutdown_timeout_s": intent.drain_s or 20,
        },
    }
    if intent.env:
        model["runtime_env"] = {"env_vars": dict(sorted(intent.env.items()))}
    application = {
        "name": "llm",
        "import_path": "ray.serve.llm:build_openai_app",
        "route_prefix": "/",
        "args": {"llm_configs": [model]},
    }
    return {"applications": [application]}


def _engine_kwargs(intent: Intent) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for flag in intent.flags:
        if flag[0] in SWITCHES and len(flag) == 1:
            name, on = SWITCHES[flag[0]]
            found[name] = on
        elif flag[0] in OPTIONS and len(flag) == 2:
            name, kind = OPTIONS[flag[0]]
            found[name] = settings.read(flag, kind)
        else:
            raise InputError(
                f"rayserve has no known setting for {' '.join(flag)}", "leave it out of the plan, or use kubernetes."
            )
    if intent.source.hub and intent.source.revision:
        found["revision"] = intent.source.revision
    return found


def _head(intent: Intent) -> dict[str, Any]:
    container = {
        "name": "ray-head",
        "image": images.ray(intent.plan).image,
        "ports": [
            {"name": "gcs", "containerPort": 6379},
            {"name": "dashboard", "containerPort": 8265},
            {"name": "client", "containerPort": 10001},
            {"name": "serve", "containerPort": PORT},
            {"name": "metrics", "containerPort": 8080},
        ],
        "resources": {"requests": {"cpu": "2", "memory": "8Gi"}, "limits": {"memory": "8Gi"}},
    }
    start = {"num-cpus": "0", "num-gpus": "0", "dashboard-host": "0.0.0.0"}  # noqa: S104 - the operator asks it
    return {
        "rayStartParams": noted(start, "The head only coordinates."),
        "template": {"metadata": _metadata(intent), "spec": {"containers": [container]}},
    }


def _metadata(intent: Intent) -> dict[str, Any]:
    """A label of our own: KubeRay's are on the pods of every Ray cluster."""
    return {"labels": {pod.OWN_LABEL: intent.name}}


def _workers(intent: Intent) -> dict[str, Any]:
    found, mounts = pod.volumes(intent, f"{intent.name}-cache")
    env = [e for e in pod.env(intent) if not (isinstance(e, dict) and e["name"] in intent.env)]
    container: dict[str, Any] = {
        "name": "ray-worker",
        "image": images.ray(intent.plan).image,
        "ports": [{"name": "metrics", "containerPort": 8080}],
        "resources": pod.resources(intent),
    }
    if env:
        container["env"] = env
    if mounts:
        container["volumeMounts"] = mounts
    _, grace = pod.drain(intent)
    spec: dict[str, Any] = {
        "terminationGracePeriodSeconds": noted(grace, "Ray's own drain, and its way out."),
        "containers": [container],
        **pod.placement(intent),
    }
    if found:
        spec["volumes"] = found
    replicas = intent.options.replicas
    return {
        "groupName": WORKER_GROUP,
        "replicas": noted(replicas, "One worker pod a replica, with all its GPUs."),
        "minReplicas": replicas,
        "maxReplicas": replicas,
        "rayStartParams": {"num-gpus": str(intent.resources.gpus)},
        "template": {"metadata": _metadata(intent), "spec": spec},
    }
