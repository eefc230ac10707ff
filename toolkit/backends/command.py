"""Any OpenAI-compatible server, started by a command of the user's own.

What it is, is not asked. The counters of vLLM, llama.cpp and SGLang are read where they are there, so that a slow
engine is not taken for a hung one; their memory options are recognised where they stand in the command.
"""

from __future__ import annotations

import shlex
import shutil

from toolkit.backends import llama_server, vllm
from toolkit.backends.base import Engine, EngineCommand, Knobs, Signals
from toolkit.errors import InputError
from toolkit.types import LaunchPlan, MemoryPlan


class Command:
    """Backend for a user's own command. It is never picked by itself: only the user knows the command."""

    name = "command"
    signals = Signals(
        progress_counters=(
            *("vllm:iteration_tokens_total_count", "vllm:generation_tokens_total", "vllm:prompt_tokens_total"),
            *("llamacpp:n_decode_total", "llamacpp:tokens_predicted_total", "llamacpp:prompt_tokens_total"),
            *("sglang:generation_tokens_total", "sglang:prompt_tokens_total"),
        ),
        busy_gauges=(
            *("vllm:num_requests_running", "vllm:num_requests_waiting"),
            *("llamacpp:requests_processing", "llamacpp:requests_deferred"),
            *("sglang:num_running_reqs", "sglang:num_queue_reqs"),
        ),
        prompt_tokens_counter=tuple(f"{who}:prompt_tokens_total" for who in ("vllm", "llamacpp", "sglang")),
        output_tokens_counter=(
            *("vllm:generation_tokens_total", "llamacpp:tokens_predicted_total", "sglang:generation_tokens_total"),
        ),
        kv_use_gauge=("vllm:kv_cache_usage_perc", "sglang:token_usage"),
    )

    def find(self) -> Engine | None:
        """Nothing to find: the command comes with the launch plan."""
        return None

    def refuses(self, memory: MemoryPlan) -> str | None:
        """It serves only what its own command says."""
        return "it runs a command of your own, and none was given"

    def command(self, memory: MemoryPlan, engine: Engine, served_name: str) -> EngineCommand:
        """The words of the engine given, unchanged."""
        return EngineCommand(argv=engine.argv0, env=engine.env)


def knobs_in(argv: tuple[str, ...]) -> Knobs:
    """What in this command asks for memory: vLLM's options or llama.cpp's; the words of both when memory lacks."""

    def given(*options: str) -> str | None:
        return next((o for o in options if any(w == o or w.startswith(f"{o}=") for w in argv)), None)

    theirs, ours = vllm.KNOBS, llama_server.KNOBS
    of_vllm = bool(given("--max-model-len", "--max-num-seqs", "--gpu-memory-utilization"))
    like = theirs if of_vllm else ours
    return like.model_copy(
        update={
            "out_of_memory": f"{theirs.out_of_memory}|{ours.out_of_memory}",
            "cache_too_small": theirs.cache_too_small,
            "context_allowed": theirs.context_allowed,
            "context_helps": ours.context_helps,
            "context": given("--max-model-len") if of_vllm else given("-c", "--ctx-size"),
            "sequences": given("--max-num-seqs") if of_vllm else given("-np", "--parallel"),
            "small_cache": like.small_cache if of_vllm or given("-c", "--ctx-size") else (),
        }
    )


def plan_for(
    command: str,
    *,
    served_name: str,
    model_path: str | None = None,
    health_path: str | None = "/health",
    max_in_flight: int | None = None,
) -> LaunchPlan:
    """A launch plan from one line of words, split as a shell would, run without a shell.

    Raises:
        InputError: no words, unbalanced quotes, no such program, or neither ``{port}`` nor ``{uds}`` in it.
    """
    try:
        argv = shlex.split(command)
    except ValueError as error:
        raise InputError(f"the command cannot be split into words: {error}") from None
    if not argv:
        raise InputError("the command is empty")
    if shutil.which(argv[0]) is None:
        raise InputError(f"no such program: {argv[0]}")
    if not any("{port}" in word or "{uds}" in word for word in argv):
        raise InputError(
            "the command does not say where the port goes",
            "write {port} where the server takes its port, or {uds} for a Unix socket; {host} and {model} are "
            "filled in too.",
        )
    if any("{model}" in word for word in argv) and not model_path:
        raise InputError("the command has {model} but no model was given")
    return LaunchPlan(
        backend="command",
        argv=tuple(argv),
        served_name=served_name,
        model_path=model_path,
        health_path=health_path,
        max_in_flight=max_in_flight,
        reasons=("the command is the user's own",),
    )


BACKEND = Command()
