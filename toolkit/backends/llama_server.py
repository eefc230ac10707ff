"""llama.cpp's own server, `llama-server`: many requests at once, GGUF files, CPU or GPU.

It is looked for in the variable ``SELFHOST_LLAMA_SERVER``, on PATH, and in the ``bin`` folders that a
`llama-cpp-python` wheel built with its tools leaves inside this Python environment.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from functools import lru_cache
from pathlib import Path

from toolkit import machine
from toolkit.backends.base import Engine, EngineCommand, Knobs, Signals, gpu_device_present, value_of
from toolkit.types import MemoryPlan

VARIABLE = "SELFHOST_LLAMA_SERVER"
PROBE_TIMEOUT_S = 5.0
SCAN_MAX_BYTES = 64 * 2**20
OPTIONS = ("--cache-ram", "--no-repack", "--fit", "--spec-type")
"""Options that only newer builds have; used when the build's own help lists them."""

KNOBS = Knobs(
    out_of_memory=(
        r"out of memory|insufficient memory|(failed|unable) to allocate .*(buffers?|bytes|cache|MB)"
        r"|failed to fit params to free device memory"
    ),
    context_helps=r"failed to allocate buffer for (kv|rs) cache|failed to allocate compute (pp|tg) buffers",
    context="-c",
    context_is_total=True,
    sequences="-np",
    sequences_setting="parallel",
    small_cache=("-ctk", "q8_0", "-ctv", "q8_0", "-fa", "on"),
    small_cache_dtype="q8_0",
)
"""The messages are those of llama.cpp (2026-11): `ggml-alloc.c`, `ggml-backend.cpp`, `ggml-cuda.cu`,
`llama-context.cpp`, `llama-kv-cache.cpp`. They name the size that was refused, never one that would fit. A
quantized V cache needs flash attention."""


class LlamaServer:
    """Backend for the `llama-server` program."""

    name = "llama-server"
    signals = Signals(
        progress_counters=(
            "llamacpp:n_decode_total",
            "llamacpp:tokens_predicted_total",
            "llamacpp:prompt_tokens_total",
        ),
        busy_gauges=("llamacpp:requests_processing", "llamacpp:requests_deferred"),
        prompt_tokens_counter="llamacpp:prompt_tokens_total",
        output_tokens_counter="llamacpp:tokens_predicted_total",
        key_env="LLAMA_API_KEY",
        knobs=KNOBS,
    )

    def find(self) -> Engine | None:
        """The first `llama-server` that starts, in the order of the module's docstring."""
        for path, where in _candidates():
            engine = _inspect(str(path), where)
            if engine:
                return engine
        return None

    def refuses(self, memory: MemoryPlan) -> str | None:
        """It serves GGUF files only, and memory plans made for llama.cpp."""
        if memory.engine != "llama.cpp":
            return "the memory plan was made for vLLM; llama.cpp lays memory out differently"
        path = value_of(memory, "model_path")
        if path is None:
            return "its GGUF file is not on this machine; download it and give the file"
        if isinstance(path, str) and not path.endswith(".gguf"):
            return "llama.cpp reads GGUF files, and this model is not one"
        return _refuses_draft(memory, self.find())

    def command(self, memory: MemoryPlan, engine: Engine, served_name: str) -> EngineCommand:
        """Context × parallel slots, threads that leave a core to the client, metrics on, web page off."""
        parallel = _int(value_of(memory, "parallel")) or memory.concurrency
        argv = [*engine.argv0, "-m", "{model}", "--host", "{host}", "--port", "{port}", "--alias", served_name]
        argv += ["-c", str(memory.context * parallel), "-np", str(parallel), "--metrics", "--no-webui"]
        argv += ["--cont-batching"]
        reasons = [f"{parallel} slots of {memory.context:,} tokens, so n_ctx is {memory.context * parallel:,}"]
        for part, reason in (
            _compute(memory, engine),
            _placing(memory),
            _tuning(memory),
            _draft(memory, engine),
            _quirks(engine),
        ):
            argv += part
            reasons += reason
        return EngineCommand(argv=tuple(argv), env=engine.env, reasons=tuple(reasons))


