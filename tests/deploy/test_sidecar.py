"""The sidecar: where it is refused, what it changes, its image, its words really run beside an engine that hangs."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.cli.run import document, error_of
from tests.deploy.plans import GGUF, SIDECAR, docs, llama, made, options, vllm
from tests.deploy.test_run import KEY, ask, network, refuses_strangers, running, until
from toolkit.deploy.deploy import deploy
from toolkit.deploy.source import Hub
from toolkit.errors import InputError
from toolkit.types import LaunchPlan

ROOT = Path(__file__).resolve().parents[2]
__all__ = ["network"]  # a fixture
QUICK = "tick_s = 0.5\nstall_min_s = 2\nsuspect_grace_s = 1\nidle_probe_after_s = 2\nprobe_timeout_s = 2\n"


def pod(case: str) -> dict[str, Any]:
    found: dict[str, Any] = docs(made(case, "kubernetes").files["deployment.yaml"])[0]["spec"]["template"]["spec"]
    return found


def test_the_proxy_has_the_services_port_and_the_engine_another() -> None:
    (proxy,), (engine,) = pod("vllm-sidecar")["initContainers"], pod("vllm-sidecar")["containers"]
    assert proxy["restartPolicy"] == "Always"  # what makes an init container a sidecar
    assert proxy["image"] == SIDECAR
    assert proxy["ports"] == [{"name": "http", "containerPort": 8000}]
    assert engine["args"][engine["args"].index("--port") + 1] == "8001"
    assert engine["ports"] == [{"name": "engine", "containerPort": 8001}]
    assert proxy["args"][1] == "http://127.0.0.1:8001"
    assert engine["livenessProbe"]["httpGet"] == {"path": "/livez", "port": 8000}
    assert engine["startupProbe"]["httpGet"] == {"path": "/health", "port": "engine"}
    assert "readinessProbe" not in engine
    (service,) = docs(made("vllm-sidecar", "kubernetes").files["service.yaml"])
    assert service["spec"]["ports"] == [{"name": "http", "port": 8000, "targetPort": 8000}]
    (monitor,) = docs(made("vllm-sidecar", "kubernetes").files["monitoring/podmonitor.yaml"])
    assert [e["port"] for e in monitor["spec"]["podMetricsEndpoints"]] == ["engine", "http"]


def test_an_engine_without_a_gpu_is_given_the_patience_it_needs() -> None:
    assert "--on-cpu" in pod("llama-cpu-sidecar")["initContainers"][0]["args"]
    assert "--on-cpu" not in pod("vllm-sidecar")["initContainers"][0]["args"]


def test_it_keeps_what_nothing_else_there_can_keep() -> None:
    """Requests at once: refused for a bare engine, the proxy's business with one."""
    plan = vllm().model_copy(update={"max_in_flight": 3})
    with pytest.raises(InputError, match="max in flight"):
        deploy(plan, "kubernetes", options())
    text = deploy(plan, "kubernetes", options(sidecar=SIDECAR)).files["deployment.yaml"]
    assert '- --max-in-flight\n            - "3"\n' in text


@pytest.mark.parametrize("image", ["selfhost", "localhost:5000/selfhost", "a b:1", "", "UP:1", "a:1\nb"])
def test_images_without_a_tag_or_with_odd_words(image: str) -> None:
    if not image:
        assert "initContainers" not in deploy(vllm(), "kubernetes", options(sidecar=image)).files["deployment.yaml"]
        return
    with pytest.raises(InputError, match="no image with a tag"):
        deploy(vllm(), "kubernetes", options(sidecar=image))


def test_it_must_ask_for_a_key() -> None:
    with pytest.raises(InputError, match="must ask for a key"):
        deploy(vllm(), "kubernetes", options(sidecar=SIDECAR, key=False))
    at_home = vllm().model_copy(update={"argv": ("/usr/bin/vllm", *vllm().argv[1:])})
    with pytest.raises(InputError, match="systemd has no place"):
        deploy(at_home, "systemd", options(sidecar=SIDECAR))


@pytest.mark.parametrize("engine", ["", "127.0.0.1:8001", "http://x", "https://x:1", "http://x:1/v1", "http://x:a"])
def test_addresses_that_are_no_engine(engine: str) -> None:
    words = ("sidecar", engine, "--backend", "vllm", "--model", "m", "--port", "8099")
    assert "is no address of an engine" in error_of(*words)


def test_a_public_address_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SELFHOST_API_KEY", raising=False)
    words = (
        "sidecar",
        "http://127.0.0.1:1",
        "--backend",
        "vllm",
        "--model",
        "m",
        "--host",
        "0.0.0.0",
        "--port",
        "8099",
    )
    assert "no API key is set" in error_of(*words)
    assert "unknown" in error_of(*words[:3], "vlm", *words[4:])


