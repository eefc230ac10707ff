"""vLLM, started as its own process by `vllm serve`; never imported by the toolkit.

It is looked for in the variable ``SELFHOST_VLLM``, beside this Python, and on PATH. Its version is read from
the distribution that lies next to the program, so an environment of its own works as well.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path

from toolkit.backends.base import Engine, EngineCommand, Knobs, Signals, gpu_device_present, value_of
from toolkit.types import GIB, MemoryPlan

VARIABLE = "SELFHOST_VLLM"
FLOOR = (0, 19)
"""Oldest version whose settings used here are all known (the toolkit's ``vllm`` extra asks for it)."""

KNOBS = Knobs(
    out_of_memory=(
        r"out of memory|OutOfMemoryError|No available memory for the cache blocks"
        r"|larger than the available KV cache memory|is less than (the engine's budget|requested memory for kv)"
        r"|is less than desired [GC]PU memory utilization"
    ),
    cache_too_small=r"No available memory for the cache blocks|larger than the available KV cache memory",
    context_allowed=r"estimated maximum model length is (\d+)",
    context="--max-model-len",
    sequences="--max-num-seqs",
    utilization="--gpu-memory-utilization",
    small_cache=("--kv-cache-dtype", "fp8"),
    small_cache_dtype="fp8",
)
"""The messages are those of vLLM 0.32.0: `v1/core/kv_cache_utils.py` (cache), `v1/worker/utils.py` and
`v1/worker/cpu_worker.py` (budget), and PyTorch's own ``OutOfMemoryError``."""


NOT_IN_FLOAT16 = frozenset(
    {
        *("Gemma2ForCausalLM", "Gemma3ForCausalLM", "Gemma3ForConditionalGeneration"),
        "Glm4ForCausalLM",
    }
)
"""Architectures whose numbers overflow in float16; vLLM refuses it (`config/model.py`)."""


class Vllm:
    """Backend for `vllm serve`."""

    name = "vllm"
    signals = Signals(
        progress_counters=(
            "vllm:iteration_tokens_total_count",
            "vllm:generation_tokens_total",
            "vllm:prompt_tokens_total",
        ),
        busy_gauges=("vllm:num_requests_running", "vllm:num_requests_waiting"),
        prompt_tokens_counter="vllm:prompt_tokens_total",
        output_tokens_counter="vllm:generation_tokens_total",
        kv_use_gauge="vllm:kv_cache_usage_perc",
        unhealthy_means_dead=True,
        key_env="VLLM_API_KEY",
        load_timeout_env="VLLM_ENGINE_READY_TIMEOUT_S",
        knobs=KNOBS,
    )

    def find(self) -> Engine | None:
        """The `vllm` program, its version and whether it can use an accelerator here."""
        for path, where in _candidates():
            found = _version_beside(path)
            return Engine(
                backend=self.name,
                argv0=(str(path), "serve"),
                version=found,
                where=where,
                gpu=gpu_device_present() and not is_cpu_build(found),
            )
        return None

    def refuses(self, memory: MemoryPlan) -> str | None:
        """It needs a GPU (or its CPU build), a Hugging Face folder or id, and a plan made for vLLM."""
        if memory.engine != "vllm":
            return "the memory plan was made for llama.cpp; vLLM lays memory out differently"
        path = value_of(memory, "model_path")
        if isinstance(path, str) and path.endswith(".gguf"):
            return "vLLM serves Hugging Face folders; this model is a GGUF file"
        engine = self.find()
        if engine and not engine.gpu and not is_cpu_build(engine.version):
            return "vLLM needs a GPU and this machine shows none (its CPU build would do)"
        if engine and engine.version and _numbers(engine.version) < FLOOR:
            return f"vLLM {engine.version} is older than {FLOOR[0]}.{FLOOR[1]}, the oldest known to work here"
        return None

    def command(self, memory: MemoryPlan, engine: Engine, served_name: str) -> EngineCommand:
        """Every setting of the plan, spelt out, so that an engine default cannot change it.

        Not the block size, unless the user fixed it: the engine takes the one its attention kernel needs (its CPU
        build refuses 16, and a hybrid model's 784 is no value of the option).
        """
        argv = [*engine.argv0, "{model}", "--host", "{host}", "--port", "{port}"]
        argv += ["--served-model-name", served_name, "--max-model-len", str(memory.context)]
        argv += ["--tensor-parallel-size", str(memory.tp), "--pipeline-parallel-size", str(memory.pp)]
        for key, flag in (
            ("max_num_seqs", "--max-num-seqs"),
            ("max_num_batched_tokens", "--max-num-batched-tokens"),
            ("gpu_memory_utilization", "--gpu-memory-utilization"),
        ):
            value = value_of(memory, key)
            if value is not None and (engine.gpu or key != "gpu_memory_utilization"):
                argv += [flag, str(value)]
        kv = value_of(memory, "kv_dtype")
        if isinstance(kv, str) and kv.startswith("fp8"):
            argv += ["--kv-cache-dtype", kv]
        argv += [*_cache_words(memory), *_rank_words(memory), *_adapter_words(memory), *_draft_words(memory)]
        revision = value_of(memory, "revision")
        if isinstance(revision, str) and value_of(memory, "model_source") == "hub":
            argv += ["--revision", revision]
        reasons = [f"context {memory.context:,}, {memory.concurrency} requests at once as planned"]
        if engine.version is None or _numbers(engine.version) >= FLOOR:
            argv += ["--shutdown-timeout", "{term_s}"]
            reasons.append("on stop it may finish what the proxy's drain has left")
        env = _environment(memory)
        if is_cpu_build(engine.version):
            words, space, why = _on_cpu(memory)
            argv, env, reasons = [*argv, *words], env | space, [*reasons, *why]
        return EngineCommand(argv=tuple(argv), env=env, reasons=tuple(reasons))


def _cache_words(memory: MemoryPlan) -> list[str]:
    """Block size and prefix caching where the user fixed them; no graphs where none were planned."""
    words = ["--enforce-eager"] if value_of(memory, "eager") else []
    block = memory.inputs.get("block_size")
    if block is not None and block.origin == "user":
        words += ["--block-size", str(block.value)]
    cached = value_of(memory, "prefix_caching")
    if cached is not None:
        words += ["--enable-prefix-caching" if cached else "--no-enable-prefix-caching"]
    return words


def _rank_words(memory: MemoryPlan) -> list[str]:
    words = ["--enable-expert-parallel"] if value_of(memory, "expert_parallel") else []
    ranks = value_of(memory, "dcp")
    if isinstance(ranks, int) and ranks > 1:
        words += ["--decode-context-parallel-size", str(ranks)]
    return words


def _adapter_words(memory: MemoryPlan) -> list[str]:
    rank, count = value_of(memory, "max_lora_rank"), value_of(memory, "max_loras")
    return ["--enable-lora", "--max-lora-rank", str(rank), "--max-loras", str(count)] if rank else []


def _draft_words(memory: MemoryPlan) -> list[str]:
    """What guesses ahead, as vLLM's JSON (`SpeculativeConfig`)."""
    draft, ahead = value_of(memory, "draft"), value_of(memory, "num_speculative_tokens")
    if draft is None:
        return []
    said: dict[str, object] = {"method": "mtp"} if draft == "mtp" else {"method": "draft_model", "model": draft}
    return ["--speculative-config", json.dumps({**said, "num_speculative_tokens": ahead})]


def _on_cpu(memory: MemoryPlan) -> tuple[list[str], dict[str, str], list[str]]:
    """(words, environment, reasons) of the CPU build: its cache in whole GiB, and a type it computes rightly."""
    space = -(-memory.kv_pool_bytes // GIB)
    reasons = [f"{space} GiB of memory for the KV cache, which its CPU build takes in whole GiB"]
    words: list[str] = []
    if value_of(memory, "architecture") not in NOT_IN_FLOAT16:
        words = ["--dtype", "float16"]
        reasons.append("float16: v0.32 answers nonsense in bfloat16 on processors with AMX")
    return words, {"VLLM_CPU_KVCACHE_SPACE": str(space)}, reasons


def _environment(memory: MemoryPlan) -> dict[str, str]:
    """No usage reports; markers in the environment kept, by which strays are found again."""
    env = {"VLLM_NO_USAGE_STATS": "1", "SPT_NOENV": "1"}
    path = value_of(memory, "model_path")
    if isinstance(path, str) and Path(path).is_dir():
        env["HF_HUB_OFFLINE"] = "1"
    return env


def _candidates() -> list[tuple[Path, str]]:
    named = os.environ.get(VARIABLE)
    if named:
        path = Path(named).expanduser()
        return [(path, VARIABLE)] if os.access(path, os.X_OK) else []
    beside = Path(sys.prefix) / "bin" / "vllm"
    if os.access(beside, os.X_OK):
        return [(beside, "this Python environment")]
    on_path = shutil.which("vllm")
    return [(Path(on_path), "PATH")] if on_path else []


def _version_beside(program: Path) -> str | None:
    """Version of the `vllm` distribution in the environment whose ``bin`` holds the program."""
    prefix = program.resolve().parent.parent
    for folder in sorted(prefix.glob("lib/python3*/site-packages")):
        for info in sorted(folder.glob("vllm-*.dist-info")):
            return info.name.removeprefix("vllm-").removesuffix(".dist-info")
        if any(folder.glob("vllm_cpu-*.dist-info")):
            info = next(folder.glob("vllm_cpu-*.dist-info"))
            return info.name.removeprefix("vllm_cpu-").removesuffix(".dist-info") + "+cpu"
    return None


def is_cpu_build(version: str | None) -> bool:
    """Whether a version is that of the build that runs on processors."""
    return version is not None and "cpu" in version.partition("+")[2]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version.partition("+")[0])[:2])


BACKEND = Vllm()
