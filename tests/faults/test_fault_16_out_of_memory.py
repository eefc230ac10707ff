"""Fault 16: out of memory at load. Each rung once, in order; ready on less or fatal with the sums; ≤ 6 starts."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.supervise.harness import QUICK, World, chat, get, kill, until, until_state
from toolkit.errors import StartFailedError
from toolkit.supervise import api
from toolkit.types import DevicePlan, LaunchPlan, Line, MemoryPlan

LIMITS = QUICK.model_copy(update={"vram_back_s": 0.3, "load_cap_s": 60})

VLLM = {"--max-model-len": "8192", "--gpu-memory-utilization": "0.92", "--max-num-seqs": "64"}
CUDA = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23.69 GiB "
    "of which 1.21 GiB is free."
)
CACHE = (
    "ValueError: To serve at least one request with the model's max seq len (8192), (16.0 GiB KV cache is needed, "
    "which is larger than the available KV cache memory (9.0 GiB). Based on the available memory, the estimated "
    "maximum model length is 4608. Try increasing `gpu_memory_utilization` (which also controls CPU memory on the CPU "
    "backend) or decreasing `max_model_len` when initializing the engine."
)
"""Texts of vLLM 0.32.0 (`v1/core/kv_cache_utils.py`) and PyTorch 2.13."""

LLAMA = {"-c": "65536", "-np": "8"}
KV_BUFFER = """ggml_aligned_malloc: insufficient memory (attempted to allocate 1440.00 MB)
ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 1509949440
alloc_tensor_range: failed to allocate CPU buffer of size 1509949440
llama_init_from_model: failed to initialize the context: failed to allocate buffer for kv cache
srv    load_model: failed to create_context with model 'm.gguf'
srv  llama_server: exiting due to model loading error"""
"""What llama-server 0.3.36's build said under a limit of 700 MB (2026-11-24)."""


def plan(world: World, backend: str, options: dict[str, str], **changes: Any) -> LaunchPlan:
    words = [word for pair in options.items() for word in pair]
    return world.plan(backend, argv=(*world.plan().argv, *words), **changes)


def tried(world: World, options: dict[str, str]) -> list[list[str]]:
    """The values of these options at each start, in order."""
    starts = [line["argv"] for line in world.journal("start")]
    return [[argv[argv.index(option) + 1] for option in options] for argv in starts]


def steps(world: World) -> list[str]:
    path = world.home / "servers" / "s" / "events.jsonl"
    events = [json.loads(line) for line in path.read_text().splitlines()]
    return [event["detail"] for event in events if event["what"] == "oom_step"]


def test_vllm_gets_the_context_that_its_message_allows(world: World, repeat: int, moment: None) -> None:
    world.faults(oom=[[CACHE, {"--max-model-len": 4608}]])
    server = world.start(plan=plan(world, "vllm", VLLM), limits=LIMITS)
    assert tried(world, VLLM) == [["8192", "0.92", "64"]] * 2 + [["4608", "0.92", "64"]]
    assert steps(world)[0].startswith("wait until memory in use elsewhere is given back")
    assert steps(world)[1:] == ["context 8,192 → 4,608 tokens a request: what the engine says would fit"]
    config = server.effective_config
    assert (config["context"], config["argv"][-5:-4]) == (4608, ["4608"])
    assert [step["step"] for step in config["reduced"]] == ["wait", "context"]
    text = get(server, "/metrics")[1].decode()
    assert 'selfhost_oom_steps_total{server="s",step="context"} 1.0' in text
    assert chat(server)[0] == 200
    assert len(world.crashes()) == 2
    assert all("out of memory" in crash for crash in world.crashes())


def test_every_rung_once_in_order_then_fatal_with_the_sums(world: World, repeat: int, moment: None) -> None:
    """Weights 14.0 + cache 16.0 + activations 1.5 = 31.5 GiB of 23.7 GiB; utilization 0.92 − 0.05 − 0.05 = 0.82."""
    world.faults(oom=[[CACHE, {"--max-model-len": 4608}], [CUDA, {"--max-model-len": 1}]])
    memory = planned({"weights": 14.0, "kv_cache": 16.0, "activations": 1.5}, 23.7)
    with pytest.raises(StartFailedError) as caught:
        world.start(plan=plan(world, "vllm", VLLM, memory=memory), limits=LIMITS)
    assert tried(world, VLLM) == [
        ["8192", "0.92", "64"],
        ["8192", "0.92", "64"],
        ["4608", "0.92", "64"],
        ["4608", "0.87", "64"],
        ["4608", "0.82", "64"],
        ["4608", "0.82", "32"],
    ]
    words = caught.value.message
    assert "nothing is left to reduce" in words
    assert "weights 14.00 + kv cache 16.00 + activations 1.50 = 31.50 GiB of 23.70 GiB" in words
    assert "The engine: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB." in words
    assert (api.status("s").state, len(world.crashes())) == ("fatal", 6)


