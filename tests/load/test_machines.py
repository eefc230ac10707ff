"""Load from other machines: workers that share neither files nor environment nor clock with the bench that leads."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.cli.run import error_of
from tests.load.mock import Mock, spec
from toolkit.errors import EnvironmentFailedError, InputError
from toolkit.load.child import LoadProcess
from toolkit.load.progress import Progress
from toolkit.load.rows import Row, read_rows
from toolkit.load.run import run
from toolkit.load.spec import Machines, meeting_point
from toolkit.types import BenchResult

ROOT = Path(__file__).parents[2]
KEY = "sk-of-this-machine-77"
SHIFT_S = 1000


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def command(port: int, file: Path = ROOT / "bench" / "locustfile.py", host: str = "127.0.0.1") -> list[str]:
    """Plain Locust, as it is started on a further machine."""
    words = ["-m", "locust", "-f", str(file), "--worker", "--master-host", host, "--master-port", str(port)]
    return [sys.executable, *words, "--loglevel", "WARNING"]


class Workers:
    """Started workers, ended with the test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.all: list[subprocess.Popen[str]] = []

    def start(self, words: Sequence[str], **environment: str) -> subprocess.Popen[str]:
        """One more, with nothing of the bench in its environment."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith("SELFHOST_")}
        child = subprocess.Popen(
            words,
            cwd=self._folder,
            env={**clean, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.all.append(child)
        return child

    def said(self, child: subprocess.Popen[str]) -> tuple[int, str]:
        """Exit status and output, once it has ended by itself."""
        text, _ = child.communicate(timeout=30)
        return child.returncode, text


@contextmanager
def lent(folder: Path) -> Iterator[Workers]:
    workers = Workers(folder)
    try:
        yield workers
    finally:
        for child in workers.all:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            if child.stdout is not None:
                child.stdout.close()


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    (tmp_path / "elsewhere").mkdir()
    with lent(tmp_path / "elsewhere") as found:
        yield found


def agrees(rows: list[Row], truth: dict[str, dict]) -> None:
    """Every row is the server's own answer, with its first token when the server wrote it.

    The limit is generous, for a busy machine: a clock mapped wrongly would be off by a thousand seconds, and
    a request's own times do not depend on the mapping at all.
    """
    assert {row.reply_id for row in rows} == set(truth)
    assert len(rows) == len(truth)
    errors = []
    for row in rows:
        real = truth[row.reply_id or ""]
        errors.append((row.token_s[0] - row.sent_s) - (real["tokens_ns"][0] - real["received_ns"]) / 1e9)
    assert sorted(map(abs, errors))[len(errors) // 2] < 0.002


def with_workers(mock: Mock, port: int, n: int, **changes: object) -> object:
    return spec(mock.url, machines=Machines(workers=n, host="127.0.0.1", port=port), **changes)


@pytest.mark.slow
def test_two_workers_give_one_exact_list(mock: Mock, tmp_path: Path, workers: Workers) -> None:
    """As many rows as the server counted, each with its own id, one schedule dealt out, and a clock for each."""
    mock.set(ttft_s=0.05, itl_s=0.01)
    port = free_port()
    children = [workers.start(command(port)) for _ in range(2)]
    result = run(with_workers(mock, port, 2, concurrency=(6,), rate=(20,)), tmp_path / "out")
    rows = list(read_rows(tmp_path / "out" / "requests.jsonl"))
    closed, opened = result.levels
    assert (closed.failed, opened.failed, opened.completed) == (0, 0, 20)
    assert closed.completed + opened.completed == len(rows) == len({row.id for row in rows})
    assert {row.worker for row in rows} == {0, 1}
    agrees(rows, mock.truth())
    due = sorted(row.scheduled_s for row in rows if row.level == 1)
    assert due[-1] - due[0] == pytest.approx(19 * 0.05, abs=0.01)
    client = result.environment.client
    assert client["processes"] == 2
    for worker in client["workers"]:
        assert abs(worker["clock_offset_s"]) <= worker["clock_bound_s"] + 1e-5  # one machine has one clock
    assert [workers.said(child)[0] for child in children] == [0, 0]
    assert not list(Path(tempfile.gettempdir()).glob(f"selfhost-worker-*/rows-*-{children[0].pid}.jsonl"))


@pytest.mark.slow
@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("ip") is None,
    reason="other network and time namespaces take root, unshare and ip",
)
def test_machines_with_networks_and_clocks_of_their_own(mock: Mock, tmp_path: Path, workers: Workers) -> None:
    """Two network namespaces behind a bridge; the clock of one is a thousand seconds ahead of ours."""
    with networks(2) as names:
        relay = subprocess.Popen(  # the mock listens on loopback alone: give it an address in the bridge's net
            [sys.executable, "-c", RELAY, str(mock.port)], stdout=subprocess.PIPE, text=True
        )
        assert relay.stdout is not None
        there = int(relay.stdout.readline())
        try:
            port = free_port()
            here = command(port, host=BRIDGE)
            inside = [["ip", "netns", "exec", name] for name in names]
            workers.start([*inside[0], *here])
            workers.start([*inside[1], "unshare", "--time", "--monotonic", str(SHIFT_S), *here])
            mock.set(ttft_s=0.05, itl_s=0.01)
            asked = spec(
                f"http://{BRIDGE}:{there}", concurrency=(6,), machines=Machines(workers=2, host=BRIDGE, port=port)
            )
            result = run(asked, tmp_path / "out")
        finally:
            relay.kill()
            relay.wait()
            relay.stdout.close()
    rows = list(read_rows(tmp_path / "out" / "requests.jsonl"))
    assert {row.worker for row in rows} == {0, 1}
    agrees(rows, mock.truth())
    (level,) = result.levels
    assert level.duration_s < 3  # not a thousand seconds
    offsets = sorted(worker["clock_offset_s"] for worker in result.environment.client["workers"])
    bound = max(worker["clock_bound_s"] for worker in result.environment.client["workers"])
    assert offsets == pytest.approx([-SHIFT_S, 0], abs=bound + 1e-5)


@pytest.mark.slow
def test_a_worker_of_another_version_is_refused_and_its_place_stays_free(
    mock: Mock, tmp_path: Path, workers: Workers
) -> None:
    old = tmp_path / "old" / "bench"
    shutil.copytree(ROOT / "bench", old, ignore=shutil.ignore_patterns("__pycache__", "compare"))
    (old / "answer.py").write_text((old / "answer.py").read_text() + "\n# another release\n")
    port = free_port()
    bad = workers.start(command(port, old / "locustfile.py"))
    seen: list[str] = []

    def on_progress(progress: Progress) -> None:
        if "refused" in progress.label and not seen:
            workers.start(command(port))
            seen.append(progress.label)

    result = run(with_workers(mock, port, 1, max_requests=4), tmp_path / "out", on_progress)
    assert "its load code is of another version" in seen[0]
    assert result.levels[0].completed == 4
    status, said = workers.said(bad)
    assert status == 3
    assert "another version" in said


@pytest.mark.slow
def test_the_key_is_the_workers_own(
    mock: Mock, tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One without is refused; the leader's variable has another name, and the key is in no file of the bench."""
    mock.set(ttft_s=0.02, itl_s=0.005, api_key=KEY)
    monkeypatch.setenv("LEADERS_KEY", KEY)
    port = free_port()
    without = workers.start(command(port), LEADERS_KEY=KEY)  # the leader cannot name a variable of ours
    seen: list[str] = []

    def on_progress(progress: Progress) -> None:
        if "refused" in progress.label and not seen:
            seen.append(progress.label)
            workers.start(command(port), OWN_KEY=KEY, SELFHOST_BENCH_KEY_ENV="OWN_KEY")

    asked = with_workers(mock, port, 1, max_requests=4, api_key_env="LEADERS_KEY")
    result = run(asked, tmp_path / "out", on_progress)
    assert "needs an API key" in seen[0]
    assert (result.levels[0].completed, result.levels[0].failed) == (4, 0)
    assert workers.said(without)[0] == 3
    assert not any(KEY in file.read_text() for file in (tmp_path / "out").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("all_of_them", [False, True])
def test_a_lost_worker_makes_the_level_invalid(mock: Mock, tmp_path: Path, workers: Workers, all_of_them: bool) -> None:
    mock.set(ttft_s=0.05, itl_s=0.01)
    port = free_port()
    children = [workers.start(command(port)) for _ in range(2)]

    def on_progress(progress: Progress) -> None:
        if progress.completed >= 4:
            for child in children if all_of_them else children[:1]:
                child.kill()

    began = time.monotonic()
    result = run(with_workers(mock, port, 2, concurrency=(4, 8), duration_s=40), tmp_path / "out", on_progress)
    assert time.monotonic() - began < 35
    (level,) = result.levels
    assert not level.valid
    assert "a load worker was lost" in (level.why_invalid or "")
    if not all_of_them:
        assert level.completed >= 4
        assert (result.stopped_early or "").startswith("a load worker was lost")


@pytest.mark.slow
def test_a_lost_process_of_this_machine_makes_the_level_invalid_too(mock: Mock, tmp_path: Path) -> None:
    mock.set(ttft_s=0.05, itl_s=0.01)
    killed: list[int] = []

    def on_progress(progress: Progress) -> None:
        if progress.completed >= 4 and not killed:
            leader = next(p for p in psutil.Process().children() if "locust" in " ".join(p.cmdline()))
            killed.append(leader.children()[0].pid)
            os.kill(killed[0], signal.SIGKILL)

    result = run(spec(mock.url, concurrency=(4,), duration_s=40, processes=2), tmp_path, on_progress)
    assert killed
    assert "a load worker was lost" in (result.levels[0].why_invalid or "")


@pytest.mark.slow
def test_this_command_lends_a_machine_and_ctrl_c_takes_it_back(mock: Mock, tmp_path: Path, workers: Workers) -> None:
    mock.set(ttft_s=0.05, itl_s=0.01)
    port = free_port()
    lend = [sys.executable, "-m", "toolkit.cli.main", "bench", "--worker-of", f"127.0.0.1:{port}", "--processes", "2"]
    child = workers.start(lend, PYTHONPATH=str(ROOT))

    def on_progress(progress: Progress) -> None:
        if progress.completed >= 4 and child.poll() is None:
            child.send_signal(signal.SIGINT)

    result = run(with_workers(mock, port, 2, concurrency=(4,), duration_s=40), tmp_path / "out", on_progress)
    assert "a load worker was lost" in (result.levels[0].why_invalid or "")
    status, said = workers.said(child)
    assert status == 130, said
    assert "joined 127.0.0.1" in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_a_worker_ends_when_nobody_leads_any_more(mock: Mock, tmp_path: Path, workers: Workers) -> None:
    """The leader is killed outright: no farewell, no heartbeat."""
    mock.set(ttft_s=0.05, itl_s=0.01)
    port = free_port()
    child = workers.start(command(port))
    thread = threading.Thread(
        target=lambda: run(with_workers(mock, port, 1, duration_s=60), tmp_path / "out", on_progress), daemon=True
    )

    def on_progress(progress: Progress) -> None:
        if progress.completed >= 2:
            for process in psutil.Process().children():
                if "--master" in process.cmdline() and str(port) in process.cmdline():
                    process.kill()

    thread.start()
    status, said = workers.said(child)
    thread.join(30)
    assert status == 3
    assert "nothing heard of" in said


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10.0.0.5:7000", ("10.0.0.5", 7000)),
        ("load-1.example", ("load-1.example", 5557)),
        ("[fd00::1]:9", ("[fd00::1]", 9)),
    ],
)
def test_where_workers_meet(text: str, value: tuple[str, int]) -> None:
    assert meeting_point(text) == value