def _refuses_draft(memory: MemoryPlan, engine: Engine | None) -> str | None:
    """A draft model has to be a file; a model's own prediction layers need a build that knows them."""
    draft = value_of(memory, "draft")
    if draft == "mtp" and engine and "--spec-type" not in engine.features:
        return "this build of llama-server cannot draft with a model's own prediction layers"
    if draft not in (None, "mtp") and not (isinstance(draft, str) and draft.endswith(".gguf")):
        return "the draft model's GGUF file is not on this machine; download it and give the file"
    return None


def _draft(memory: MemoryPlan, engine: Engine) -> tuple[list[str], list[str]]:
    """What guesses ahead. Builds before ``--spec-type`` (2026) draft as soon as a draft model is named."""
    draft = value_of(memory, "draft")
    if draft is None:
        return [], []
    argv = [] if draft == "mtp" else ["-md", str(draft)]
    if "--spec-type" in engine.features:
        argv += ["--spec-type", "draft-mtp" if draft == "mtp" else "draft-simple"]
    return argv, ["drafts tokens ahead with " + ("its own prediction layers" if draft == "mtp" else "a second model")]


def _candidates() -> list[tuple[Path, str]]:
    """Where the program may be, best first."""
    found: list[tuple[Path, str]] = []
    named = os.environ.get(VARIABLE)
    if named:
        return [(Path(named).expanduser(), VARIABLE)]
    on_path = shutil.which("llama-server")
    if on_path:
        found.append((Path(on_path), "PATH"))
    site = Path(sysconfig.get_path("platlib"))
    found += [
        (site / "bin" / "llama-server", "site-packages/bin"),
        (Path(sys.prefix) / "bin" / "llama-server", "the environment's bin"),
    ]
    return [(path, where) for path, where in found if path.is_file() and os.access(path, os.X_OK)]


@lru_cache(maxsize=8)
def _inspect(path: str, where: str) -> Engine | None:
    """Version, options and traits of one build; None when it does not start. About 20 ms, once a process."""
    libraries = _libraries(Path(path))
    env = {"LD_LIBRARY_PATH": os.pathsep.join(libraries)} if libraries else {}
    about = _ask(path, "--version", env)
    match = re.search(r"version:\s*(\S+)", about)
    if not match:
        return None
    help_text = _ask(path, "--help", env)
    features = [option for option in OPTIONS if re.search(rf"(?<![\w-]){option}(?![\w-])", help_text)]
    if "built with GNU" in about and _has_amx_kernels(Path(path), libraries):
        features.append("amx-by-gcc")
    gpu = gpu_device_present() and _gpu_build(Path(path), libraries, about)
    return Engine(
        backend="llama-server",
        argv0=(path,),
        version=match.group(1),
        env=env,
        where=where,
        gpu=gpu,
        features=tuple(features),
    )


def _libraries(path: Path) -> list[str]:
    """Folders of the build's shared libraries when they lie in a Python environment, else none."""
    site = path.parent.parent
    folders = [site / "lib", site / "llama_cpp" / "lib"]
    return [str(f) for f in folders if any(f.glob("libllama*"))]


def _ask(path: str, question: str, env: dict[str, str]) -> str:
    """What the program prints to a harmless question, both streams; empty when it cannot."""
    try:
        done = subprocess.run(
            [path, question],
            env=os.environ | env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROBE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout + done.stderr).decode(errors="replace") if done.returncode == 0 else ""


def _has_amx_kernels(path: Path, libraries: list[str]) -> bool:
    """Whether this CPU has AMX tiles and the build has kernels for them."""
    try:
        flags = Path("/proc/cpuinfo").read_text(errors="replace").partition("flags")[2].partition("\n")[0]
    except OSError:
        return False
    if "amx_tile" not in flags.split():
        return False
    files = [Path(f) / "libggml-cpu.so" for f in libraries] or [path]
    return any(
        f.is_file() and f.stat().st_size <= SCAN_MAX_BYTES and b"ggml_backend_amx_mul_mat" in f.read_bytes()
        for f in files
    )


