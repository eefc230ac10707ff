"""Which backend is chosen, and that every other one has its reason."""

from __future__ import annotations

import pytest

from tests.size.test_size import RAM, SMOLLM2
from toolkit.backends.base import Engine, EngineCommand, Signals
from toolkit.errors import DeclinedError, NoEngineError, UnknownNameError
from toolkit.plan import launch_plan, slug
from toolkit.size import Ask, Device, plan
from toolkit.types import MemoryPlan


class Stub:
    """A backend that is not installed anywhere: what it refuses is given."""

    signals = Signals()

    def __init__(self, name: str, refuses: str | None = None) -> None:
        self.name, self.reason = name, refuses

    def find(self) -> Engine | None:
        return None

    def refuses(self, memory: MemoryPlan) -> str | None:
        return self.reason

    def command(self, memory: MemoryPlan, engine: Engine, served_name: str) -> EngineCommand:
        return EngineCommand(argv=(*engine.argv0, "--alias", served_name, "--port", "{port}"))


ALL = [Stub("llama-cpp-python"), Stub("command"), Stub("vllm", "a GGUF file is not for vLLM"), Stub("llama-server")]
MEMORY = plan(Ask(SMOLLM2, (RAM,), "llama.cpp", context=1024, concurrency=2))


def found(*names: str) -> dict[str, Engine | None]:
    return {n: Engine(backend=n, argv0=(f"/bin/{n}",), where="PATH", version="1") for n in names}


def test_llama_server_over_the_bindings_and_every_rejection_has_its_reason() -> None:
    chosen = launch_plan(MEMORY, ALL, found("llama-server", "llama-cpp-python", "vllm"))
    assert chosen.backend == "llama-server"
    assert chosen.argv == ("/bin/llama-server", "--alias", "smollm2-135m", "--port", "{port}")
    assert {r.backend: r.reason for r in chosen.rejected} == {
        "vllm": "a GGUF file is not for vLLM",
        "llama-cpp-python": "llama-server is preferred",
    }
    assert chosen.memory == MEMORY


def test_vllm_first_where_it_is_there() -> None:
    willing = [Stub("vllm"), Stub("llama-server")]
    assert launch_plan(MEMORY, willing, found("vllm", "llama-server")).backend == "vllm"


def test_the_bindings_are_the_last_resort() -> None:
    chosen = launch_plan(MEMORY, ALL, found("llama-cpp-python"))
    assert chosen.backend == "llama-cpp-python"
    reasons = {r.backend: r.reason for r in chosen.rejected}
    assert "not installed" in reasons["llama-server"]


def test_nothing_installed_names_the_command_that_installs() -> None:
    with pytest.raises(NoEngineError) as caught:
        launch_plan(MEMORY, ALL, {})
    assert caught.value.exit_status == 2
    assert "llama" in str(caught.value.hint)
    assert "install" in str(caught.value.hint)


def test_a_wanted_backend_that_refuses() -> None:
    with pytest.raises(DeclinedError, match="not for vLLM"):
        launch_plan(MEMORY, ALL, found("vllm"), wanted="vllm")
    with pytest.raises(UnknownNameError) as caught:
        launch_plan(MEMORY, ALL, found("vllm"), wanted="lama-server")
    assert caught.value.nearest[0] == "llama-server"


def test_what_does_not_fit_is_not_launched() -> None:
    small = plan(Ask(SMOLLM2, (Device("CPU", 2**27, "cpu", "given"),), "llama.cpp", context=8192, concurrency=4))
    assert small.certainty == "no"
    with pytest.raises(DeclinedError, match="does not fit"):
        launch_plan(small, ALL, found("llama-server"))


@pytest.mark.parametrize(
    ("name", "slugged"),
    [("Qwen/Qwen3-8B", "qwen-qwen3-8b"), ("My Model (v2)", "my-model-v2"), ("---", "model"), ("a" * 80, "a" * 63)],
)
def test_served_names_are_plain(name: str, slugged: str) -> None:
    assert slug(name) == slugged
