"""`selfhost deploy` as a user types it: what is written, what is not, and what is said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.run import document, error_of, selfhost
from tests.deploy.plans import vllm

SECRET = "sk-a-real-key-that-must-be-nowhere-0123456789"


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.json"
    path.write_text(vllm().model_dump_json(by_alias=True))
    return path


def tree(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


def test_a_folder_and_its_document(plan: Path, tmp_path: Path) -> None:
    out = tmp_path / "k8s"
    said = document("deploy", plan, "--target", "kubernetes", "--replicas", "2", "--spot", "--out", out)
    assert (said["kind"], said["target"], said["replicas"], said["spot"]) == ("deploy", "kubernetes", 2, True)
    assert (said["gpu"], said["gpus_per_replica"], said["engine"]) == ("H100-SXM-80GB", 1, "vllm")
    assert set(said["changes"].values()) == {"new"}
    there = tree(out)
    assert set(there) == {*said["files"], "deployment.json"}
    kept = json.loads(there["deployment.json"])
    assert {k: v for k, v in said.items() if k not in ("changes", "written")} == kept
    for line in (said["commands"]["up"], said["commands"]["check"], said["commands"]["down"]):
        assert line in there["README.md"]


def test_nothing_is_overwritten_unasked(plan: Path, tmp_path: Path) -> None:
    out = tmp_path / "k8s"
    words: tuple[Any, ...] = ("deploy", plan, "--target", "kubernetes", "--out", out)
    assert selfhost(*words).returncode == 0
    first = tree(out)
    assert set(document(*words)["changes"].values()) == {"same"}
    (out / "service.yaml").write_text("mine\n")
    refused = error_of(*words, "--replicas", "2")
    assert "service.yaml" in refused
    assert "nothing was written" in refused
    assert (out / "service.yaml").read_text() == "mine\n"
    assert tree(out)["deployment.yaml"] == first["deployment.yaml"]
    shown = selfhost(*words, "--diff")
    assert shown.returncode == 0
    assert "-mine\n" in shown.stdout
    assert "+kind: Service\n" in shown.stdout
    assert (out / "service.yaml").read_text() == "mine\n"
    assert selfhost(*words, "--force").returncode == 0
    assert tree(out) == first
    assert selfhost(*words, "--diff").stdout == ""


def test_a_dry_run_prints_and_writes_nothing(plan: Path, tmp_path: Path) -> None:
    out = tmp_path / "x"
    done = selfhost("deploy", plan, "--target", "compose", "--out", out, "--dry-run")
    assert "=== compose.yaml\n" in done.stdout
    assert "image: vllm/vllm-openai:v0.32.0" in done.stdout
    assert document("deploy", plan, "--target", "compose", "--out", out, "--dry-run")["written"] is False
    assert not out.exists()


def test_a_plan_comes_from_standard_input(plan: Path) -> None:
    words = [sys.executable, "-m", "toolkit.cli.main", "deploy", "-", "--target", "compose", "--dry-run"]
    for given, code in ((plan.read_text(), 0), ("{", 2), ("", 2)):
        done = subprocess.run(words, input=given, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == code, done.stderr
        assert ("=== compose.yaml\n" in done.stdout) == (code == 0)


def test_what_an_earlier_deployment_left_is_named(plan: Path, tmp_path: Path) -> None:
    words: tuple[Any, ...] = ("deploy", plan, "--target", "kubernetes", "--out", tmp_path / "k")
    selfhost(*words, "--replicas", "2")
    assert "disruption.yaml is from an earlier deployment" in selfhost(*words, "--force").stderr


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"schema_version": 2}, "schema version 2"),
        ({"kind": "memory_plan"}, "needed: launch_plan"),
        ({"kind": "cost_report"}, "needed: launch_plan"),
        ({"surprise": 1}, "surprise"),
        ({"argv": "vllm"}, "argv"),
    ],
)
def test_other_documents(plan: Path, tmp_path: Path, change: dict[str, Any], says: str) -> None:
    plan.write_text(json.dumps(json.loads(plan.read_text()) | change))
    assert says in error_of("deploy", plan, "--target", "kubernetes", "--out", tmp_path / "o")
    assert not (tmp_path / "o").exists()


def test_a_memory_plan_is_no_launch_plan(plan: Path, tmp_path: Path) -> None:
    plan.write_text(json.dumps(json.loads(plan.read_text())["memory"]))
    assert "is a memory_plan; needed: launch_plan" in error_of("deploy", plan, "--target", "kubernetes")


@pytest.mark.parametrize("content", ["", "{", "[]", "\x00", '{"kind": "launch_plan"}'])
def test_files_that_are_no_plan(plan: Path, content: str) -> None:
    plan.write_text(content)
    error_of("deploy", plan, "--target", "kubernetes")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--target", "kubernets"), "did you mean kubernetes"),
        (("--target", "kubernetes", "--name", "../../etc"), "does not accept the name"),
        (("--target", "kubernetes", "--hub", "nonsense"), "is no hub id"),
        (("--target", "kubernetes", "--volume", "nonsense"), "names no volume and path"),
        (("--target", "kubernetes", "--volume", "w:../../x"), "no path inside a volume"),
        (("--target", "compose", "--spot"), "only a rented one is spot"),
        (("--target", "rayserve", "--key"), "cannot ask for an API key"),
    ],
)
def test_bad_words(plan: Path, tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    assert says in error_of("deploy", plan, *words, "--out", tmp_path / "o")
    assert not (tmp_path / "o").exists()


def test_no_path_leads_out_of_the_folder(plan: Path, tmp_path: Path) -> None:
    out, elsewhere = tmp_path / "o", tmp_path / "elsewhere"
    out.mkdir()
    elsewhere.mkdir()
    (out / "monitoring").symlink_to(elsewhere)
    for more in ((), ("--force",), ("--diff",), ("--dry-run",)):
        assert "leads out of" in error_of("deploy", plan, "--target", "kubernetes", "--out", out, *more)
    (out / "monitoring").unlink()
    (out / "service.yaml").symlink_to(elsewhere / "victim")
    assert "leads out of" in error_of("deploy", plan, "--target", "kubernetes", "--out", out, "--force")
    assert list(elsewhere.iterdir()) == []
    assert "is a file" in error_of("deploy", plan, "--target", "kubernetes", "--out", plan)
    assert "a folder belongs there" in error_of("deploy", plan, "--target", "kubernetes", "--out", plan / "below")


def test_a_folder_that_cannot_be_written(plan: Path, tmp_path: Path) -> None:
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "deployment.yaml").mkdir()
    assert "is a folder" in error_of("deploy", plan, "--target", "kubernetes", "--out", tmp_path / "o")


@pytest.mark.parametrize(
    "target", ["compose", "quadlet", "kubernetes", "kserve", "production-stack", "skypilot", "systemd"]
)
def test_a_secret_is_in_no_file(plan: Path, tmp_path: Path, target: str) -> None:
    """With a real key in every place the toolkit reads keys from."""
    if target == "systemd":
        words = json.loads(plan.read_text())
        plan.write_text(json.dumps(words | {"argv": ["/usr/bin/vllm", *words["argv"][1:]]}))
    out = tmp_path / "o"
    names = (
        "SELFHOST_API_KEY",
        "VLLM_API_KEY",
        "LLAMA_API_KEY",
        "HF_TOKEN",
        "HUGGING_FACE_HUB_TOKEN",
        "OPENAI_API_KEY",
    )
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "toolkit.cli.main",
            "deploy",
            str(plan),
            "--target",
            target,
            "--out",
            str(out),
            "--json",
        ],
        env={**os.environ, **dict.fromkeys(names, SECRET)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stdout + done.stderr + "".join(tree(out).values())


def test_a_plan_for_another_machine_from_start_to_folder(tmp_path: Path) -> None:
    """No engine of that kind is needed here; the weights of an imagined format are not under the model's own id."""
    size = ("qwen3-8b", "--gpu", "H100-SXM-80GB", "--engine-version", "0.32", "--context", "8192", "--elsewhere")
    made = document("plan", *size)
    assert (made["backend"], made["argv"][:3]) == ("vllm", ["vllm", "serve", "{model}"])
    assert "--gpu-memory-utilization" in made["argv"]
    (tmp_path / "p.json").write_text(json.dumps(made))
    text = selfhost("deploy", tmp_path / "p.json", "--target", "kubernetes", "--dry-run").stdout
    assert "- Qwen/Qwen3-8B\n" in text
    (tmp_path / "q.json").write_text(json.dumps(document("plan", *size, "--quant", "awq")))
    words = ("deploy", tmp_path / "q.json", "--target", "kubernetes", "--dry-run")
    assert "imagines qwen3-8b in awq" in error_of(*words)
    assert "- Qwen/Qwen3-8B-AWQ\n" in selfhost(*words, "--hub", "Qwen/Qwen3-8B-AWQ").stdout


