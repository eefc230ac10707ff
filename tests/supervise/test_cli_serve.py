"""serve, status, logs, stop and restart as a user types them, with a fake engine behind `--backend command`."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.supervise.harness import FAKE, World, chat, until
from toolkit.supervise import api

pytestmark = pytest.mark.slow


class Shell:
    """Runs `selfhost` in a process of its own, in one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.cmd = f"{sys.executable} {FAKE} --host {{host}} --port {{port}} --model fake --faults {world.faults_file}"
        self.env = os.environ | {"FAKE_ROOT": str(world.root), "NO_COLOR": "1"}

    def popen(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "toolkit.cli.main", *words],
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *words: str) -> tuple[int, str, str]:
        process = self.popen(*words)
        out, err = process.communicate(timeout=40)
        return process.returncode, out, err

    def serve(self, *words: str) -> tuple[int, str, str]:
        return self("serve", "--backend", "command", "--cmd", self.cmd, "--served-name", "fake", *words)


@pytest.fixture
def shell(world: World) -> Shell:
    return Shell(world)


def test_detached_from_start_to_stop(shell: Shell) -> None:
    status, out, err = shell.serve("--detach", "--port", "0", "--name", "a", "--json")
    assert status == 0, err
    started = json.loads(out)
    assert (started["kind"], started["state"], started["name"]) == ("status", "ready", "a")
    assert started["base_url"].endswith("/v1")
    assert chat(api.status("a"))[0] == 200
    listed = json.loads(shell("status", "--json")[1])
    assert (listed["kind"], [s["name"] for s in listed["servers"]]) == ("status_list", ["a"])
    contract = {"kind", "name", "state", "pid", "supervisor_pid", "backend", "base_url", "restarts", "last_exit"}
    contract |= {"ready_s", "uptime_s", "in_flight", "effective_config", "events", "schema_version"}
    assert contract <= set(json.loads(shell("status", "a", "--json")[1]))
    assert "listening on" in shell("logs", "a", "-n", "5")[1]
    status, out, err = shell("restart", "a", "--json")
    assert (status, json.loads(out)["restarts"]) == (0, 1)
    status, out, _ = shell("stop", "a", "--json")
    assert (status, json.loads(out)["state"]) == (0, "stopped")
    assert shell("stop", "a")[0] == 0
    assert shell("stop")[0] == 0
    assert "stopped" in shell("status")[1]


def test_serve_waits_for_a_server_of_that_name_that_is_being_stopped(shell: Shell) -> None:
    """What was asked last holds: the stream ends, the old server goes, and the new one comes up."""
    assert shell.serve("--detach", "--port", "0")[0] == 0
    first = api.status("fake")
    shell.world.faults(token_s=0.05)
    answers: list[tuple[int, bytes]] = []
    client = threading.Thread(target=lambda: answers.append(chat(first, 300, stream=True)))
    client.start()
    until(lambda: api.status("fake").in_flight == 1, 5)
    stopping = threading.Thread(target=lambda: api.stop("fake"))
    stopping.start()
    until(lambda: api.status("fake").state == "draining", 10)
    status, _, err = shell.serve("--detach", "--port", "0")
    assert status == 0, err
    client.join(20)
    stopping.join(20)
    assert (answers[0][0], answers[0][1].endswith(b"data: [DONE]\n\n"), stopping.is_alive()) == (200, True, False)
    now = api.status("fake")
    assert (now.state, now.pid != first.pid, len(shell.world.engines())) == ("ready", True, 1)


def test_the_foreground_drains_on_ctrl_c(shell: Shell) -> None:
    process = shell.popen(
        *("serve", "--backend", "command", "--cmd", shell.cmd, "--served-name", "fake", "--port", "0", "--json")
    )
    until((shell.world.home / "servers" / "fake" / "status.json").exists, 10)
    until(lambda: api.status("fake").state == "ready", 10)
    assert chat(api.status("fake"))[0] == 200
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=15)
    assert process.returncode == 0
    assert json.loads(out)["state"] == "stopped"
    assert "draining" in err
    assert shell.world.processes() == []