def planned(gib: dict[str, float], usable_gib: float) -> MemoryPlan:
    lines = tuple(Line(what=what, bytes=int(size * 2**30), basis="computed", how="") for what, size in gib.items())
    total, usable = sum(line.bytes for line in lines), int(usable_gib * 2**30)
    device = DevicePlan(
        name="GPU", usable_bytes=usable, lines=lines, total_bytes=total, free_bytes=usable - total, error_bytes=0
    )
    values: dict[str, Any] = {"model": "m", "engine": "vllm", "engine_version": None, "quant": "bf16", "context": 8192}
    counts = ("kv_bytes_per_token", "kv_pool_bytes", "reserved_bytes", "kv_pool_tokens", "max_context")
    values |= dict.fromkeys(counts, 0) | {"max_concurrency": 0, "concurrency": 64, "inputs": {}}
    return MemoryPlan(**values, devices=(device,), fits=False, certainty="no")


def test_llama_server_gets_half_the_context_then_half_the_slots(world: World, repeat: int, moment: None) -> None:
    """65,536 tokens for 8 slots; half is 32,768; 4 slots of the same 4,096 tokens need 16,384."""
    world.faults(oom=[[KV_BUFFER, {"-c": 16384}]])
    server = world.start(plan=plan(world, "llama-server", LLAMA), limits=LIMITS)
    assert tried(world, LLAMA) == [["65536", "8"]] * 2 + [["32768", "8"], ["16384", "4"]]
    config = server.effective_config
    assert (config["context"], config["parallel"], config["concurrency"]) == (4096, 4, 4)


def test_the_cache_is_stored_in_eight_bits_only_where_that_is_allowed(world: World, repeat: int) -> None:
    world.faults(oom=[[KV_BUFFER, {"-ctk": ""}]])
    with pytest.raises(StartFailedError, match="nothing is left to reduce"):
        world.start(plan=plan(world, "llama-server", LLAMA), limits=LIMITS)
    assert world.starts() == 4
    allowed = LIMITS.model_copy(update={"allow_kv_quant": True})
    server = world.start("t", plan=plan(world, "llama-server", LLAMA), limits=allowed)
    assert server.effective_config["kv_dtype"] == "q8_0"
    assert world.starts() == 4 + 5


def test_a_lower_share_is_not_tried_against_a_cache_that_is_too_small(world: World, repeat: int) -> None:
    """vLLM takes the cache out of its share: less of it would leave even less."""
    words = "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`"
    world.faults(oom=[[words, {}]])
    with pytest.raises(StartFailedError, match="No available memory for the cache blocks"):
        world.start(plan=plan(world, "vllm", VLLM), limits=LIMITS)
    assert [share for _, share, _ in tried(world, VLLM)] == ["0.92"] * 3


