"""Whatever a plan's words are, they reach the engine as they were, or the plan is refused in one sentence."""

from __future__ import annotations

import shlex

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.deploy.plans import docs, options, vllm
from toolkit.deploy.deploy import deploy
from toolkit.errors import InputError

TRICKY = st.text("$(){}[]'\"\\#:&*!%@`|>-, ~?=/abcyno019.ü", max_size=12)
TEXT = st.one_of(TRICKY, st.text(max_size=12), st.sampled_from(["on", "null", "0x1f", "1e3", "- a", "a: b", "a #b"]))
WORDS = st.lists(TEXT, min_size=1, max_size=3)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(words=WORDS, served=TEXT, value=TEXT)
def test_words_survive_or_are_refused(words: list[str], served: str, value: str) -> None:
    plan = vllm().model_copy(
        update={"argv": (*vllm().argv, "--odd", *words), "served_name": served, "env": {"ODD": value}}
    )
    chosen = options(name="m")
    try:
        pod = docs(deploy(plan, "kubernetes", chosen).files["deployment.yaml"])[0]["spec"]["template"]["spec"]
    except InputError:
        return
    (container,) = pod["containers"]
    arguments = [w.replace("$$(", "$(") for w in container["args"]]
    odd = arguments[arguments.index("--odd") + 1 :]
    assert odd[: len(words)] == words
    assert arguments[arguments.index("--served-model-name") + 1] == served
    assert next(e["value"] for e in container["env"] if e["name"] == "ODD").replace("$$(", "$(") == value
    service = docs(deploy(plan, "compose", chosen).files["compose.yaml"])[0]["services"]["engine"]
    assert [w.replace("$$", "$") for w in service["command"]] == arguments
    (task,) = docs(deploy(plan, "skypilot", chosen).files["service.yaml"])
    assert shlex.split(task["run"].splitlines()[-1])[1:] == ["vllm", "serve", *arguments]
