"""Limits, keys, canary, causes, admission, series: the small pure parts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from toolkit.errors import InputError
from toolkit.supervise import canary, causes, keys
from toolkit.supervise.admission import Gate, RefusedError
from toolkit.supervise.limits import Limits, from_toml
from toolkit.supervise.probe import series

CONTRACT = {
    "tick_s": 5,
    "load_stall_s": 300,
    "load_cap_s": 7200,
    "stall_min_s": 120,
    "stall_max_s": 1800,
    "suspect_grace_s": 30,
    "idle_probe_after_s": 60,
    "probe_timeout_s": 30,
    "probe_failures": 3,
    "health_timeout_s": 5,
    "backoff_base_s": 1,
    "backoff_cap_s": 60,
    "crash_limit": 5,
    "crash_window_s": 600,
    "half_open_s": (300, 600, 1200, 1800),
    "never_ready_limit": 3,
    "healthy_reset_s": 600,
    "drain_s": 120,
    "term_grace_s": 10,
    "vram_back_s": 60,
    "max_in_flight": None,
    "queue_limit": 256,
    "queue_timeout_s": 60,
    "log_max_bytes": 67108864,
    "log_keep": 5,
    "poison_limit": 2,
    "allow_kv_quant": False,
}
"""The table "Limits of supervision" of the command line's contract, and what was added to it since."""


def test_limits_have_the_names_and_defaults_of_the_contract() -> None:
    assert Limits().model_dump() == CONTRACT


def toml(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "limits.toml"
    path.write_text(text)
    return path


def test_limits_come_from_toml_and_the_rest_stays(tmp_path: Path) -> None:
    limits = from_toml(toml(tmp_path, "[supervise]\ndrain_s = 5\nhalf_open_s = [1, 2]\n"))
    assert (limits.drain_s, limits.half_open_s, limits.tick_s) == (5, (1, 2), 5)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[supervise]\ndrain = 5\n", "unknown limit 'drain'", "drain_s"),
        ("[supervise]\nbackof_cap_s = 5\n", "unknown limit 'backof_cap_s'", "did you mean backoff_cap_s"),
        ("[supervised]\n", "unknown table 'supervised'", "did you mean supervise?"),
        ("[supervise]\ndrain_s = 'x'\n", "drain_s = 'x' must be a number", ""),
        ("[supervise]\ntick_s = true\n", "tick_s = True must be a number", ""),
        ("[supervise]\nallow_kv_quant = 1\n", "allow_kv_quant = 1 must be true or false", ""),
        ("[supervise]\ntick_s = 0\n", "tick_s = 0: .*greater than 0", ""),
        ("[supervise]\nprobe_failures = 1.5\n", "probe_failures = 1.5", ""),
        ("[supervise\n", "is broken TOML", ""),
    ],
)
def test_a_mistyped_config_names_file_and_key(tmp_path: Path, text: str, message: str, hint: str) -> None:
    path = toml(tmp_path, text)
    with pytest.raises(InputError, match=message) as caught:
        from_toml(path)
    assert str(path) in caught.value.message
    assert hint in (caught.value.hint or "")


def test_a_key_file_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("# ours\nsecret-one\n\nsecret-two\n")
    path.chmod(0o644)
    with pytest.raises(InputError, match=r"can be read by others \(mode 0644\)") as caught:
        keys.read_keys(path)
    assert caught.value.hint == f"run: chmod 600 {path}"
    path.chmod(0o600)
    accepted = keys.read_keys(path)
    assert accepted.accept("Bearer secret-two")
    assert accepted.accept("bearer secret-one")
    for wrong in (None, "", "Bearer", "Bearer ", "Bearer secret", "Basic secret-one", "secret-one"):
        assert not accepted.accept(wrong)
    path.write_text("# only a comment\n")
    with pytest.raises(InputError, match="holds no key"):
        keys.read_keys(path)


def test_only_loopback_goes_without_a_key() -> None:
    for host in ("127.0.0.1", "127.0.0.2", "::1", "localhost"):
        keys.check_bind(host, has_key=False)
    for host in ("0.0.0.0", "::", "192.168.1.4"):
        keys.check_bind(host, has_key=True)
        with pytest.raises(InputError, match="no API key is set"):
            keys.check_bind(host, has_key=False)
    with pytest.raises(InputError, match="no IP address"):
        keys.check_bind("my-host", has_key=True)