@pytest.mark.slow
def test_what_the_image_is_made_of_suffices(tmp_path: Path) -> None:
    """The Dockerfile's COPY lines, a wheel of them, and the command that its pods run, with nothing else in sight."""
    text = (ROOT / "deploy" / "sidecar" / "Dockerfile").read_text()
    assert 'ENTRYPOINT ["selfhost"]' in text
    for line in re.findall(r"^COPY (.+)$", text, re.MULTILINE):
        *names, into = line.split()
        place = tmp_path / into.lstrip("/")
        place.mkdir(parents=True, exist_ok=True)
        for name in names:
            content = "/." if (ROOT / name).is_dir() else ""
            subprocess.run(["cp", "-r", f"{ROOT / name}{content}", str(place)], check=True, timeout=60)
    build = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(tmp_path),
        str(tmp_path / "src"),
    ]
    subprocess.run(build, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(wheel), "HOME": "/nonexistent"}
    words = [sys.executable, "-m", "toolkit.cli.main", "sidecar", "--help"]
    done = subprocess.run(words, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    for option in (w for w in pod("llama-cpu-sidecar")["initContainers"][0]["args"] if w.startswith("--")):
        assert option in done.stdout


@pytest.fixture
def launch() -> LaunchPlan:
    return LaunchPlan.model_validate(document("plan", "smollm2-135m", "--context", "1024", "--concurrency", "2"))


@pytest.mark.real
def test_its_liveness_notices_what_a_health_page_does_not(
    launch: LaunchPlan, tmp_path: Path, network: list[str]
) -> None:
    """Engine and proxy with the pod's own words; the limits are shorter, and the model is this machine's file."""
    hub = Hub(GGUF, None, "SmolLM2-135M-Instruct-Q4_1.gguf")
    files = deploy(launch, "kubernetes", options(sidecar=SIDECAR), hub=hub).files
    spec = docs(files["deployment.yaml"])[0]["spec"]["template"]["spec"]
    (proxy,), (engine,) = spec["initContainers"], spec["containers"]
    words = engine["args"]
    words = [launch.argv[0], "--model", str(launch.model_path), *words[words.index("--host") :]]
    (tmp_path / "limits.toml").write_text(f"[supervise]\n{QUICK}")
    before = [sys.executable, "-m", "toolkit.cli.main", *proxy["args"], "--config", str(tmp_path / "limits.toml")]
    before.remove("--on-cpu")  # it would wait 15 minutes, as it should
    nowhere = {"HOME": "/nonexistent", "SELFHOST_HOME": "/nonexistent/selfhost", "PYTHONPATH": str(ROOT)}
    (secret,) = [e["name"] for e in proxy["env"]]
    log, base = tmp_path / "log", "http://127.0.0.1:8000"
    quiet = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}"]

    def said(path: str) -> str:
        done = subprocess.run([*network, *quiet, base + path], capture_output=True, text=True, timeout=30, check=False)
        return done.stdout

    def turned(path: str, code: str, child: subprocess.Popen[bytes]) -> None:
        line = " ".join(map(shlex.quote, [*quiet, base + path]))
        until([*network, "sh", "-c", f'test "$({line})" = {code}'], child, log)

    with ExitStack() as stack:
        env = {"PATH": os.environ["PATH"], **nowhere, secret: KEY}
        side = stack.enter_context(running([*network, *before], env, log))
        turned("/livez", "200", side)
        assert said("/readyz") == "503"  # no engine yet
        env = {"PATH": os.environ["PATH"], **launch.env, "LLAMA_API_KEY": KEY}
        child = stack.enter_context(running([*network, *words], env, tmp_path / "engine"))
        turned("/readyz", "200", side)
        assert ask(network, launch.served_name)["usage"]["completion_tokens"] > 0
        refuses_strangers(network)

        child.send_signal(signal.SIGSTOP)  # connections are still taken: a port that is open proves nothing
        turned("/livez", "503", side)
        assert said("/readyz") == "503"
        child.send_signal(signal.SIGCONT)
        turned("/livez", "200", side)
        turned("/readyz", "200", side)

        child.send_signal(signal.SIGKILL)  # as the kubelet would, which then starts another
        child.wait(30)
        turned("/readyz", "503", side)
        assert said("/livez") == "200"  # nothing to kill
        stack.enter_context(running([*network, *words], env, tmp_path / "engine2"))
        turned("/readyz", "200", side)
        assert ask(network, launch.served_name)["usage"]["completion_tokens"] > 0
        side.send_signal(signal.SIGTERM)
        assert side.wait(30) == 0
    assert KEY not in log.read_text()
    assert json.dumps(spec).count(KEY) == 0


def test_llama_and_vllm_are_called_what_the_command_calls_them() -> None:
    from toolkit.backends.base import named
    from toolkit.deploy.sidecar import BACKENDS

    assert llama().backend == BACKENDS["llama.cpp"]
    assert all(named(backend).signals.progress_counters for backend in BACKENDS.values())
