"""Whatever the key is, it is in no file: random keys in every place that a user's shell may hold one."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.deploy.plans import CASES, HELD, made, options
from toolkit.cli.deploy import _options
from toolkit.deploy.deploy import FIELDS, deploy, kept
from toolkit.errors import InputError
from toolkit.paths import data_root

SIGNS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.+/="
KEYS = st.text(SIGNS, min_size=16, max_size=64).map(lambda text: f"{text}zQ9")
"""With an end that no word of ours has: Hypothesis also tries the words that it finds in the sources."""
VARIABLES = (
    "SELFHOST_API_KEY",
    "VLLM_API_KEY",
    "LLAMA_API_KEY",
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "OPENAI_API_KEY",
)
CASE = {"compose": "llama-gpu-key", "quadlet": "vllm-1gpu", "rayserve": "vllm-ray", "kserve": "vllm-awq-volume"}


@pytest.mark.parametrize("target", sorted(FIELDS))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(key=KEYS)
def test_no_key_of_the_environment_reaches_a_file(target: str, key: str) -> None:
    """With what the command itself reads from this machine; nothing of ours is replaced, only the environment."""
    plan, chosen, where = CASES["llama-cpu-host" if target == "systemd" else CASE.get(target, "vllm-1gpu")]
    with pytest.MonkeyPatch.context() as shell:
        for variable in VARIABLES:
            shell.setenv(variable, key)
        mine = _options(data_root(), name="m", **chosen)
        if target == "systemd":
            plan = plan.model_copy(update={"argv": ("/usr/bin/llama-server", *plan.argv[1:])})
        deployed = deploy(plan, target, mine, **where)
    assert key not in "\n".join([*deployed.files, *deployed.files.values(), kept(deployed)])


@settings(max_examples=30, deadline=None)
@given(key=KEYS, name=st.sampled_from(["A_KEY", "x_token", "DB_PASSWORD", "APIKEY", "MY_SECRET", "AWS_CREDENTIALS"]))
def test_a_plan_that_holds_one_is_refused_without_repeating_it(key: str, name: str) -> None:
    plan = CASES["vllm-1gpu"][0].model_copy(update={"env": {name: key}})
    with pytest.raises(InputError) as caught:
        deploy(plan, "kubernetes", options())
    assert key not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(("case", "target"), [h for h in HELD if CASES[h[0]][1].get("key", True)])
def test_the_key_is_always_referred_to(case: str, target: str) -> None:
    """By a Secret's name, a variable or Podman's store; and the README says how to make it."""
    deployed = made(case, target)
    text = "\n".join(text for path, text in deployed.files.items() if path != "README.md")
    assert "api-key" in text or "${SELFHOST_API_KEY" in text
    assert any("SELFHOST_API_KEY" in line for line in deployed.about.commands.once)
