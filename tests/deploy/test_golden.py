"""One whole folder a target, as text that a person has read. ``python -m tests.deploy.test_golden`` writes it anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deploy.plans import made
from tests.deploy.test_units import systemd
from toolkit.deploy.deploy import FIELDS, kept

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "deploy"
CASE = {
    "systemd": "llama-cpu-host",
    "compose": "llama-gpu",
    "quadlet": "vllm-1gpu",
    "kubernetes": "vllm-tp2-replicas",
    "kserve": "vllm-awq-volume",
    "production-stack": "vllm-tp2-replicas",
    "skypilot": "vllm-spot",
    "rayserve": "vllm-ray",
}


def texts(target: str) -> dict[str, str]:
    """The folder of a target, without the plan itself, whose memory figures have tests of their own."""
    deployed = systemd(CASE[target]) if target == "systemd" else made(CASE[target], target)
    files = deployed.files | {"deployment.json": kept(deployed)}
    return {
        path: text
        for path, text in files.items()
        if not path.endswith(("plan.json", "dashboard.json", "locustfile.py"))
    }


@pytest.mark.parametrize("target", FIELDS)
def test_the_folder_is_as_it_was_read(target: str) -> None:
    folder = GOLDEN / target
    there = {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}
    assert there == texts(target)


if __name__ == "__main__":
    for each in FIELDS:
        for name, content in texts(each).items():
            file = GOLDEN / each / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
