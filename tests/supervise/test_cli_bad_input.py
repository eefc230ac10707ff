"""What a user may get wrong or find broken, through the real command: one line that says so, a hint, nothing lost."""

from __future__ import annotations

import json
import os
import socket
import threading
from pathlib import Path

import gguf
import numpy as np
import pytest

from tests.supervise.harness import World, chat
from tests.supervise.test_cli_serve import Shell
from toolkit.supervise import api

pytestmark = pytest.mark.slow


@pytest.fixture
def shell(world: World) -> Shell:
    return Shell(world)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A small whole GGUF, written by llama.cpp's own Python library."""
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_tensor("token_embd.weight", np.zeros((64, 64), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def refused(shell: Shell, *words: str, status: int = 2) -> str:
    """What the refusal says: one line and a hint, nothing on stdout, no engine started."""
    code, out, err = shell.serve(*words)
    assert (code, out) == (status, ""), err
    words_before, found, said = f"\n{err}".partition("\nerror: ")
    assert found, words_before
    assert len(said.strip().splitlines()) <= 2
    assert "Traceback" not in err
    assert shell.world.engines() == []
    return err


def test_a_model_that_is_a_folder_truncated_or_unfinished(shell: Shell, model: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert "has no config.json" in refused(shell, str(tmp_path / "folder"))
    whole = model.read_bytes()
    (tmp_path / "short.gguf").write_bytes(whole[:-1000])
    said = refused(shell, str(tmp_path / "short.gguf"))
    assert f"is truncated: {len(whole) - 1000:,} of {len(whole):,} bytes are there" in said
    part = model.rename(model.with_name("model.gguf.part"))
    assert "is an unfinished download" in refused(shell, str(part))
    (tmp_path / "model.gguf").write_bytes(whole)  # the name that the .part is on its way to
    assert "is an unfinished download" in refused(shell, str(model))


def test_a_port_that_is_taken_names_its_holder(shell: Shell) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = refused(shell, "--port", str(port))
    assert f"port {port} is in use by pid {os.getpid()} " in said
    assert "choose another port; 0 picks a free one" in said


def test_a_key_file_that_others_can_read_and_a_public_address_without_a_key(shell: Shell, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("secret-of-the-test\n")
    key.chmod(0o640)
    said = refused(shell, "--port", "0", "--api-key-file", str(key))
    assert f"can be read by others (mode 0640)\n  run: chmod 600 {key}" in said
    assert "secret-of-the-test" not in said
    for host in ("0.0.0.0", "::", "192.0.2.7"):
        assert "no API key is set" in refused(shell, "--port", "0", "--host", host)


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("[supervise]\ndrain_sec = 1\n", "unknown limit 'drain_sec'", "did you mean drain_s?"),
        ("[supervize]\ndrain_s = 1\n", "unknown table 'supervize'", "did you mean supervise?"),
        ("[supervise]\ndrain_s = '1'\n", "drain_s = '1' must be a number", ""),
        ("[supervise]\ndrain_s = -1\n", "drain_s = -1: Input should be greater than or equal to 0", ""),
        ("[supervise]\ndrain_s = \n", "is broken TOML", ""),
    ],
)
def test_a_config_with_a_mistake(shell: Shell, tmp_path: Path, text: str, said: str, hint: str) -> None:
    config = tmp_path / "limits.toml"
    config.write_text(text)
    words = refused(shell, "--port", "0", "--config", str(config))
    assert str(config) in words
    assert said in words
    assert hint in words


def test_a_name_that_is_taken(shell: Shell) -> None:
    assert shell.serve("--detach", "--port", "0", "--name", "a")[0] == 0
    pid = api.status("a").supervisor_pid
    for mode in ((), ("--detach",)):
        code, out, err = shell.serve("--port", "0", "--name", "a", *mode)
        assert (code, out) == (2, "")
        assert err == f"error: 'a' is already served by supervisor pid {pid}\n  stop it, or choose another name.\n"
    assert chat(api.status("a"))[0] == 200
    assert shell.serve("--detach", "--port", "0", "--name", "b")[0] == 0
    code, _, err = shell("stop")
    assert (code, "2 servers run: a, b" in err) == (2, True)


def test_two_at_once_leave_one(shell: Shell) -> None:
    """Started in the same moment: one serves, the other says who has the name."""
    done: list[tuple[int, str, str]] = []
    both = [threading.Thread(target=lambda: done.append(shell.serve("--detach", "--port", "0"))) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    (won, _, _), (lost, out, err) = sorted(done)
    assert (won, out) == (0, "")
    assert lost in (2, 3)  # seen at the check, or by the second supervisor at the lock
    assert "already served by supervisor pid" in err
    assert "Traceback" not in err
    assert chat(api.status("fake"))[0] == 200
    assert len(shell.world.engines()) == 1


def test_a_state_folder_of_a_newer_version_is_left_alone(shell: Shell) -> None:
    for name in ("new", "old"):
        assert shell.serve("--detach", "--port", "0", "--name", name)[0] == 0
        assert shell("stop", name)[0] == 0
    spec = shell.world.home / "servers" / "new" / "spec.json"
    ours = spec.read_text()
    before = json.dumps(json.loads(ours) | {"format": 2, "unheard_of": 1})
    spec.write_text(before)
    for words in (("status", "new"), ("restart", "new"), ("stop", "new")):
        code, _, err = shell(*words)
        assert (code, "was written by a newer selfhost (format 2, this one knows 1)" in err) == (3, True), words
    said = refused(shell, "--detach", "--port", "0", "--name", "new", status=3)
    assert "use the newer version or another name" in said
    refused(shell, "--port", "0", "--name", "new", status=3)
    assert spec.read_text() == before
    code, out, _ = shell("status")  # it hides no other one
    assert code == 0
    assert "old" in out
    assert "new: " in out
    assert "newer selfhost" in out
    spec.write_text(ours)


def test_a_corrupted_state_folder_is_kept_and_told(shell: Shell) -> None:
    assert shell.serve("--detach", "--port", "0", "--name", "a")[0] == 0
    assert shell("stop", "a")[0] == 0
    folder = shell.world.home / "servers" / "a"
    (folder / "status.json").write_text('{"torn')
    code, out, _ = shell("status", "a")
    assert code == 0
    assert "status.json was unreadable and is kept as" in out
    assert [path.read_text() for path in folder.glob("status.json.bad-*")] == ['{"torn']
    (folder / "spec.json").write_bytes(b"\x00\x01torn")
    code, _, err = shell("restart", "a")
    assert code == 2
    assert "what 'a' served is not known any more: spec.json was unreadable and is kept as" in err
    assert "serve it again" in err
    assert [path.read_bytes() for path in folder.glob("spec.json.bad-*")] == [b"\x00\x01torn"]
    assert "a: spec.json was unreadable" in shell("status")[1]
    (folder / "spec.json").write_text("{}")
    code, _, err = shell.serve("--detach", "--port", "0", "--name", "a")
    assert (code, "state_moved" in err) == (0, True)  # told by the start that would have written over it
    assert len(list(folder.glob("spec.json.bad-*"))) == 2
    assert chat(api.status("a"))[0] == 200
