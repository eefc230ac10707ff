"""Every field of a launch plan is used, refused or no business of a target: each is changed in turn, and looked for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.deploy.plans import CASES, HELD, REFUSED, made, options, vllm
from toolkit.deploy.deploy import CONTAINERS, FIELDS, deploy
from toolkit.errors import InputError
from toolkit.types import LaunchPlan, MemoryPlan

MEMORY: MemoryPlan = vllm().memory  # type: ignore[assignment]
CHANGED: dict[str, object] = {
    "schema_version": 7,
    "kind": "another",
    "backend": "command",
    "argv": (*vllm().argv, "--kv-cache-dtype", "fp8"),
    "env": {"VLLM_LOGGING_LEVEL": "DEBUG"},
    "model_path": "Qwen/Qwen3-14B",
    "served_name": "other",
    "health_path": "/up",
    "max_in_flight": 3,
    "engine_version": "0.21.0",
    "reasons": ("because",),
    "rejected": (),
    "memory": MEMORY.model_copy(update={"engine_version": "0.21", "devices": MEMORY.devices * 2, "tp": 2}),
}


def test_every_target_names_every_field() -> None:
    for target, fields in FIELDS.items():
        assert set(fields) == set(LaunchPlan.model_fields), target
        assert all(use.why for use in fields.values())


@pytest.mark.parametrize("field", CHANGED)
@pytest.mark.parametrize("target", FIELDS)
def test_a_field_does_what_its_table_says(target: str, field: str) -> None:
    base = vllm(version="0.26") if target == "rayserve" else vllm()
    if target == "systemd":
        base = base.model_copy(update={"argv": ("/usr/bin/vllm", *base.argv[1:])})
    use = FIELDS[target][field]
    chosen = options(key=target != "rayserve")
    before = deploy(base, target, chosen).files
    value = (
        ("/usr/bin/vllm", *vllm().argv[1:], "--x", "1") if (target, field) == ("systemd", "argv") else CHANGED[field]
    )
    after_plan = base.model_copy(update={field: value})
    try:
        after = deploy(after_plan, target, chosen).files
    except InputError:
        assert use.how in ("used", "refused")  # declined by the field, aloud
        return
    assert use.how != "refused"
    assert (after != before) == (use.how == "used")


@pytest.mark.parametrize(("case", "target"), HELD)
def test_every_setting_of_the_engine_is_in_the_files(case: str, target: str) -> None:
    """Options that a target says in its own words are looked for by their value there."""
    text = "\n".join(made(case, target).files.values())
    plan = CASES[case][0]
    elsewhere = {"--host", "--port", "-m", "--revision", "--shutdown-timeout"}
    for word, value in zip(plan.argv, [*plan.argv[1:], ""], strict=True):
        if not word.startswith("-") or word in elsewhere:
            continue
        if target == "rayserve":
            own = {"--served-model-name": "model_id", "--no-enable-prefix-caching": "enable_prefix_caching: false"}
            spelt = own.get(word, word.lstrip("-").replace("-", "_"))
        else:
            own = {
                "--max-model-len": "maxModelLen",
                "--tensor-parallel-size": "tensorParallelSize",
                "--max-num-seqs": "maxNumSeqs",
                "--gpu-memory-utilization": "gpuMemoryUtilization",
                "--no-enable-prefix-caching": "enablePrefixCaching: false",
            }
            spelt = own.get(word, word) if target == "production-stack" else word
            spelt = "name: qwen-qwen3-8b" if (target, word) == ("kserve", "--served-model-name") else spelt
        assert spelt in text, word
        if value and not value.startswith(("-", "{")):
            assert value in text, (word, value)


@pytest.mark.parametrize(("case", "target"), REFUSED)
def test_what_cannot_be_is_refused_with_its_reason(case: str, target: str) -> None:
    with pytest.raises(InputError, match=REFUSED[case, target]) as caught:
        made(case, target)
    assert caught.value.hint
    assert "--" not in caught.value.message


def test_the_grid_reaches_every_target() -> None:
    assert {target for _, target in HELD} == set(CONTAINERS)
    assert {case for case, _ in HELD} == set(CASES)


@pytest.mark.parametrize(("case", "target"), HELD)
def test_no_path_of_this_machine_is_in_a_cluster_file(case: str, target: str) -> None:
    text = "\n".join(made(case, target).files.values())
    assert ("/srv/models" in text) == (case == "llama-cpu-host")
    assert "/srv/selfhost" not in text
    if case == "llama-cpu-host":
        assert target in ("compose", "quadlet")


def test_the_documentation_says_the_same() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "deploy.md").read_text()
    for target, fields in FIELDS.items():
        assert f"| `{target}` |" in page
        for name, use in fields.items():
            if use.how != "used":
                assert re.search(rf"\| `{name}` \| {use.how}: {re.escape(use.why)} \|", page), (target, name)
