"""The load test's files: refused where there are none, and really run, master and two workers, as they are written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.plans import CASES, docs, options, vllm
from tests.load.mock import Mock
from toolkit.deploy.deploy import FIELDS, deploy
from toolkit.errors import InputError

KEY = "a-key"


@pytest.fixture
def mock() -> Iterator[Mock]:
    with Mock() as server:
        yield server


@pytest.mark.parametrize("target", sorted(set(FIELDS) - {"compose", "kubernetes"}))
def test_targets_without_a_load_test(target: str) -> None:
    document = vllm(version="0.26").model_copy(update={"argv": ("/usr/bin/vllm", *vllm(version="0.26").argv[1:])})
    with pytest.raises(InputError, match="no files for a load test"):
        deploy(document, target, options(key=target != "rayserve"), load_workers=2)


@pytest.mark.parametrize("workers", [0, -1, 501])
def test_numbers_of_workers_that_make_no_sense(workers: int) -> None:
    with pytest.raises(InputError, match="load workers make no sense"):
        deploy(vllm(), "kubernetes", options(), load_workers=workers)


def test_as_many_users_as_the_plan_has_at_once() -> None:
    """16 at once, three replicas: 48 users."""
    plan, chosen, where = CASES["vllm-tp2-replicas"]
    files = deploy(plan, "kubernetes", options(**chosen), load_workers=4, **where).files
    job, _service = docs(files["load/master.yaml"])
    words = job["spec"]["template"]["spec"]["containers"][0]["args"]
    assert words[words.index("--users") + 1] == "48"
    assert words[words.index("--host") + 1] == "http://qwen-qwen3-8b:8000"
    (workers,) = docs(files["load/workers.yaml"])
    assert workers["spec"]["parallelism"] == workers["spec"]["completions"] == 4


@pytest.mark.slow
def test_a_master_and_two_workers_load_a_server(mock: Mock, tmp_path: Path) -> None:
    """The words of Compose's file, with the mock's address, this folder, and a shorter run; the mock wants the key."""
    plan = vllm().model_copy(update={"served_name": "mock"})
    files = deploy(plan, "compose", options(), load_workers=2).files
    (document,) = docs(files["load/compose.yaml"])
    (tmp_path / "locustfile.py").write_text(files["load/locustfile.py"])
    mock.set(ttft_s=0.02, itl_s=0.002, api_key=KEY)
    here = {"/load/": f"{tmp_path}/", "http://engine:8000": mock.url, "load-master": "127.0.0.1", "2m": "3s"}
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LOCUST_")}
    environment |= {"LOAD_MODEL": document["services"]["load-master"]["environment"]["LOAD_MODEL"]}
    environment |= {"SELFHOST_API_KEY": KEY, "LOAD_OUTPUT_TOKENS": "8"}

    def start(service: str) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "locust", *document["services"][service]["command"]]
        for theirs, ours in here.items():
            words = [w.replace(theirs, ours) for w in words]
        return subprocess.Popen(
            words, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    children = [start("load-master"), start("load-worker"), start("load-worker")]
    try:
        said, _ = children[0].communicate(timeout=60)
        for worker in children[1:]:
            worker.wait(30)
    finally:
        for child in children:
            if child.poll() is None:
                child.send_signal(signal.SIGKILL)
                child.wait()
    assert children[0].returncode == 0, said
    table = [line for line in said.splitlines() if line.startswith(("POST", "SSE")) and "%)" in line]
    asked, first, whole = table
    assert int(asked.split()[2]) > 10, said
    assert all(" 0(0.00%) " in line for line in table), said
    assert "first token" in first
    assert "whole answer" in whole
    assert KEY not in "".join(files.values())
