"""A launch plan's words, taken apart: the engine's program, what a target says in its own way, and the settings."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from toolkit.errors import InputError
from toolkit.types import LaunchPlan, MemoryPlan

PROGRAM_WORDS = {"vllm": 2, "llama-server": 1}
"""How many words start each engine: `vllm serve`, `llama-server`."""
SAID_ELSEWHERE = {
    "vllm": {"--host": 1, "--port": 1, "--served-model-name": 1, "--revision": 1, "--shutdown-timeout": 1},
    "llama-server": {"-m": 1, "--model": 1, "--host": 1, "--port": 1, "--alias": 1, "-a": 1},
}
"""Options that a target sets from its own facts (address, model, name, revision, drain) → number of their values."""
SECRET_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$", re.IGNORECASE)
SECRET_VALUE = re.compile(
    r"\bhf_[A-Za-z0-9]{16,}|\bsk-[A-Za-z0-9_-]{16,}|\bgh[pousr]_[A-Za-z0-9]{20,}|\bAKIA[A-Z0-9]{16}\b|://[^/\s:@]+:[^/\s@]+@"
)
"""Tokens of the Hugging Face hub, OpenAI, GitHub and AWS by their own prefixes, and a password inside a URL."""
SECRET_FLAGS = {"--api-key", "--hf-token", "-hft", "--token"}
DRAIN_S = 120
"""How long open requests may take to end, as supervision's own default."""
LOCAL_PATH = re.compile(r"(^|[=,\"'\s])(/|~|\.{1,2}/)")
"""A path of this machine: a whole word, or what follows a sign or a quote in one, as in NAME=PATH or in JSON."""
MEMORY = (
    *(
        "kv_dtype",
        "tp",
        "pp",
        "gpu_memory_utilization",
        "max_num_seqs",
        "max_num_batched_tokens",
        "block_size",
        "eager",
    ),
    *("prefix_caching", "expert_parallel", "dcp", "max_lora_rank", "max_loras"),
    *("ubatch", "parallel", "flash_attn", "gpu_layers", "kv_unified", "swa_full"),
)
"""Inputs of a memory plan that are settings of the engine, and not the model, its place or the load."""
T = TypeVar("T")
NUMBER = re.compile(r"-\d+(\.\d+)?")


def check_words(plan: LaunchPlan) -> None:
    """What no file could hold as it is: a key, since files are read by many; a line break, which would start a line.

    Raises:
        InputError: an option or a variable that holds one; a secret is not repeated.
    """
    texts = (plan.served_name, plan.health_path or "", plan.model_path or "", *plan.argv, *plan.env, *plan.env.values())
    if any(not text.isprintable() for text in texts):
        raise InputError("the plan has a line break or another control character in a word", "take it out.")
    for name in plan.env:
        if SECRET_NAME.search(name):
            raise InputError(f"the plan's environment sets {name}, which looks like a secret", "take it out.")
    if any(SECRET_VALUE.search(text) for text in texts):
        raise InputError("the plan holds a word that looks like a token or a password", "take it out.")
    for word in plan.argv:
        if word.split("=")[0] in SECRET_FLAGS:
            raise InputError(f"the plan gives {word.split('=')[0]} a value in plain text", "take it out.")


def settings(plan: LaunchPlan) -> tuple[tuple[str, ...], ...]:
    """The engine's options, each with its values, in the plan's order.

    Raises:
        InputError: a word that means something only on this machine: a placeholder or an absolute path.
    """
    words = list(plan.argv[PROGRAM_WORDS[plan.backend] :])
    if plan.backend == "vllm" and words and not words[0].startswith("-"):
        words = words[1:]  # the model
    elsewhere = SAID_ELSEWHERE[plan.backend]
    found = [f for f in _grouped(words) if f[0].split("=")[0] not in elsewhere]
    for word in (w for flag in found for w in flag):
        _only_here(word)
    return tuple(found)


def read(flag: tuple[str, ...], kind: Callable[[str], T]) -> T:
    """One option's single value, as a target's own kind of it.

    Raises:
        InputError: none, several, or one of another kind.
    """
    try:
        (value,) = flag[1:]
        return kind(value)
    except ValueError:
        raise InputError(f"the plan has {' '.join(flag)}, whose value has no meaning here", "mend that word.") from None


def of_memory(memory: MemoryPlan) -> dict[str, str | int | float | bool]:
    """The memory settings that were chosen, and the engine's defaults that decide as much: with them it is sized again.

    A default ``block_size`` is left out: it follows from the others, and hybrid models have one that cannot be asked.
    """
    found = {name: memory.inputs[name] for name in MEMORY if name in memory.inputs}
    taken = {n: s.value for n, s in found.items() if n != "block_size" or s.origin == "user"}
    return {n: v for n, v in taken.items() if v is not None and not isinstance(v, list)}


def has_drain(plan: LaunchPlan) -> bool:
    """Whether the engine is told to end its open requests when it is stopped."""
    return plan.backend == "llama-server" or "--shutdown-timeout" in plan.argv


def _grouped(words: list[str]) -> list[tuple[str, ...]]:
    groups: list[list[str]] = []
    for word in words:
        option = word.startswith("-") and not NUMBER.fullmatch(word)
        if option or not groups:
            groups.append([word])
        else:
            groups[-1].append(word)
    return [tuple(group) for group in groups]


def _only_here(word: str) -> None:
    if LOCAL_PATH.search(word):
        raise InputError(
            f"the plan names a file of this machine: {word}", "leave that setting out, or bake the file into an image."
        )
    if re.search(r"\{(host|port|uds|model|term_s)\}", word):
        raise InputError(f"the plan has {word!r}, which only this machine's supervisor fills in")
