"""Tab, as shells press it: the completion protocol is spoken to a real `selfhost`, and once through a real bash."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from toolkit.cli import complete


def offered(home: Path, line: str, cwd: Path | None = None) -> list[str]:
    """What bash gets for a line; the word at its end is being typed."""
    words = line.split(" ")
    env = os.environ | {
        "SELFHOST_HOME": str(home),
        "_SELFHOST_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    script = str(Path(sys.executable).with_name("selfhost"))
    done = subprocess.run([script], env=env, capture_output=True, text=True, timeout=30, check=True, cwd=cwd)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name in ("smol", "smaller", "qwen"):
        folder = tmp_path / "servers" / name
        folder.mkdir(parents=True)
        (folder / "spec.json").write_text("{}")
    (tmp_path / "servers" / "never-served").mkdir()
    return tmp_path


@pytest.mark.parametrize("command", ["status", "logs", "stop", "restart", "bench"])
def test_served_names(home: Path, command: str) -> None:
    assert offered(home, f"selfhost {command} sm") == ["smaller", "smol"]


def test_all_served_names_for_an_empty_word(home: Path) -> None:
    assert offered(home, "selfhost stop ") == ["qwen", "smaller", "smol"]


def test_no_state_no_names_and_no_noise(tmp_path: Path) -> None:
    assert offered(tmp_path / "none", "selfhost stop ") == []


def test_commands_and_devices_and_models(home: Path) -> None:
    assert offered(home, "selfhost st") == ["status", "stop"]
    assert "smollm2-135m" in offered(home, "selfhost size smoll")
    assert offered(home, "selfhost serve qwen3-8") == ["qwen3-8b"]
    assert "H100-SXM-80GB" in offered(home, "selfhost size qwen3-8b --gpu H100")
    assert "h100-sxm-80gb" in offered(home, "selfhost size qwen3-8b --gpu h100")


def test_a_model_may_be_a_file(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    (folder / "models").mkdir(parents=True)
    for name in ("a.gguf", "a.txt", "a.json"):
        (folder / "models" / name).touch()
    assert offered(home, "selfhost size mod", folder) == ["models/"]
    assert offered(home, "selfhost size models/a", folder) == ["models/a.gguf", "models/a.json"]
    assert offered(home, f"selfhost size {folder}/models/a.g", folder) == [f"{folder}/models/a.gguf"]


def test_a_broken_profile_of_the_user_is_no_noise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gpus").mkdir()
    (tmp_path / "gpus" / "mine.toml").write_text("[[gpu\n")
    monkeypatch.setenv("SELFHOST_PROFILES", str(tmp_path))
    assert complete.gpu_names("H") == []


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed here")
def test_the_script_that_is_installed_works_in_bash(home: Path) -> None:
    """What `--show-completion` prints is what `--install-completion` installs for the shell that asked."""
    script = Path(sys.executable).with_name("selfhost")
    press = (
        'eval "$(selfhost --show-completion)"; '
        'COMP_WORDS=(selfhost stop sm); COMP_CWORD=2; _selfhost_completion selfhost; echo "${COMPREPLY[*]}"'
    )
    env = os.environ | {"SELFHOST_HOME": str(home), "PATH": f"{script.parent}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", press], env=env, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.split() == ["smaller", "smol"], done.stderr