@pytest.mark.parametrize(
    ("answer", "sane"),
    [
        ("The capital of France is Paris.", True),
        ("Paris", True),
        ("42", True),
        ("L'L'Orient, the capital", True),
        ("巴黎是法国的首都。", True),
        ("", False),
        ("  \n", False),
        ("!!!!!!!!!!!!!!!!", False),
        ("????", False),
        ("the the the the the", False),
        ("abababababababab", False),
        ("\ufffd\ufffd\ufffdab", False),
        ("garbage" * 16, False),
        ("<|reserved_special_token_7|>" * 16, False),
        ("tok \n tok  tok tok", False),
        ("NaN", False),
        ("nan, nan", False),
        ("Nancy is a city in France.", True),
        ("Paris, Paris, Paris! It is Paris.", True),
    ],
)
def test_the_canary_knows_an_answer_from_noise(answer: str, sane: bool) -> None:
    assert (canary.why_nonsense(answer) is None) == sane


@pytest.mark.parametrize(
    ("code", "signum", "log", "final", "words"),
    [
        (1, None, "error: invalid argument: --foo", True, "arguments"),
        (2, None, "vllm serve: error: unrecognized arguments: --foo", True, "arguments"),
        (1, None, "gguf_init_from_file_ptr: failed to read tensor info", True, "damaged"),
        (1, None, "tensor 'x' data is not within the file bounds, model is corrupted or incomplete", True, "damaged"),
        (1, None, "RuntimeError: No CUDA GPUs are available", True, "GPU"),
        (1, None, "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB", False, "memory"),
        (1, None, "ggml_backend_cuda_buffer_type_alloc_buffer: cudaMalloc failed: out of memory", False, "memory"),
        (None, 4, "", True, "CPU instruction"),
        (127, None, "", True, "cannot be run"),
    ],
)
def test_an_exit_is_told_from_the_engines_own_words(
    code: int | None, signum: int | None, log: str, final: bool, words: str
) -> None:
    found = causes.diagnose(code, signum, log)
    assert found is not None
    assert (found.final, words in found.sentence) == (final, True)


def test_an_unknown_exit_is_not_guessed() -> None:
    assert causes.diagnose(1, None, "something else") is None
    assert causes.diagnose(None, 9, "") is None


def test_reasons_and_their_labels() -> None:
    assert causes.reason_of(0, None) == "exit:0"
    assert causes.reason_of(None, 9) == "signal:9"
    assert causes.label("exit:1: it ran out of memory") == "exit:1"
    assert causes.label("hung: busy without progress for 9 s") == "hung"


def test_the_gate_is_fifo_bounded_and_forgets_who_left() -> None:
    async def scene() -> list[str]:
        gate, order = Gate(1, queue_limit=3, queue_timeout_s=5), []
        with pytest.raises(RefusedError):
            await gate.enter()
        gate.open()
        await gate.enter()

        async def visitor(name: str) -> None:
            await gate.enter()
            order.append(name)
            gate.leave()

        tasks = [asyncio.create_task(visitor(n)) for n in "abc"]
        await asyncio.sleep(0)
        with pytest.raises(RefusedError) as full:
            await gate.enter()
        assert full.value.status == 429
        tasks[1].cancel()
        await asyncio.sleep(0)
        assert gate.queued == 2
        gate.leave()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (gate.active, gate.queued) == (0, 0)
        return order

    assert asyncio.run(scene()) == ["a", "c"]


def test_closing_the_gate_refuses_those_who_wait() -> None:
    async def scene() -> None:
        gate = Gate(1, queue_limit=3, queue_timeout_s=5)
        gate.open()
        await gate.enter()
        waiting = asyncio.create_task(gate.enter())
        await asyncio.sleep(0)
        gate.close("draining", 7.2)
        with pytest.raises(RefusedError) as refused:
            await waiting
        assert (refused.value.status, refused.value.retry_after_s) == (503, 8)
        assert not await gate.drained(0.01)
        gate.leave()
        assert await gate.drained(0.01)

    asyncio.run(scene())


def test_waiting_too_long_is_a_503() -> None:
    async def scene() -> None:
        gate = Gate(1, queue_limit=3, queue_timeout_s=0.05)
        gate.open()
        await gate.enter()
        with pytest.raises(RefusedError) as refused:
            await gate.enter()
        assert refused.value.status == 503

    asyncio.run(scene())


def test_series_are_summed_over_labels() -> None:
    text = b'# HELP x y\nvllm:num_requests_running{engine="0"} 2.0\nvllm:num_requests_running{engine="1"} 3\nbad\n'
    assert series(text) == {"vllm:num_requests_running": 5.0}
