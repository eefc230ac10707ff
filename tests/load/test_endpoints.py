"""The other endpoints: completions in a stream, embeddings in one piece, each with the figures that mean something."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.run import document, error_of, selfhost
from tests.load.mock import Mock, spec, workload
from toolkit.load.rows import read_rows
from toolkit.load.run import run

SHORT = ("--duration", "1s", "--warmup", "0", "--input-len", "60", "--output-len", "8")


@pytest.mark.slow
def test_completions_are_streamed_and_timed_like_chats(mock: Mock, tmp_path: Path) -> None:
    """50 ms, then 7 gaps of 10 ms: 120 ms in all; the mock counts a token for every four characters."""
    mock.set(ttft_s=0.05, itl_s=0.01)
    found = run(spec(mock.url, concurrency=(2,), kind="completions", workload=workload(60, 8)), tmp_path)
    (level,) = found.levels
    assert (found.endpoint, level.failed, level.valid) == ("completions", 0, True)
    assert level.ttft_s is not None
    assert level.itl_s is not None
    assert level.e2e_s is not None
    assert level.ttft_s.p50 == pytest.approx(0.05, abs=0.003)
    assert level.itl_s.p50 == pytest.approx(0.01, abs=0.002)
    assert level.e2e_s.p50 == pytest.approx(0.12, abs=0.005)
    rows = list(read_rows(tmp_path / "requests.jsonl"))
    assert {row.output_tokens for row in rows} == {8}
    assert sum(row.input_tokens or 0 for row in rows) / len(rows) == pytest.approx(60, rel=0.05)


@pytest.mark.slow
def test_embeddings_have_requests_input_tokens_and_one_latency(mock: Mock, tmp_path: Path) -> None:
    """Four users and 40 ms a vector: 100 requests/s, 6,000 input tokens/s; there is no first token."""
    mock.set(ttft_s=0.04)
    found = run(
        spec(mock.url, concurrency=(4,), kind="embeddings", workload=workload(60, 8), duration_s=2, slo="e2e_p95<1s"),
        tmp_path,
    )
    (level,) = found.levels
    assert (found.endpoint, level.failed, level.valid, level.slo_met) == ("embeddings", 0, True, True), level
    assert (level.ttft_s, level.itl_s, level.tpot_s, level.decode_tok_s_per_user) == (None, None, None, None)
    assert level.e2e_s is not None
    assert level.e2e_s.p50 == pytest.approx(0.04, abs=0.003)
    assert level.request_s == pytest.approx(100, rel=0.08)
    assert level.input_tok_s == pytest.approx(60 * level.request_s, rel=0.05)
    assert (level.output_tokens, level.output_tok_s, level.steady_output_tok_s) == (0, 0, None)
    assert level.token_source == {"usage": level.completed}


@pytest.mark.slow
def test_embeddings_in_an_open_loop(mock: Mock, tmp_path: Path) -> None:
    mock.set(ttft_s=0.02)
    (level,) = run(spec(mock.url, rate=(30,), kind="embeddings", duration_s=2), tmp_path).levels
    assert (level.failed, level.valid) == (0, True), level.why_invalid
    assert level.achieved_rate == pytest.approx(30, rel=0.05)
    assert level.service_ttft_s is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"fault": "json_instead"}, "bad_json"),  # a chat's answer where a vector was asked
        ({"fault": "html"}, "bad_json"),
        ({"fault": "status", "status": 503}, "http_503"),
        ({"fault": "error_event"}, "not_json"),
        ({"fault": "redirect"}, "redirect"),
        ({"fault": "not_http"}, "bad_http"),
    ],
)
def test_what_is_no_embedding_is_a_failure(changes: dict, error: str, mock: Mock, tmp_path: Path) -> None:
    mock.set(**changes)
    (level,) = run(spec(mock.url, concurrency=(1,), kind="embeddings", max_requests=2), tmp_path).levels
    assert (set(level.errors), level.completed) == ({error}, 0)


@pytest.mark.slow
def test_an_embedding_bench_for_people_and_scripts(mock: Mock, tmp_path: Path) -> None:
    mock.set(ttft_s=0.02)
    words = ("bench", mock.url, "--endpoint", "embeddings", "--concurrency", "1,2", *SHORT, "--out", tmp_path)
    done = selfhost(*words)
    assert done.returncode == 0, done.stderr
    assert "input tokens/s" in done.stdout
    assert "At 2 users: answer in" in done.stdout
    assert "first token" not in done.stdout
    page = (tmp_path / "report.html").read_text()
    assert "Answer in one piece" in page
    assert "gap between tokens" not in page
    assert document(*words)["endpoint"] == "embeddings"


def test_a_first_token_cannot_be_asked_of_an_embedding(mock: Mock, tmp_path: Path) -> None:
    words = ("--endpoint", "embeddings", "--slo", "ttft_p95<1s", "--out", tmp_path)
    assert "an embedding has no ttft" in error_of("bench", mock.url, *words)


def test_an_unknown_endpoint_is_bad_input() -> None:
    assert "chat" in error_of("bench", "http://127.0.0.1:1", "--endpoint", "chats")