@pytest.mark.parametrize("text", ["", ":5", "a:0", "a:99999", "a b:1", "http://a:1", "fd00::1:5"])
def test_what_is_no_meeting_point(text: str) -> None:
    with pytest.raises(InputError):
        meeting_point(text)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("http://127.0.0.1:1", "--listen", "127.0.0.1:1"), "nobody is expected"),
        (("http://127.0.0.1:1", "--workers", "0"), "not between 1 and 1000"),
        (("http://127.0.0.1:1", "--workers", "2", "--processes", "2"), "a worker may run here too"),
        (("http://127.0.0.1:1", "--workers", "2", "--listen", "0.0.0.0:5557"), "another server for each machine"),
        (("http://127.0.0.1:1", "--worker-of", "127.0.0.1"), "is told its target"),
        (("--worker-of", "127.0.0.1:x"), "is not HOST:PORT"),
    ],
)
def test_bad_words_about_machines(words: tuple[str, ...], says: str) -> None:
    said = " ".join(error_of("bench", *words).split())
    assert says in said
    assert len(said) < 300  # one sentence and a hint, not everything that was asked


def test_a_meeting_point_that_is_taken_or_not_ours(mock: Mock, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = ("--workers", "1", "--listen", f"127.0.0.1:{taken.getsockname()[1]}", "--out", str(tmp_path))
        assert "Address already in use" in " ".join(error_of("bench", mock.url, *words, status=3).split())
    elsewhere = Machines(workers=1, host="192.0.2.1", port=5557)  # of no machine (RFC 5737)
    with (
        pytest.raises(EnvironmentFailedError, match=r"cannot listen at 192\.0\.2\.1:5557"),
        LoadProcess(tmp_path, {}, 1, elsewhere),
    ):
        pass


def test_a_leader_that_no_resolver_knows() -> None:
    assert "cannot find leader.invalid" in error_of("bench", "--worker-of", "leader.invalid", status=3)


def test_a_result_without_machines_says_nothing_of_them(mock: Mock, tmp_path: Path) -> None:
    mock.set(ttft_s=0.0, itl_s=0.0)
    result: BenchResult = run(spec(mock.url, max_requests=1), tmp_path)
    assert "workers" not in result.environment.client


# --- networks ---

BRIDGE = "10.213.77.1"
RELAY = f"""
import sys, time
from tests.load.relay import Relay
relay = Relay(int(sys.argv[1]), "{BRIDGE}")
print(relay.port, flush=True)
time.sleep(120)
"""


@contextmanager
def networks(n: int) -> Iterator[list[str]]:
    """So many network namespaces on a bridge of ours, whose own address is ``BRIDGE``."""
    bridge = f"shb{os.getpid() % 100_000}"
    names = [f"{bridge}n{i}" for i in range(n)]
    try:
        ip("link", "add", bridge, "type", "bridge")
        ip("addr", "add", f"{BRIDGE}/24", "dev", bridge)
        ip("link", "set", bridge, "up")
        for i, name in enumerate(names):
            ip("netns", "add", name)
            ip("link", "add", f"{bridge}v{i}", "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("link", "set", f"{bridge}v{i}", "master", bridge, "up")
            ip("-n", name, "addr", "add", f"10.213.77.{10 + i}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield names
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no bridge can be made here: {error.stderr.strip()[:200]}")
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", bridge], check=False, capture_output=True)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