def test_logs_follow(shell: Shell) -> None:
    assert shell.serve("--detach", "--port", "0")[0] == 0
    process = shell.popen("logs", "fake", "-f", "-n", "1")
    assert process.stdout is not None
    screen = process.stdout.fileno()

    def shows(text: bytes) -> bool:
        return bool(select.select([screen], [], [], 0.1)[0]) and text in os.read(screen, 65536)

    until(lambda: shows(b"listening on"), 10)
    shell.world.faults(log_bytes=2**16)
    until(lambda: shows(b"xxxx"), 10)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130


def test_logs_follow_an_engine_that_takes_over(shell: Shell) -> None:
    """Each engine's log is a file of its own. The new one's is longer than what was read of the old one's."""
    assert shell.serve("--detach", "--port", "0")[0] == 0
    process = shell.popen("logs", "fake", "-f", "-n", "1")
    assert process.stdout is not None
    screen, shown = process.stdout.fileno(), bytearray()

    def shows(text: bytes, times: int) -> bool:
        if select.select([screen], [], [], 0.1)[0]:
            shown.extend(os.read(screen, 65536))
        return shown.count(text) >= times

    until(lambda: shows(b"listening on", 1), 20)
    shell.world.faults(load_s=1, load_log=True)
    first = api.status("fake").pid
    second = api.restart("fake", zero_downtime=True).pid
    assert second != first
    until(lambda: shows(b"listening on", 2), 20)
    shell.world.faults(log_bytes=2**16)
    until(lambda: shows(b"xxxx", 1), 20)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130


def test_a_failed_detached_start_exits_3_with_the_reason(shell: Shell) -> None:
    shell.world.faults(exit_at_start=[2, "error: unrecognized arguments: --what"])
    status, out, err = shell.serve("--detach", "--port", "0", "--json")
    assert (status, out) == (3, "")
    assert "error: fake did not start: the engine does not accept its arguments" in err
    assert "Traceback" not in err


def test_a_failed_foreground_start_exits_3_with_the_reason(shell: Shell) -> None:
    shell.world.faults(exit_at_start=[2, "error: unrecognized arguments: --what"])
    status, _, err = shell.serve("--port", "0")
    assert status == 3
    assert "error: fake did not start: the engine does not accept its arguments" in err


def test_bad_input_is_one_line_and_exit_2(shell: Shell, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("k\n")
    key.chmod(0o644)
    config = tmp_path / "c.toml"
    config.write_text("[supervise]\ndrain_sec = 1\n")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        cases: dict[tuple[str, ...], str] = {
            ("--port", str(port)): f"port {port} is in use by pid {os.getpid()} ",
            ("--port", "0", "--host", "0.0.0.0"): "no API key is set",
            ("--port", "0", "--api-key-file", str(key)): "can be read by others (mode 0644)",
            ("--port", "0", "--config", str(config)): "unknown limit 'drain_sec'",
            ("--port", "0", "--name", "../x"): "cannot name a server",
        }
        for words, message in cases.items():
            status, _, err = shell.serve(*words)
            assert status == 2, (words, err)
            assert message in err
            assert "Traceback" not in err
    status, _, err = shell("serve", "m", "--backend", "vlm")
    assert (status, "did you mean vllm" in err) == (2, True), err
    status, _, err = shell("serve", "--backend", "command", "--cmd", "sleep 5")
    assert (status, "does not say where the port goes" in err) == (2, True)
    status, _, err = shell("serve", "--backend", "command", "--cmd", "no-such-program-x {port}")
    assert (status, "no such program" in err) == (2, True)
    assert shell("status", "nobody")[0] == 2
    assert shell("logs", "nobody")[0] == 2
    assert shell.world.processes() == []
