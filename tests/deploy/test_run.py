"""The files really run: systemd's ExecStart, and Compose's command and health check, as they are written.

Neither a service manager nor Docker is needed. Both run in a network of their own (a namespace), so that the port in
the files is theirs; where that is not allowed the test says so.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.run import document, selfhost
from tests.deploy.plans import docs

pytestmark = pytest.mark.real

KEY = "a-key-of-the-test"
START_S = 120.0
INSIDE = "ip link set lo up && exec "
"""The first thing in a new network: its loopback."""


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """A plan of the embedded model for this very machine."""
    path = tmp_path / "plan.json"
    made = document("plan", "smollm2-135m", "--context", "1024", "--concurrency", "2")
    path.write_text(json.dumps(made))
    return path


@pytest.fixture
def network() -> Iterator[list[str]]:
    """Words that run a command in a network which lives as long as the test."""
    if (
        not shutil.which("ip")
        or subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("no network of its own can be made here (needs root and iproute2)")
    holder = subprocess.Popen(["unshare", "--net", "sh", "-c", f"{INSIDE} sleep 600"])
    time.sleep(0.2)
    try:
        yield ["nsenter", "--net", f"--target={holder.pid}"]
    finally:
        holder.kill()
        holder.wait()


@contextmanager
def running(words: list[str], env: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        child = subprocess.Popen(words, env=env, stdout=out, stderr=out, start_new_session=True)
    try:
        yield child
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()


def until(words: list[str], child: subprocess.Popen[bytes], log: Path) -> None:
    limit = time.monotonic() + START_S
    while subprocess.run(words, capture_output=True, timeout=30, check=False).returncode:
        assert child.poll() is None, log.read_text()[-2000:]
        assert time.monotonic() < limit, log.read_text()[-2000:]
        time.sleep(0.5)


def ask(network: list[str], name: str) -> dict[str, Any]:
    """A chat by curl, with the key."""
    body = {"model": name, "messages": [{"role": "user", "content": "Say hi."}], "max_tokens": 4}
    words = [*network, "curl", "-fsS", "--max-time", "60", "-H", f"Authorization: Bearer {KEY}"]
    words += [
        "-H",
        "Content-Type: application/json",
        "-d",
        json.dumps(body),
        "http://127.0.0.1:8000/v1/chat/completions",
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def refuses_strangers(network: list[str]) -> None:
    words = [
        *network,
        "curl",
        "-s",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "http://127.0.0.1:8000/v1/chat/completions",
    ]
    done = subprocess.run([*words, "-d", "{}"], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "401"


def test_systemds_command_serves_as_written(plan: Path, tmp_path: Path, network: list[str]) -> None:
    """What the manager would do: the unit's environment and credentials, then ExecStart; at the end SIGTERM."""
    out = tmp_path / "unit"
    assert selfhost("deploy", plan, "--target", "systemd", "--out", out).returncode == 0
    text = (out / "selfhost-smollm2-135m.service").read_text()
    lines = [line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#")]
    (start,) = [value for key, _, value in lines if key == "ExecStart"]
    credentials = tmp_path / "credentials"
    credentials.mkdir(mode=0o700)
    (credentials / "api-key").write_text(KEY + "\n")
    (credentials / "api-key").chmod(0o400)
    home = tmp_path / "home"
    env = dict(shlex.split(value)[0].split("=", 1) for key, _, value in lines if key == "Environment")
    env = {k: v.replace("%S", str(home)).replace("%C", str(home)) for k, v in env.items()}
    words = [w.replace("${CREDENTIALS_DIRECTORY}", str(credentials)) for w in shlex.split(start)]
    log = tmp_path / "log"
    with running([*network, *words], env, log) as child:
        until([*network, "curl", "-fsS", "http://127.0.0.1:8000/readyz"], child, log)
        assert ask(network, "smollm2-135m")["usage"]["completion_tokens"] > 0
        refuses_strangers(network)
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0
    assert KEY not in text
    assert KEY not in log.read_text()


def test_composes_command_and_health_check_as_written(plan: Path, tmp_path: Path, network: list[str]) -> None:
    """The image's program and its mount are this machine's; every other word, and the check, is the file's."""
    out = tmp_path / "compose"
    assert selfhost("deploy", plan, "--target", "compose", "--out", out).returncode == 0
    (document_,) = docs((out / "compose.yaml").read_text())
    service = document_["services"]["engine"]
    (mount,) = service["volumes"]
    launch = json.loads(plan.read_text())
    assert service["entrypoint"] == ["/app/llama-server"]
    words = [launch["argv"][0], *(w.replace(mount["target"], mount["source"]) for w in service["command"])]
    assert service["environment"]["LLAMA_API_KEY"].startswith("${SELFHOST_API_KEY:?")
    env = {"PATH": os.environ["PATH"], **launch["env"], "LLAMA_API_KEY": KEY}
    kind, *check = service["healthcheck"]["test"]
    assert kind == "CMD"
    log = tmp_path / "log"
    with running([*network, *words], env, log) as child:
        until([*network, *check], child, log)
        assert ask(network, "smollm2-135m")["usage"]["completion_tokens"] > 0
        refuses_strangers(network)
        # Prometheus reads the metrics with the key, as the file says.
        (job,) = docs((out / "prometheus.yml").read_text())[0]["scrape_configs"]
        assert job["authorization"] == {"credentials_file": "/run/secrets/api_key"}
        metrics = [*network, "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:8000/metrics"]
        said = [
            subprocess.run([*metrics, *more], capture_output=True, text=True, timeout=30, check=False).stdout
            for more in ((), ("-H", f"Authorization: Bearer {KEY}"))
        ]
        assert said == ["401", "200"]
        page = subprocess.run(
            [*network, "curl", "-s", "-H", f"Authorization: Bearer {KEY}", "http://127.0.0.1:8000/metrics"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        ).stdout
        asked = set(re.findall(r"llamacpp:[a-z_]+", (out / "grafana" / "dashboard.json").read_text()))
        assert len(asked) >= 6
        assert {name for name in asked if f"\n{name} " not in page} == set()  # every series of the dashboard is there
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0


def test_this_python_is_the_one_that_the_unit_starts(plan: Path, tmp_path: Path) -> None:
    out = tmp_path / "unit"
    selfhost("deploy", plan, "--target", "systemd", "--out", out)
    assert str(Path(sys.executable).parent) in (out / "selfhost-smollm2-135m.service").read_text()
