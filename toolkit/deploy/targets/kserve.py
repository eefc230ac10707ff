"""KServe: one LLMInferenceService, ``serving.kserve.io/v1alpha2``. KServe brings the image, the address and TLS.

KServe's own template runs ``vllm serve /mnt/models … ${VLLM_ADDITIONAL_ARGS}``; the settings go into that variable.
An image or arguments of our own would replace its start script, and with it the certificates the gateway expects.
That script came with kserve#5249 (2026-03), and with it the switch ``enableLLMInferenceServiceTLS``, which decides
whether the engine speaks HTTPS. KServe merges this file over its template field by field, so a probe without a scheme
keeps the template's.
"""

from __future__ import annotations

import shlex
from typing import Any

from toolkit.deploy import fields, monitoring, pod
from toolkit.deploy.intent import PORT, Intent
from toolkit.deploy.rendered import Rendered, once_key
from toolkit.deploy.text import header, noted, yaml
from toolkit.errors import InputError
from toolkit.types import DeployCommands

FIELDS = fields.CONTAINER | {
    "engine_version": fields.irrelevant("KServe's release brings its own vLLM"),
}
LONGEST_NAME = 63 - len("-kserve-self-signed-certs")
DOWNLOADS = (
    "KServe downloads the model into each new pod; a volume of the cluster that holds it is quicker.",
    "A gated model: make a Secret with HF_TOKEN in it, and name it in the service account that the pods run under.",
)
"""Of KServe's storage initializer; see its documentation on Hugging Face."""
VLLM_ONLY = "its LLMInferenceService starts vLLM"


def render(intent: Intent) -> Rendered:
    """The files of the folder."""
    name = intent.name
    top = header(
        f"{intent.plan.served_name}: {intent.where}.",
        "Needs KServe 0.19 or newer: an older one's start script does not read VLLM_ADDITIONAL_ARGS.",
        "GPUs are the memory plan's; cores and host memory are assumed and may be changed here.",
    )
    monitor = pod.pod_monitor(intent, {pod.OWN_LABEL: name})
    scheme = noted("https", "KServe's enableLLMInferenceServiceTLS decides: where it is off, write http here.")
    monitor["spec"]["podMetricsEndpoints"][0] |= {"scheme": scheme, "tlsConfig": {"insecureSkipVerify": True}}
    files = {"llminferenceservice.yaml": yaml(_service(intent), top=top)} | monitoring.files(intent, monitor)
    ready = f"kubectl wait --for=condition=Ready llminferenceservice/{name}"
    return Rendered(
        files=files,
        base_url=None,
        endpoint=f"kubectl get llminferenceservice {name} -o jsonpath='{{.status.url}}'",
        commands=DeployCommands(
            once=once_key(intent),
            up="kubectl apply -f llminferenceservice.yaml",
            check=f"{ready} --timeout={intent.resources.first_start_s}s",
            down="kubectl delete -f llminferenceservice.yaml",
        ),
        notes=(
            "KServe's release decides which vLLM runs: compare it with the release the plan was made for.",
            "Whether the engine speaks HTTPS is KServe's switch `enableLLMInferenceServiceTLS`: the probes follow it, "
            "the scheme in monitoring/podmonitor.yaml is yours to set.",
            *(DOWNLOADS if intent.source.downloads else ()),
            "The settings reach vLLM by VLLM_ADDITIONAL_ARGS, which KServe's start script reads; its log shows them.",
        ),
    )


def _service(intent: Intent) -> dict[str, Any]:
    return {
        "apiVersion": "serving.kserve.io/v1alpha2",
        "kind": "LLMInferenceService",
        "metadata": {"name": intent.name},
        "spec": {
            "model": {"uri": _uri(intent), "name": intent.plan.served_name},
            "replicas": intent.options.replicas,
            "parallelism": _parallelism(intent),
            "labels": {pod.OWN_LABEL: intent.name},
            "router": noted(
                {"scheduler": {}, "route": {}, "gateway": {}}, "KServe's own gateway, route and load-aware scheduler."
            ),
            "template": _template(intent),
        },
    }


def _uri(intent: Intent) -> str:
    """Where KServe's storage initializer takes the model from."""
    source = intent.source
    if source.volume:
        return f"pvc://{source.volume.claim}/{source.volume.path.lstrip('/')}"
    revision = f":{source.revision}" if source.revision else ""
    return f"hf://{source.label}{revision}"


def _parallelism(intent: Intent) -> dict[str, int]:
    memory = intent.plan.memory
    if memory is None or memory.pp > 1:
        raise InputError(
            "kserve runs pipeline stages on several machines, and this plan has them in one",
            "plan it with tensor parallelism only.",
        )
    return {"tensor": memory.tp}


def _template(intent: Intent) -> dict[str, Any]:
    lifecycle, grace = pod.drain(intent)
    arguments = shlex.join(intent.argv(model=False))
    if "{{" in arguments or "$(" in arguments:
        raise InputError("kserve fills in {{…}} and $(…) itself, and this plan has such a word as it is")
    env = [noted({"name": "VLLM_ADDITIONAL_ARGS", "value": arguments}, "The launch plan's own settings.")]
    if intent.options.key:
        reference = {"secretKeyRef": {"name": pod.key_secret(intent), "key": pod.KEY_ITEM}}
        env.append(noted({"name": intent.key_env, "valueFrom": reference}, "The key lies in a Secret that you make."))
    env += [
        noted({"name": k, "value": v}, "From the launch plan." if k in intent.plan.env else "For a long load.")
        for k, v in sorted(intent.env.items())
    ]
    needs = intent.resources
    container: dict[str, Any] = {
        "name": "main",
        "env": env,
        "ports": [pod.http_port()],
        "resources": pod.resources(intent),
        "startupProbe": noted(
            pod.probe(intent, PORT, period=10, timeout=5, failures=needs.start_limit_s // 10),
            f"Expected load {needs.load_s} s; the start may take {needs.start_limit_s} s before it is called failed. "
            "The scheme is KServe's own.",
        ),
        "livenessProbe": noted(
            pod.probe(intent, PORT, period=30, timeout=30, failures=10),
            "Five minutes without an answer: a busy engine answers late, and killing it would lose every request.",
        ),
        "lifecycle": lifecycle,
    }
    template: dict[str, Any] = {
        "terminationGracePeriodSeconds": noted(grace, "preStop, the engine's drain, and its way out."),
        "containers": [noted(container, "KServe merges this with its own container of that name.")],
        **pod.placement(intent),
    }
    if needs.shm_gib:
        memory = {"medium": "Memory", "sizeLimit": f"{needs.shm_gib}Gi"}
        template["volumes"] = noted(
            [{"name": "dshm", "emptyDir": memory}], "KServe's own mount of /dev/shm, made large enough."
        )
    return template
