"""`selfhost serve … --systemd-unit`: what it prints is read by systemd, and its ExecStart is run as written."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.supervise.harness import World, chat, get, until
from tests.supervise.test_cli_serve import Shell
from tests.supervise.test_notify import Manager, free
from tests.test_systemd_unit import settings, verified
from toolkit.supervise import api

pytestmark = pytest.mark.slow
KEY = "a-key-that-is-in-no-unit"


@pytest.fixture
def shell(world: World) -> Shell:
    return Shell(world)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    listening = Manager(str(tmp_path / "notify.sock"))
    yield listening
    listening.close()


def started_as_written(unit: dict[str, list[str]], manager: Manager, credentials: Path) -> subprocess.Popen[str]:
    """What a service manager does with a unit: its words, its environment, its folder, and nothing else."""
    env = {"NOTIFY_SOCKET": manager.address, "CREDENTIALS_DIRECTORY": str(credentials), "WATCHDOG_USEC": "60000000"}
    for assignment in unit["Environment"]:
        key, _, value = shlex.split(assignment.replace("%%", "%"))[0].partition("=")
        env[key] = value
    words = shlex.split(unit["ExecStart"][0].replace("%%", "%").replace("$$", "$"))
    words = [word.replace("${CREDENTIALS_DIRECTORY}", str(credentials)) for word in words]
    return subprocess.Popen(
        words, env=env, cwd=unit["WorkingDirectory"][0], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def test_a_unit_is_valid_and_its_command_serves(shell: Shell, manager: Manager, tmp_path: Path) -> None:
    key = tmp_path / "keys"
    key.write_text(KEY + "\n")
    key.chmod(0o600)
    config = tmp_path / "limits.toml"
    config.write_text("[supervise]\ndrain_s = 33\nterm_grace_s = 2\n")
    port = str(free())
    words = ("--name", "unit", "--port", port, "--api-key-file", str(key), "--config", str(config), "--systemd-unit")
    status, text, err = shell.serve(*words, "--gpu-price", "1.39/h")
    assert status == 0, err
    assert shell.world.processes() == [], "nothing was started"
    assert "enable --now selfhost-unit.service" in err
    assert KEY not in text
    if shutil.which("systemd-analyze"):
        path = tmp_path / "selfhost-unit.service"
        path.write_text(text)
        assert verified(path, "--system" if os.geteuid() == 0 else "--user") == (0, "")

    unit = settings(text)
    assert int(unit["TimeoutStopSec"][0]) == 33 + 2 + 90, "drain, grace, and the clean-up that the unit explains"
    assert unit["LoadCredential"] == [f"api-key:{key}"]
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    shutil.copy(key, credentials / "api-key")
    (credentials / "api-key").chmod(0o440)  # as stat shows systemd's own, which has an access list
    unit["Environment"].append(f"FAKE_ROOT={shell.world.root}")
    process = started_as_written(unit, manager, credentials)
    try:
        until(lambda: manager.saying("READY"), 20, "ready")
        server = api.status("unit")
        assert (server.state, server.base_url) == ("ready", f"http://127.0.0.1:{port}/v1")
        assert chat(server)[0] == 401
        assert get(server, "/v1/models", key=KEY)[0] == 200
        first = server.pid
        reload = shlex.split(unit["ExecReload"][0])
        done = subprocess.run(reload, env=shell.env, capture_output=True, text=True, timeout=40, check=False)
        assert done.returncode == 0, done.stderr
        assert api.status("unit").pid != first
        assert len(manager.saying("READY")) == 1, "a second engine took over: it has been ready all the time"
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
        assert manager.saying("STOPPING")
        assert shell.world.processes() == []
    finally:
        process.kill()
        process.communicate(timeout=5)


def test_odd_words_come_back_whole(shell: Shell) -> None:
    """A command with quotes, a percent sign and a dollar, in a folder with a space, reaches the engine as typed."""
    shell.cmd += " --journal '/tmp/100% of $HOME \"x\"'"
    status, text, err = shell.serve("--name", "odd", "--port", "8000", "--systemd-unit")
    assert status == 0, err
    words = shlex.split(settings(text)["ExecStart"][0].replace("%%", "%").replace("$$", "$"))
    assert words[words.index("--cmd") + 1] == shell.cmd


def test_no_secret_of_the_environment_is_written(shell: Shell) -> None:
    shell.env |= {"HF_TOKEN": "hf_q7", "OPENAI_API_KEY": "sk-q7", "VLLM_API_KEY": "v-q7"}
    text = shell.serve("--port", "8000", "--systemd-unit")[1]
    assert re.findall("(?:hf_|sk-|v-)q7|TOKEN|KEY", text) == []
    assert f"Environment=SELFHOST_HOME={shell.world.home}" in text


def test_what_cannot_be_a_unit_is_refused(shell: Shell, tmp_path: Path) -> None:
    cases = {
        ("--port", "0"): "needs a port that stays the same",
        ("--detach",): "a unit is a text and starts nothing",
        ("--json",): "a unit is a text and starts nothing",
        ("--host", "0.0.0.0"): "no API key is set",
        ("--name", "../x"): "cannot name a server",
        ("--gpu-price", "1.39"): "not a price per time",
    }
    for words, message in cases.items():
        status, out, err = shell.serve("--systemd-unit", *words)
        assert (status, out) == (2, ""), (words, err)
        assert message in err


def test_a_port_or_name_in_use_now_is_no_reason_against_a_unit(shell: Shell) -> None:
    """One writes the unit while the server still runs in a terminal."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert shell.serve("--port", str(taken.getsockname()[1]), "--systemd-unit")[0] == 0
