"""Whole benches against the mock: files, early stops, interruption, several processes, other transports."""

from __future__ import annotations

import csv
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from tests.load.mock import Mock, spec, workload
from tests.load.relay import Relay
from toolkit.errors import EnvironmentFailedError, InputError
from toolkit.load import silence
from toolkit.load.probe import Probe
from toolkit.load.progress import Progress
from toolkit.load.rows import read_rows
from toolkit.load.run import run
from toolkit.load.spec import TimeLimits, endpoint
from toolkit.types import BenchResult

FAST = {"ttft_s": 0.05, "itl_s": 0.01}


def load_processes() -> list[int]:
    """Locust processes below this one."""
    below = psutil.Process().children(recursive=True)
    return [p.pid for p in below if "locust" in " ".join(p.cmdline())]


def test_a_bench_writes_its_files_and_they_agree(mock: Mock, tmp_path: Path) -> None:
    mock.set(**FAST)
    seen: list[Progress] = []
    asked = spec(mock.url, concurrency=(1, 3), duration_s=0.3, warmup_s=0.1, slo="ttft_p50<1s,itl_p50<1s", seed=3)
    result = run(asked, tmp_path, seen.append)
    assert BenchResult.model_validate_json((tmp_path / "result.json").read_bytes()) == result
    assert [level.concurrency for level in result.levels] == [1, 3]
    assert (result.model, result.seed, result.slo) == ("mock", 3, "ttft_p50<1s,itl_p50<1s")
    assert result.best_under_slo == result.levels[1]
    assert (result.interrupted, result.stopped_early) == (False, None)
    rows = list(read_rows(tmp_path / "requests.jsonl"))
    for number, level in enumerate(result.levels):
        mine = [row for row in rows if row.level == number and not row.warmup]
        assert level.requests == level.completed == len(mine)
        assert level.output_tokens == 8 * len(mine)
        assert level.ttft_s is not None
        assert level.ttft_s.p50 == pytest.approx(0.05, abs=0.02)
        assert level.valid, level.why_invalid
        assert level.client_busy is not None
        assert 0 < level.client_busy < 0.9
    assert any(row.warmup for row in rows)
    with (tmp_path / "summary.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["concurrency"] for line in lines] == ["1", "3"]
    assert float(lines[1]["output_tok_s"]) == pytest.approx(result.levels[1].output_tok_s, rel=1e-5)
    assert {p.stage for p in seen} >= {"prepare", "warmup", "measure"}
    assert load_processes() == []


def test_prompts_have_the_asked_length_by_the_servers_own_count(mock: Mock, tmp_path: Path) -> None:
    mock.set(ttft_s=0.0, itl_s=0.0)
    result = run(spec(mock.url, workload=workload(200, 4), max_requests=40), tmp_path)
    given = [row.input_tokens or 0 for row in read_rows(tmp_path / "requests.jsonl")]
    assert sum(given) / len(given) == pytest.approx(200, rel=0.05)
    assert not any("prompts were" in note for note in result.levels[0].notes)


def test_an_engine_that_takes_it_is_told_to_ignore_eos_and_a_strict_one_is_not(mock: Mock, tmp_path: Path) -> None:
    mock.set(**FAST, refuse=["ignore_eos"])
    assert run(spec(mock.url, max_requests=2), tmp_path / "a").levels[0].failed == 0
    mock.set(**FAST, refuse=["ignore_eos"], owned_by="vllm")
    assert run(spec(mock.url, max_requests=2), tmp_path / "b").levels[0].errors == {"http_400": 2}


def test_answers_shorter_than_asked_make_the_level_invalid(mock: Mock, tmp_path: Path) -> None:
    mock.set(**FAST, tokens=5)
    level = run(spec(mock.url, max_requests=6), tmp_path).levels[0]
    assert not level.valid
    assert level.why_invalid == "output lengths not as asked: 5 tokens on average instead of 8"


def test_a_run_stops_early_when_nothing_works(mock: Mock, tmp_path: Path) -> None:
    mock.set(fault="status", status=401)
    began = time.monotonic()
    result = run(spec(mock.url, concurrency=(8, 16), duration_s=30), tmp_path)
    assert time.monotonic() - began < 8
    assert len(result.levels) == 1
    assert result.stopped_early is not None
    assert result.stopped_early.startswith("no request succeeded: http_401")
    assert "status 401 on order" in result.stopped_early
    assert list(result.levels[0].errors) == ["http_401"]
    assert not result.levels[0].valid


def test_a_wrong_model_is_named_with_the_right_one(mock: Mock, tmp_path: Path) -> None:
    mock.set(model="llama-3.1-8b")
    result = run(spec(mock.url, model="llama-3.1-8B-it", max_requests=1), tmp_path)
    assert "http_404" in (result.stopped_early or "")
    assert "did you mean llama-3.1-8b?" in (result.stopped_early or "")


def test_nothing_listens(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailedError, match="refused"):
        run(spec("http://127.0.0.1:1"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_server_without_a_key_for_us_is_an_input_error(mock: Mock, tmp_path: Path) -> None:
    mock.set(api_key="secret")
    with pytest.raises(InputError, match="asks for an API key"):
        run(spec(mock.url), tmp_path)


def test_a_target_that_redirects_is_not_followed(mock: Mock, tmp_path: Path) -> None:
    mock.set(models_at="http://other.example/v1/models")
    with pytest.raises(InputError, match=r"redirects to http://other.example/v1/models \(307\)"):
        run(spec(mock.url), tmp_path)


@pytest.mark.slow
def test_a_stream_nobody_asked_for_is_not_read_to_its_end(mock: Mock, tmp_path: Path) -> None:
    """Endless: getting to know the target would take all of a request's 25 s. The load itself ends after 80 events."""
    mock.set(ttft_s=0.0, itl_s=0.02, fault="endless", always_stream=True)
    began = time.monotonic()
    result = run(spec(mock.url, max_requests=2, limits=TimeLimits(request_s=25)), tmp_path)
    assert result.levels[0].errors == {"too_many_tokens": 2}
    assert time.monotonic() - began < 20


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["slowloris", "silent"])
def test_a_question_before_the_load_is_given_up_once_and_is_no_answer(mock: Mock, fault: str) -> None:
    """Dripping headers that we cut look like whole ones; a second try would cost the time once more."""
    mock.set(fault=fault, always_stream=True)
    probe = Probe(endpoint(mock.url), None, 1.5)
    began = time.monotonic()
    with pytest.raises(EnvironmentFailedError):
        probe.post("/chat/completions", {"model": "mock", "messages": [{"role": "user", "content": "x"}]})
    assert 1.4 < time.monotonic() - began < 2.8
    probe.close()


@pytest.mark.slow
def test_a_server_that_gives_no_token_at_all_is_given_up_sooner(
    mock: Mock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every wait is a second although a request may take 300; once one has spoken, a request has its time."""
    monkeypatch.setattr(silence, "LEAST_S", 1.0)
    limits = TimeLimits(connect_s=2, stall_s=10)
    mock.set(fault="silent")
    result = run(spec(mock.url, max_requests=2, limits=limits), tmp_path)
    assert result.levels[0].errors == {"timeout_first_byte": 2}
    assert all(row.end_s - row.sent_s < 5 for row in read_rows(tmp_path / "requests.jsonl"))
    mock.set(ttft_s=4.0, itl_s=0.0)
    result = run(spec(mock.url, max_requests=2, limits=limits), tmp_path)
    assert result.levels[0].errors == {"timeout_first_token": 2}
    mock.set(ttft_s=0.3, itl_s=0.3)
    result = run(spec(mock.url, max_requests=2, limits=limits), tmp_path)
    assert result.levels[0].completed == 2


@pytest.mark.slow
def test_a_server_that_dies_half_way_leaves_its_failures_in_the_result(mock: Mock, tmp_path: Path) -> None:
    mock.set(**FAST)
    relay = Relay(mock.port)

    def on_progress(progress: Progress) -> None:
        if progress.completed >= 4:
            relay.close()

    result = run(spec(f"http://127.0.0.1:{relay.port}", duration_s=1.5, concurrency=(2,)), tmp_path, on_progress)
    level = result.levels[0]
    assert level.completed >= 4
    assert level.failed >= 2
    assert "connect_refused" in level.errors
    assert result.stopped_early is None


@pytest.mark.slow
def test_several_processes_give_one_exact_list(mock: Mock, tmp_path: Path) -> None:
    mock.set(**FAST)
    result = run(spec(mock.url, concurrency=(6,), rate=(20,), duration_s=1.0, processes=2), tmp_path)
    closed, opened = result.levels
    rows = list(read_rows(tmp_path / "requests.jsonl"))
    assert {row.worker for row in rows} == {0, 1}
    assert len({row.id for row in rows}) == len(rows)
    assert closed.completed == sum(row.level == 0 for row in rows) >= 36
    assert (opened.completed, opened.failed) == (20, 0)
    # the two processes took turns on one schedule
    due = sorted(row.scheduled_s for row in rows if row.level == 1)
    assert [b - a for a, b in pairwise(due)] == pytest.approx([0.05] * 19, abs=1e-4)


@pytest.mark.slow
def test_requests_are_shared_exactly_over_processes(mock: Mock, tmp_path: Path) -> None:
    mock.set(**FAST)
    assert run(spec(mock.url, concurrency=(3,), max_requests=7, processes=2), tmp_path).levels[0].completed == 7


def test_ipv6(mock: Mock, tmp_path: Path) -> None:
    mock.set(**FAST)
    relay = Relay(mock.port, "::1")
    level = run(spec(f"http://[::1]:{relay.port}/v1", max_requests=4), tmp_path).levels[0]
    relay.close()
    assert (level.completed, level.failed) == (4, 0)


@pytest.mark.slow
def test_tls_has_our_own_stamps_and_says_so(mock: Mock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    made += ["-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(made, cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    relay = Relay(mock.port, "127.0.0.1", context)
    mock.set(**FAST)
    with pytest.raises(EnvironmentFailedError, match="CERTIFICATE_VERIFY_FAILED"):
        run(spec(f"https://localhost:{relay.port}"), tmp_path / "a")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    level = run(spec(f"https://localhost:{relay.port}", max_requests=6), tmp_path / "b").levels[0]
    relay.close()
    assert (level.completed, level.failed) == (6, 0)
    assert level.ttft_s is not None
    assert level.ttft_s.p50 == pytest.approx(0.05, abs=0.03)
    assert any("our own time stamps" in note for note in level.notes)


def test_a_server_that_restarted_makes_the_level_invalid(mock: Mock, tmp_path: Path) -> None:
    mock.set(**FAST)
    counts = iter([0, 0, 0, 1])
    result = run(spec(mock.url, concurrency=(1, 2), max_requests=2), tmp_path, restarts=lambda: next(counts))
    assert [level.valid for level in result.levels] == [True, False]
    assert "restarted" in (result.levels[1].why_invalid or "")


# --- interruption ---

DRIVER = """
import sys
from pathlib import Path
from tests.load.mock import spec
from toolkit.load.run import run
from toolkit.load.spec import TimeLimits, endpoint
asked = spec(sys.argv[1], concurrency=(2, 4), duration_s=20)
result = run(asked, Path(sys.argv[2]), lambda p: print(p.completed, flush=True))
print("interrupted", result.interrupted)
"""


def driver(mock: Mock, out: Path) -> subprocess.Popen[str]:
    """A bench in a process of its own, once it has completed a request."""
    command = [sys.executable, "-c", DRIVER, mock.url, str(out)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
    assert child.stdout is not None
    for line in child.stdout:
        if line.strip().isdigit() and int(line) >= 2:
            return child
    raise AssertionError("the bench ended before it completed a request")


def test_ctrl_c_writes_what_was_measured(mock: Mock, tmp_path: Path) -> None:
    mock.set(**FAST)
    child = driver(mock, tmp_path)
    below = psutil.Process(child.pid).children(recursive=True)
    assert below
    child.send_signal(signal.SIGINT)
    text, _ = child.communicate(timeout=10)
    assert "interrupted True" in text
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["interrupted"] is True
    assert len(result["levels"]) == 1
    assert result["levels"][0]["completed"] >= 2
    assert result["levels"][0]["failed"] == 0
    assert not any(p.is_running() for p in below)


@pytest.mark.slow
def test_a_load_test_does_not_outlive_its_driver(mock: Mock, tmp_path: Path) -> None:
    mock.set(**FAST)
    child = driver(mock, tmp_path)
    below = psutil.Process(child.pid).children(recursive=True)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert child.stdout is not None
    child.stdout.close()
    gone, alive = psutil.wait_procs(below, timeout=5)
    assert gone
    assert not alive
