"""`quickstart` end to end on the real engine: figures, files, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.cli.run import document, selfhost

pytestmark = [pytest.mark.real, pytest.mark.slow]


def ours(home: Path) -> list[psutil.Process]:
    """Every live process that was started with that SELFHOST_HOME."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("SELFHOST_HOME") == str(home) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def gone(home: Path, within_s: float) -> list[psutil.Process]:
    """What is still there after so many seconds."""
    end = time.monotonic() + within_s
    while (left := ours(home)) and time.monotonic() < end:
        time.sleep(0.1)
    return left


def test_the_whole_pipeline(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = selfhost("quickstart", "--duration", "5", "--out", out, "--json", home=tmp_path, timeout=280)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["kind"], result["backend"], result["fits"]) == ("quickstart", "llama-server", True)
    assert result["output_tok_s"] > 0
    assert result["usd_per_mtok"] > 0
    assert 0 < (out / "report.html").stat().st_size < 2_000_000
    bench = json.loads((out / "result.json").read_text())
    assert [level["concurrency"] for level in bench["levels"]] == [1, 2, 4]
    assert all(level["failed"] == 0 for level in bench["levels"])
    # usage cost by hand: $/h / 3600 / (tokens/s of the best level) * 10^6
    best = max(level["goodput_total_tok_s"] for level in bench["levels"])
    assert result["usd_per_mtok"] == pytest.approx(result["usd_per_hour"] / 3600 / best * 1e6, rel=0.01)
    assert gone(tmp_path, 5) == []
    for name, kind in [("memory", "memory_plan"), ("plan", "launch_plan"), ("cost", "cost_report")]:
        assert json.loads((out / f"{name}.json").read_text())["kind"] == kind


@pytest.mark.parametrize("stage", ["[4/7]", "[5/7]"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_nothing_behind(tmp_path: Path, stage: str, number: int) -> None:
    command = [sys.executable, "-m", "toolkit.cli.main", "quickstart", "--out", str(tmp_path / "out")]
    env = {**os.environ, "SELFHOST_HOME": str(tmp_path)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=env) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith(stage):
                break
        time.sleep(1.5)
        process.send_signal(number)
        status = process.wait(timeout=60)
    assert status == 130
    assert gone(tmp_path, 10) == []


def test_plan_by_hand(tmp_path: Path) -> None:
    """The embedded model by its name, from a memory plan file."""
    memory = selfhost("size", "smollm2-135m", "--context", "2048", "--concurrency", "2", "--json")
    file = tmp_path / "memory.json"
    file.write_text(memory.stdout)
    plan = document("plan", file)
    assert plan["backend"] == "llama-server"
    assert plan["served_name"] == "smollm2-135m"
    assert "4096" in plan["argv"]  # n_ctx = context x parallel
    assert {r["backend"] for r in plan["rejected"]} >= {"vllm", "llama-cpp-python"}
