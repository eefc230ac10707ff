"""`selfhost bench` as a user and as a script see it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.run import document, error_of, selfhost
from tests.load.harness import KEY
from tests.load.mock import Mock
from toolkit.cli.bench_load import seconds
from toolkit.errors import InputError

FAST = {"ttft_s": 0.05, "itl_s": 0.01}
SHORT = ("--duration", "400ms", "--warmup", "0", "--input-len", "40", "--output-len", "8")
FILES = {"result.json", "requests.jsonl", "report.html", "report.md", "summary.csv"}


def test_json_is_the_result_and_the_folder_holds_every_file(mock: Mock, tmp_path: Path) -> None:
    mock.set(**FAST)
    found = document("bench", f"{mock.url}/v1/", "--concurrency", "1,2", *SHORT, "--out", tmp_path, home=tmp_path)
    assert found["kind"] == "bench_result"
    assert found["schema_version"] == 1
    assert found["slo"] is None
    assert [level["concurrency"] for level in found["levels"]] == [1, 2]
    contract = {"duration_s", "requests", "completed", "failed", "errors", "ttft_s", "itl_s", "tpot_s", "e2e_s",
                "output_tok_s", "input_tok_s", "total_tok_s", "request_s", "goodput_request_s", "goodput_output_tok_s",
                "goodput_total_tok_s", "achieved_rate", "asked_rate", "queue_delay_s", "client_busy", "valid",
                "why_invalid"}  # fmt: skip
    assert contract <= set(found["levels"][0])
    assert {"mean", "p50", "p90", "p95", "p99", "min", "max"} <= set(found["levels"][0]["ttft_s"])
    assert {file.name for file in tmp_path.iterdir()} >= FILES
    assert found["environment"]["command"].startswith("selfhost bench http://127.0.0.1:")


@pytest.mark.slow
def test_a_table_for_people(mock: Mock, tmp_path: Path) -> None:
    mock.set(**FAST)
    done = selfhost("bench", mock.url, "--concurrency", "2", *SHORT, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 users" in done.stdout
    assert "At 2 users: first token in" in done.stdout
    assert f"report: {tmp_path / 'report.html'}" in done.stdout
    assert "measuring" in done.stderr


@pytest.mark.slow
def test_quiet_says_nothing(mock: Mock, tmp_path: Path) -> None:
    mock.set(**FAST)
    done = selfhost("bench", mock.url, "--concurrency", "1", *SHORT, "--out", tmp_path, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.slow
def test_results_go_to_a_folder_of_their_time(mock: Mock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mock.set(**FAST)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    assert selfhost("bench", mock.url, "--rate", "20", *SHORT, "--quiet").returncode == 0
    (folder,) = (tmp_path / "selfhost-bench").iterdir()
    assert {file.name for file in folder.iterdir()} >= FILES


@pytest.mark.slow
def test_a_missed_service_level_is_exit_1(mock: Mock, tmp_path: Path) -> None:
    mock.set(**FAST)
    words = ("bench", mock.url, "--concurrency", "1", *SHORT, "--out", tmp_path, "--slo", "ttft_p50<10ms")
    assert document(*words, status=1)["best_under_slo"] is None


@pytest.mark.slow
def test_a_kept_service_level_names_the_best_load(mock: Mock, tmp_path: Path) -> None:
    mock.set(**FAST)
    words = ("bench", mock.url, "--concurrency", "1", *SHORT, "--out", tmp_path, "--slo", "ttft_p50<500ms")
    assert document(*words)["best_under_slo"]["concurrency"] == 1


@pytest.mark.slow
def test_a_search_says_what_it_found(mock: Mock, tmp_path: Path) -> None:
    """Two slots: two users keep the level, three do not."""
    mock.set(**FAST, slots=2)
    words = ("bench", mock.url, "--find-max", "--concurrency", "1,8", *SHORT, "--out", tmp_path)
    found = document(*words, "--slo", "ttft_p95<80ms")
    assert found["search"]["interval"] == [2, 2]
    assert found["best_under_slo"]["concurrency"] == 2
    done = selfhost(*words, "--slo", "ttft_p95<1ms")
    assert done.returncode == 1
    assert "The service level does not hold at 1 user" in done.stdout


@pytest.mark.slow
def test_failed_requests_beyond_the_limit_are_exit_1(mock: Mock, tmp_path: Path) -> None:
    mock.set(**FAST, fault="error_event", every=4)
    words = (
        "bench",
        mock.url,
        "--concurrency",
        "2",
        *SHORT,
        "--duration",
        "5s",
        "--max-requests",
        "8",
        "--out",
        tmp_path,
    )
    assert document(*words, status=1)["levels"][0]["errors"] == {"error_event": 2}
    mock.set(**FAST, fault="error_event", every=4)
    assert document(*words, "--max-failed", "0.3")["levels"][0]["failed"] == 2


@pytest.mark.slow
def test_nothing_that_works_is_exit_1_with_the_reason(mock: Mock, tmp_path: Path) -> None:
    mock.set(fault="html")
    done = selfhost("bench", mock.url, "--concurrency", "1", *SHORT, "--max-requests", "2", "--out", tmp_path)
    assert done.returncode == 1
    assert "not_event_stream" in done.stdout
    assert "nginx" in done.stdout


def test_nothing_that_listens_is_exit_3(tmp_path: Path) -> None:
    assert "refused" in error_of("bench", "http://127.0.0.1:1", "--out", tmp_path / "x", status=3)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--concurrency", "0"), "concurrency 0 is not above zero"),
        (("--concurrency", "two"), "not a list of numbers"),
        (("--rate", "-1"), "rate -1"),
        (("--rate", "nan"), "rate nan"),
        (("--rate", "1", "--concurrency", "1"), "not by both"),
        (("--sweep", "--rate", "1"), "a sweep is over users"),
        (("--sweep", "--find-max"), "Leave all but one out"),
        (("--find-max", "--rate", "8,4"), "a search starts at most where it ends"),
        (("--find-max", "--rate", "1", "--search-time", "long"), "search time 'long'"),
        (("--slo", "ttft<5"), "is not METRIC_pNN<TIME"),
        (("--slo", "tfft_p95<5s"), "did you mean ttft"),
        (("--workload", "caht"), "did you mean chat"),
        (("--duration", "soon"), "not a length of time"),
        (("--duration", "0"), "duration s 0"),
        (("--processes", "0"), "processes 0"),
        (("--input-len", "0"), "0 tokens"),
        (("--api-key-env", "SELFHOST_NO_SUCH_VARIABLE"), "is not set"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(words: tuple[str, ...], says: str) -> None:
    assert says in error_of("bench", "http://127.0.0.1:1", *words)


def test_a_key_given_by_mistake_is_not_repeated() -> None:
    assert KEY not in error_of("bench", "http://127.0.0.1:1", "--api-key-env", KEY)


def test_an_unknown_server_is_exit_2(tmp_path: Path) -> None:
    assert "unknown server 'smol'" in error_of("bench", "smol", home=tmp_path)


@pytest.mark.slow
def test_the_key_reaches_the_server_and_no_file(mock: Mock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mock.set(**FAST, api_key=KEY)
    monkeypatch.setenv("MY_KEY", KEY)
    done = selfhost("bench", mock.url, "--concurrency", "1", *SHORT, "--api-key-env", "MY_KEY", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert not any(KEY in file.read_text() for file in tmp_path.iterdir())


@pytest.mark.parametrize(("text", "value"), [("30", 30), ("30s", 30), ("500ms", 0.5), ("2m", 120), (" 1.5h ", 5400)])
def test_lengths_of_time(text: str, value: float) -> None:
    assert seconds(text, "duration") == value


@pytest.mark.parametrize("text", ["", "s", "-1s", "1d", "1s2", "inf", "nan"])
def test_what_is_no_length_of_time(text: str) -> None:
    with pytest.raises(InputError):
        seconds(text, "duration")


@pytest.mark.slow
@pytest.mark.parametrize(
    "signals",
    [(signal.SIGINT,), (signal.SIGTERM,), (signal.SIGHUP,), (signal.SIGINT,) * 9, (signal.SIGTERM, signal.SIGINT)],
    ids=["ctrl-c", "sigterm", "terminal closed", "ctrl-c nine times", "sigterm and ctrl-c"],
)
def test_interrupted_is_exit_130_with_the_report_written(mock: Mock, tmp_path: Path, signals: tuple[int, ...]) -> None:
    """However often: the signals after the first come while it ends its load and while it writes."""
    mock.set(**FAST)
    words = ["bench", mock.url, "--concurrency", "2", "--duration", "60s", "--warmup", "0", "--output-len", "8"]
    command = [sys.executable, "-m", "toolkit.cli.main", *words, "--out", str(tmp_path)]
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "120"}
    )
    limit = time.monotonic() + 20
    while not mock.truth() and time.monotonic() < limit:
        time.sleep(0.1)
    time.sleep(1)
    for number in signals:
        child.send_signal(number)
        time.sleep(0.15 if len(signals) > 1 else 0)
    out, _ = child.communicate(timeout=15)
    assert child.returncode == 130
    assert "interrupted" in out
    assert {file.name for file in tmp_path.iterdir()} >= FILES