def test_a_later_supervisor_knows_what_was_reduced_and_a_restart_asks_for_all_again(
    world: World, repeat: int, moment: None
) -> None:
    world.faults(oom=[[KV_BUFFER, {"-c": 32768}]])
    server = world.start(plan=plan(world, "llama-server", LLAMA), limits=LIMITS)
    kill(server.supervisor_pid)
    again = api.restart("s")
    assert (again.pid, again.effective_config["context"]) == (server.pid, 32768 // 8)
    assert [step["step"] for step in again.effective_config["reduced"]] == ["wait", "context"]
    kill(again.pid)
    until(lambda: world.starts() == 4, 30)
    assert tried(world, LLAMA)[-1] == ["32768", "8"], "a crash does not bring back what did not fit"
    until_state("ready")
    world.faults()
    assert "reduced" not in api.restart("s").effective_config
    assert tried(world, LLAMA)[-1] == ["65536", "8"]


@pytest.fixture
def kernel() -> Iterator[None]:
    """The kernel's count of kills is the machine's: who moves it and who needs it still take turns."""
    with (Path(tempfile.gettempdir()) / "selfhost-test-oom.lock").open("w") as file:
        until(lambda: held(file.fileno()), 200, "the other test to end")
        yield


def held(descriptor: int) -> bool:
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def test_killed_at_load_by_whomever_climbs_the_ladder(world: World, repeat: int, kernel: None) -> None:
    """systemd-oomd, earlyoom and many a container's runtime kill from outside, and no count of the kernel's says so."""
    world.faults(oom=[["kill", {"--gpu-memory-utilization": 0.87}]])
    server = world.start(plan=plan(world, "vllm", VLLM), limits=LIMITS)
    assert tried(world, VLLM) == [["8192", "0.92", "64"]] * 2 + [["8192", "0.87", "64"]]
    assert [step["step"] for step in server.effective_config["reduced"]] == ["wait", "utilization"]
    assert all("killed (SIGKILL) while it loaded" in crash for crash in world.crashes())


def test_killed_at_load_whatever_is_reduced_is_fatal_with_the_sums(world: World, repeat: int, kernel: None) -> None:
    world.faults(oom=[["kill", {}]])
    with pytest.raises(StartFailedError, match=r"nothing is left to reduce .*The engine: it was killed"):
        world.start(plan=plan(world, "vllm", VLLM), limits=LIMITS)
    assert world.starts() == 5


def test_killed_at_load_with_nothing_to_reduce_is_a_crash(world: World, repeat: int, kernel: None) -> None:
    world.faults(oom=[["kill", {}]])
    with pytest.raises(StartFailedError, match="3 starts in a row never became ready, the last one: signal:9"):
        world.start(plan=world.plan("command"), limits=LIMITS)
    assert (world.starts(), steps(world)) == (3, [])


def test_killed_at_load_after_it_was_ready_is_reduced_by_nothing(world: World, repeat: int, kernel: None) -> None:
    """This very command had memory enough: it is tried again, in the end every so often, until it has it again."""
    server = world.start(plan=plan(world, "vllm", VLLM), limits=LIMITS.model_copy(update={"crash_limit": 5}))
    world.faults(oom=[["kill", {}]])
    kill(server.pid)
    until_state("crash_loop")
    assert (steps(world), world.starts()) == ([], 5)
    world.faults()
    until_state("ready")


@pytest.mark.parametrize(
    ("options", "words", "most", "kept"),
    [
        (VLLM, CACHE, {"--max-model-len": 4608}, ["4608", "0.92", "64"]),
        ({"--ctx-size": "65536", "--parallel": "8"}, KV_BUFFER, {"--ctx-size": 16384}, ["16384", "4"]),
    ],
    ids=["vllm", "llama.cpp"],
)
def test_a_command_of_the_users_own_is_reduced_by_the_options_in_it(
    world: World, repeat: int, options: dict[str, str], words: str, most: dict[str, int], kept: list[str]
) -> None:
    world.faults(oom=[[words, most]])
    world.start(plan=plan(world, "command", options), limits=LIMITS)
    assert tried(world, options)[-1] == kept


def test_a_command_without_such_options_waits_once_and_says_the_engines_words(world: World, repeat: int) -> None:
    world.faults(oom=[[CUDA, {}]])
    with pytest.raises(StartFailedError, match=r"CUDA out of memory\. Tried to allocate 2\.00 GiB"):
        world.start(plan=world.plan("command"), limits=LIMITS)
    assert world.starts() == 2


@pytest.fixture
def small_group(kernel: None) -> Iterator[Path | None]:
    """A memory cgroup of 64 MiB; None where this user may make none."""
    root = Path("/sys/fs/cgroup")
    v1 = (root / "memory" / "memory.limit_in_bytes").exists()
    group = (root / "memory" if v1 else root) / f"selfhost-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / ("memory.limit_in_bytes" if v1 else "memory.max")).write_text(str(64 * 2**20))
    except OSError:
        if group.is_dir():
            group.rmdir()
        yield None
        return
    yield group
    group.rmdir()


def test_killed_by_the_kernel_for_memory_climbs_the_ladder(world: World, repeat: int, small_group: Path | None) -> None:
    """The real OOM killer, on an engine that touches 200 MiB in a group of 64 MiB."""
    if small_group is None:
        pytest.skip("no memory cgroup can be made here")
    world.faults(grow_bytes=200 * 2**20)
    inside = ("sh", "-c", f'echo $$ > {small_group}/cgroup.procs && exec "$@"', "sh")
    argv = (*inside, *world.plan().argv, "--max-num-seqs", "8")
    with pytest.raises(StartFailedError, match="The engine: the kernel killed it for lack of memory"):
        world.start(plan=world.plan("vllm", argv=argv), limits=LIMITS)
    assert [argv[-1] for argv in (line["argv"] for line in world.journal("start"))] == ["8", "8", "4"]


@pytest.mark.real
@pytest.mark.slow
def test_a_real_llama_server_finds_its_size(world: World, repeat: int) -> None:
    """65,536 tokens of this model's f16 cache are 1,440 MiB (22.5 KiB each); 1.7 GiB of address space hold half."""
    from toolkit.cli.pipeline import launch_plan_for

    prlimit = shutil.which("prlimit")
    if prlimit is None:
        pytest.skip("no prlimit here")
    made = launch_plan_for("smollm2-135m", backend="llama-server", served_name="fake", context=8192, concurrency=8)
    env = made.env | world.plan().env | {"MALLOC_ARENA_MAX": "2"}  # each further one takes 64 MiB of addresses
    limited = made.model_copy(update={"argv": (prlimit, f"--as={int(1.7 * 2**30)}", *made.argv), "env": env})
    server = world.start(plan=limited, limits=LIMITS.model_copy(update={"health_timeout_s": 2, "load_stall_s": 60}))
    assert server.effective_config["context"] == 4096
    assert [step["step"] for step in server.effective_config["reduced"]] == ["wait", "context"]
    assert chat(server, 4)[0] == 200
