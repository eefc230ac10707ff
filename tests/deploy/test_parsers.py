"""SkyPilot's and Ray's own parsers read the files, in an environment of their own (`make test-deploy`)."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.deploy.plans import HELD, docs, made
from tests.deploy.tools import PLACE
from toolkit.deploy import hardware

pytestmark = pytest.mark.deploy

ROOT = Path(__file__).resolve().parents[2]
PYTHON = PLACE / "bin" / "python"
SCHEMAS = Path(__file__).parent / "schemas"

SKY = """
import json, sys, yaml
from sky.task import Task
with open(sys.argv[1]) as file:
    task = Task.from_yaml_config(yaml.safe_load(file), secrets_overrides={"SELFHOST_API_KEY": sys.argv[2]})
(resources,) = task.resources
service = task.service
print(json.dumps({
    "gpus": resources.accelerators, "spot": resources.use_spot, "cpus": resources.cpus, "memory": resources.memory,
    "image": resources.image_id, "ports": resources.ports, "disk": resources.disk_size,
    "path": service.readiness_path, "post": service.post_data, "headers": service.readiness_headers,
    "replicas": [service.min_replicas, service.max_replicas], "fallback": service.dynamic_ondemand_fallback,
    "run": task.run}))
"""
RAY = """
import json, sys, yaml
from ray.serve.schema import ServeDeploySchema
from ray.llm._internal.serve.core.configs.llm_config import LLMConfig
config = ServeDeploySchema.parse_obj(yaml.safe_load(open(sys.argv[1])))
(application,) = config.applications
models = [LLMConfig(**m) for m in application.args["llm_configs"]]
print(json.dumps({"import": application.import_path, "gpu": [m.accelerator_type for m in models],
                  "kwargs": [m.engine_kwargs for m in models]}))
"""
NAMES = """
import json
import re
from ray.util.accelerators import accelerators
print(json.dumps(sorted(v for k, v in vars(accelerators).items() if k.isupper() and isinstance(v, str))))
"""
MAKE = """
import contextlib, importlib, io, json, sys
sys.path.insert(0, sys.argv[1])
out = io.StringIO()
with contextlib.redirect_stdout(out):
    importlib.import_module(sys.argv[2]).main(sys.argv[3])
print(json.dumps(json.loads(out.getvalue())))
"""


@pytest.fixture(autouse=True)
def _installed() -> None:
    if not (PLACE / ".installed").is_file():
        pytest.skip(f"SkyPilot and Ray are not installed in {PLACE}; `make test-deploy` does it where PyPI answers")


def parsed(program: str, *words: str, home: Path) -> object:
    env = {"PATH": "/usr/bin:/bin", "HOME": str(home), "SKYPILOT_DISABLE_USAGE_COLLECTION": "1", "RAY_SERVE_LOG": "0"}
    done = subprocess.run(
        [str(PYTHON), "-c", program, *words], env=env, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.parametrize("case", [c for c, t in HELD if t == "skypilot"])
def test_skypilot_reads_its_service(case: str, tmp_path: Path) -> None:
    deployed = made(case, "skypilot")
    (tmp_path / "service.yaml").write_text(deployed.files["service.yaml"])
    found = parsed(SKY, str(tmp_path / "service.yaml"), "the-key", home=tmp_path)
    assert isinstance(found, dict)
    about = deployed.about
    sky = {"H100-SXM-80GB": "H100", "L4": "L4"}
    assert found["gpus"] == ({sky[about.gpu]: about.gpus_per_replica} if about.gpu else None)
    assert (found["spot"], bool(found["fallback"])) == (about.spot, about.spot)
    assert found["replicas"] == [about.replicas, about.replicas]
    assert found["post"]["model"] == about.served_name  # it is a POST, and so a token, that makes it ready
    assert found["path"] == "/v1/chat/completions"
    assert found["headers"] == {"Authorization": "Bearer the-key"}
    assert list(found["image"].values()) == [f"docker:{about.image}"]
    assert found["ports"] == ["8000"]


def test_rays_own_schema_reads_the_application(tmp_path: Path) -> None:
    (service,) = docs(made("vllm-ray", "rayserve").files["rayservice.yaml"])
    (tmp_path / "serve.yaml").write_text(service["spec"]["serveConfigV2"])
    found = parsed(RAY, str(tmp_path / "serve.yaml"), home=tmp_path)
    assert isinstance(found, dict)
    assert (found["import"], found["gpu"]) == ("ray.serve.llm:build_openai_app", ["H100"])
    assert found["kwargs"][0]["tensor_parallel_size"] == 2


def test_rays_accelerator_types_are_rays(tmp_path: Path) -> None:
    known = parsed(NAMES, home=tmp_path)
    assert isinstance(known, list)
    assert {n.ray for n in hardware.GPUS.values() if n.ray} <= set(known)


@pytest.mark.parametrize(
    ("module", "kind", "file"),
    [
        ("operator_kinds", "PodMonitor", "podmonitor"),
        ("operator_kinds", "PrometheusRule", "prometheusrule"),
        ("cluster_kinds", "RayService", "served_rayservice"),
        ("cluster_kinds", "LLMInferenceService", "served_llminferenceservice"),
    ],
)
def test_schemas_are_what_their_packages_say(module: str, kind: str, file: str, tmp_path: Path) -> None:
    """Made anew: what lies in the repository is that, and nothing was added by hand."""
    made_anew = parsed(MAKE, str(SCHEMAS), module, kind, home=tmp_path)
    assert made_anew == json.loads((SCHEMAS / f"{file}.json").read_text())


def test_skypilots_gpu_names_are_skypilots() -> None:
    """Its catalogues are fetched from the network, but what makes them names each kind in its sources."""
    (package,) = PLACE.glob("lib/python*/site-packages/sky")
    sources = [p.read_text() for p in package.rglob("*.py")]
    words = {word for text in sources for word in re.findall(r"['\"]([A-Za-z0-9-]{2,20})['\"]", text)}
    assert {n.sky for n in hardware.GPUS.values() if n.sky} - words == set()


def test_the_readmes_commands_are_skypilots(tmp_path: Path) -> None:
    """Every option of the three commands is in the help of its subcommand."""
    commands = made("vllm-spot", "skypilot").about
    sky = PYTHON.with_name("sky")
    for line in (commands.commands.up, commands.commands.check, commands.commands.down, str(commands.endpoint)):
        words = line.split()
        assert words[:2] == ["sky", "serve"]
        env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "SKYPILOT_DISABLE_USAGE_COLLECTION": "1"}
        done = subprocess.run(
            [str(sky), "serve", words[2], "--help"], env=env, capture_output=True, text=True, timeout=120, check=True
        )
        assert [w for w in words if w.startswith("--") and w not in done.stdout] == []
