"""Load from several machines: plain Locust, one master and many workers, beside a deployment.

It loads and counts; `selfhost bench` measures. A worker here is Locust's own image with one file: it needs nothing of
ours, and its times are those of a Python client under load. Workers on other machines join by the master's address.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from toolkit.deploy import pod
from toolkit.deploy.intent import KEY_ENV, PORT, Intent
from toolkit.deploy.rendered import Rendered
from toolkit.deploy.text import header, noted, yaml
from toolkit.errors import InputError

IMAGE = "locustio/locust:2.46.6"
"""Seen in use in public repositories on 2026-11-24."""
MASTER_PORT = 5557
"""Where Locust's master waits for workers, by its own default."""
MAX_WORKERS = 500
RUN_TIME = "2m"
FILE = "load/locustfile.py"


def added(rendered: Rendered, intent: Intent, target: str, workers: int) -> Rendered:
    """The same deployment with a load test beside it.

    Raises:
        InputError: a target without one, or a number of workers that makes no sense.
    """
    if target not in ("compose", "kubernetes"):
        raise InputError(f"{target} has no files for a load test", "compose and kubernetes have.")
    if not intent.options.locustfile:
        raise InputError("the load test's own file is missing from this installation")
    if not 1 <= workers <= MAX_WORKERS:
        raise InputError(f"{workers} load workers make no sense; from 1 to {MAX_WORKERS} do")
    if target == "compose":
        files = {"load/compose.yaml": _compose(intent, workers)}
        how = "docker compose --file load/compose.yaml up --exit-code-from load-master"
    else:
        files = _kubernetes(intent, workers)
        job = f"job/{intent.name}-load-master"
        wait = f"kubectl wait --for=condition=Complete {job} --timeout=10m"
        how = f"kubectl apply -k load && {wait} && kubectl logs {job}"
    again = " Before the next one: `kubectl delete -k load`." if target == "kubernetes" else ""
    note = f"Load from {workers} workers for {RUN_TIME}, to be read in the master's own table: `{how}`.{again}"
    return replace(
        rendered, files=rendered.files | {FILE: intent.options.locustfile} | files, notes=(*rendered.notes, note)
    )


def _master(intent: Intent, host: str, workers: int) -> list[str]:
    memory = intent.plan.memory
    users = (memory.concurrency if memory else 1) * intent.options.replicas
    words = ["--locustfile", "/load/locustfile.py", "--headless", "--only-summary", "--master"]
    words += ["--expect-workers", str(workers), "--users", str(max(users, workers)), "--spawn-rate", "10"]
    return [*words, "--run-time", RUN_TIME, "--host", host]


def _worker(master: str) -> list[str]:
    return ["--locustfile", "/load/locustfile.py", "--worker", "--master-host", master]


def _compose(intent: Intent, workers: int) -> str:
    environment: dict[str, Any] = {"LOAD_MODEL": intent.plan.served_name.replace("$", "$$")}
    if intent.options.key:
        reference = f"${{{KEY_ENV}:?put the API key into {KEY_ENV}}}"
        environment[KEY_ENV] = noted(reference, "Taken from your environment; written in no file.")
    file = {"type": "bind", "source": "./locustfile.py", "target": "/load/locustfile.py", "read_only": True}
    common = {"image": IMAGE, "volumes": [file], "environment": environment, "networks": ["engine"]}
    services = {
        "load-master": common
        | {
            "command": noted(_master(intent, f"http://engine:{PORT}", workers), "Users as the plan has them at once."),
            "ports": noted([f"127.0.0.1:{MASTER_PORT}:{MASTER_PORT}"], "Open it to let workers of other machines in."),
        },
        "load-worker": common | {"command": _worker("load-master"), "scale": workers, "depends_on": ["load-master"]},
    }
    network = {"engine": {"name": f"{intent.name}_default", "external": True}}
    top = header(f"Load for {intent.name}, which must be up: Locust, one master and {workers} workers.")
    return yaml({"name": f"{intent.name}-load", "services": services, "networks": network}, top=top)


def _kubernetes(intent: Intent, workers: int) -> dict[str, str]:
    master = f"{intent.name}-load-master"
    documents = {
        "load/master.yaml": yaml(
            _job(intent, "master", _master(intent, f"http://{intent.name}:{PORT}", workers), 1),
            _service(master),
            top=header("Locust's master: it waits for its workers, starts them, and prints the table."),
        ),
        "load/workers.yaml": yaml(
            _job(intent, "worker", _worker(master), workers),
            top=header("Locust's workers, spread over the nodes; they end with the master."),
        ),
    }
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["master.yaml", "workers.yaml"],
        "configMapGenerator": [
            {"name": f"{intent.name}-load", "files": ["locustfile.py"], "options": {"disableNameSuffixHash": True}}
        ],
    }
    return documents | {"load/kustomization.yaml": yaml(kustomization, top=header("kubectl apply -k load"))}


def _job(intent: Intent, role: str, words: list[str], count: int) -> dict[str, Any]:
    labels = {"app.kubernetes.io/name": f"{intent.name}-load-{role}"}
    env: list[Any] = [{"name": "LOAD_MODEL", "value": intent.plan.served_name.replace("$(", "$$(")}]
    if intent.options.key:
        env.append(
            {"name": KEY_ENV, "valueFrom": {"secretKeyRef": {"name": pod.key_secret(intent), "key": pod.KEY_ITEM}}}
        )
    container = {
        "name": role,
        "image": IMAGE,
        "args": words,
        "env": env,
        "resources": {"requests": {"cpu": "1", "memory": "512Mi"}},
        "volumeMounts": [{"name": "load", "mountPath": "/load"}],
    }
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "containers": [container],
        "topologySpreadConstraints": [pod.spread(labels)],
        "volumes": [{"name": "load", "configMap": {"name": f"{intent.name}-load"}}],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"{intent.name}-load-{role}", "labels": labels},
        "spec": {
            "parallelism": count,
            "completions": count,
            "backoffLimit": 0,
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def _service(master: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": master},
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {"app.kubernetes.io/name": master},
            "ports": [{"name": "locust", "port": MASTER_PORT}],
        },
    }