def _gpu_build(path: Path, libraries: list[str], about: str) -> bool:
    """Whether the build has a GPU backend: a library beside it, or its own word."""
    folders = [Path(f) for f in libraries] or [path.parent, path.parent.parent / "lib"]
    names = ("cuda", "hip", "vulkan", "sycl", "metal")
    return "ggml_cuda_init" in about or any(next(f.glob(f"libggml-{n}*"), None) for f in folders for n in names)


def _compute(memory: MemoryPlan, engine: Engine) -> tuple[list[str], list[str]]:
    """Threads on a CPU, layers on a GPU."""
    layers = value_of(memory, "gpu_layers")
    if engine.gpu and layers != 0:
        if layers is None:
            return [], ["llama-server decides how many layers go to the GPU"]
        return ["-ngl", str(layers)], [f"{layers} layers on the GPU"]
    threads = machine.engine_threads()
    cores = machine.usable_cores()
    why = f"{threads} of {cores} cores: llama.cpp's workers spin, so one core is left to the client"
    return ["-t", str(threads)], [why if cores > 1 else "one thread on one core"]


PLACES = {"n_cpu_moe": "--n-cpu-moe", "override_tensor": "-ot", "tensor_split": "-ts", "split_mode": "-sm"}
PLACES |= {"main_gpu": "-mg", "lora": "--lora"}
"""Input of the plan → option. Several values of one are parted by commas: a second option would replace the first."""


def _placing(memory: MemoryPlan) -> tuple[list[str], list[str]]:
    """Where layers, experts and tensors go, and the adapters loaded beside, as the memory plan has them."""
    argv: list[str] = []
    for name, option in PLACES.items():
        value = value_of(memory, name)
        if value is not None:
            argv += [option, ",".join(value) if isinstance(value, list) else str(value)]
    said = [name.replace("_", " ") for name in PLACES if value_of(memory, name) is not None]
    return argv, [f"placed as sized: {', '.join(said)}"] if said else []


def _tuning(memory: MemoryPlan) -> tuple[list[str], list[str]]:
    """Batch size, cache type and flash attention when the plan has them."""
    argv: list[str] = []
    ubatch = _int(value_of(memory, "ubatch"))
    if ubatch:
        argv += ["-b", str(max(ubatch, 2048)), "-ub", str(ubatch)]
    kv = value_of(memory, "kv_dtype")
    if isinstance(kv, str) and kv not in ("auto", "f16", "fp16"):
        keys, _, values = kv.partition("/")
        argv += ["-ctk", keys, "-ctv", values or keys]
    argv += ["--kv-unified"] if value_of(memory, "kv_unified") else []
    argv += ["--swa-full"] if value_of(memory, "swa_full") else []
    flash = value_of(memory, "flash_attn")
    if isinstance(flash, bool):
        flash = "on" if flash else "off"
    if flash in ("on", "off"):
        argv += ["-fa", str(flash)]
    return argv, []


def _quirks(engine: Engine) -> tuple[list[str], list[str]]:
    """Settings that this build needs to keep to the memory plan and not to crash."""
    argv: list[str] = []
    reasons: list[str] = []
    if "--fit" in engine.features:
        argv += ["--fit", "off"]
        reasons.append("llama-server's own fitting is off: the memory plan has done it")
    if "--cache-ram" in engine.features:
        argv += ["--cache-ram", "0"]
        reasons.append("its prompt cache in RAM (8 GiB by default) is off, so memory stays as planned")
    if "amx-by-gcc" in engine.features and "--no-repack" in engine.features and not engine.gpu:
        argv.append("--no-repack")
        # https://github.com/ggml-org/llama.cpp/pull/26954: GCC drops the tile configuration as dead stores.
        reasons.append("its AMX kernels, built by GCC, crash on this CPU; weights stay in their file's layout")
    return argv, reasons


def _int(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


BACKEND = LlamaServer()