def test_a_plan_without_a_word_on_the_release_can_be_deployed(tmp_path: Path) -> None:
    """Sizing takes the current vLLM then, and whatever that is, an image of it must be known."""
    made = document("plan", "qwen3-8b", "--gpu", "H100-SXM-80GB", "--context", "8192", "--elsewhere")
    (tmp_path / "p.json").write_text(json.dumps(made))
    for target in ("compose", "quadlet", "kubernetes", "kserve", "production-stack", "skypilot"):
        done = selfhost("deploy", tmp_path / "p.json", "--target", target, "--out", tmp_path / target)
        assert done.returncode == 0, done.stderr
    assert (
        f"image: vllm/vllm-openai:v{made['memory']['engine_version']}."
        in tree(tmp_path / "kubernetes")["deployment.yaml"]
    )


def test_a_target_that_cannot_ask_for_a_key_says_so(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(vllm(version="0.26").model_dump_json(by_alias=True))
    done = selfhost("deploy", tmp_path / "p.json", "--target", "rayserve", "--out", tmp_path / "o")
    assert done.returncode == 0, done.stderr
    assert "rayserve asks clients for no API key" in done.stderr
    assert json.loads(tree(tmp_path / "o")["deployment.json"])["key_env"] is None


def test_a_service_finds_the_models_that_were_downloaded_here(
    plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own cache lies elsewhere and its home is read-only, so it is told where they are, and may add to them."""
    words = json.loads(plan.read_text())
    plan.write_text(json.dumps(words | {"argv": ["/usr/bin/vllm", *words["argv"][1:]]}))
    models = tmp_path / "models"
    monkeypatch.setenv("HF_HOME", str(models))
    command = ("deploy", plan, "--target", "systemd", "--out", tmp_path / "o", "--dry-run")
    assert f"ReadWritePaths=-{models}\n" not in selfhost(*command).stdout
    models.mkdir()
    text = selfhost(*command).stdout
    assert f"Environment=HF_HOME={models}\n" in text
    assert f"ReadWritePaths=-{models}\n" in text
