"""What a service manager hears: a real datagram socket on one side, a real supervisor process on the other."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.supervise.harness import QUICK, World, kill, until, until_new_engine
from toolkit.supervise import api, keys, notify
from toolkit.supervise.store import FORMAT, Folder, Spec
from toolkit.types import Deployment

START = Deployment(
    name="s", state="loading", pid=1, supervisor_pid=2, backend="command", base_url="http://127.0.0.1:1/v1", restarts=0
)


class Manager:
    """A service manager's end of NOTIFY_SOCKET. It reads all the time, as the kernel queues only a few messages."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(0.05)
        self.heard: list[dict[str, str]] = []
        self._over = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                lines = self.socket.recv(65536).decode().splitlines()
                self.heard.append(dict(line.split("=", 1) for line in lines))

    def listen(self) -> list[dict[str, str]]:
        """All messages so far; what has just been said is among them."""
        time.sleep(0.02)
        return list(self.heard)

    def close(self) -> None:
        self._over.set()
        self._reader.join(5)
        self.socket.close()

    def saying(self, key: str) -> list[dict[str, str]]:
        return [message for message in self.listen() if key in message]


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    abstract = request.param == "abstract"
    listening = Manager(f"@selfhost-test-{os.getpid()}" if abstract else str(tmp_path / "notify.sock"))
    yield listening
    listening.close()


def test_a_message_arrives_as_it_was_said(manager: Manager) -> None:
    assert notify.send(manager.address, "READY=1", "STATUS=all is well")
    assert manager.listen() == [{"READY": "1", "STATUS": "all is well"}]


def test_a_change_that_finds_no_room_is_said_again(tmp_path: Path) -> None:
    """The kernel queues a few datagrams (net.unix.max_dgram_qlen); a busy manager loses none of it."""
    address = str(tmp_path / "busy.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as busy:
        busy.bind(address)
        busy.settimeout(1)
        queued = 0
        while notify.send(address, "STATUS=fill") and queued < 100_000:
            queued += 1
        told = notify.Notifier({"NOTIFY_SOCKET": address}, pid=77)
        told.state(START.model_copy(update={"state": "ready"}))
        heard = [busy.recv(4096) for _ in range(queued)]
        assert set(heard) == {b"STATUS=fill"}
        told.state(START.model_copy(update={"state": "ready"}))
        assert busy.recv(4096).startswith(b"READY=1\nMAINPID=77\nSTATUS=ready")
        told.state(START.model_copy(update={"state": "ready"}))
        assert b"READY" not in busy.recv(4096)


def test_nobody_listening_is_no_error(tmp_path: Path) -> None:
    assert not notify.send(str(tmp_path / "none"), "READY=1")
    assert not notify.send("@selfhost-nobody", "READY=1")


def test_ready_is_said_once_and_again_after_a_reload(manager: Manager) -> None:
    told = notify.Notifier({"NOTIFY_SOCKET": manager.address}, pid=77)
    ready = START.model_copy(update={"state": "ready"})
    told.state(START)
    told.state(ready)
    told.state(ready)
    told.reloading()
    told.state(START)
    told.state(ready)
    heard = manager.listen()
    assert [m.get("READY") for m in heard] == [None, "1", None, None, None, "1"]
    assert heard[1]["MAINPID"] == "77"
    assert heard[3]["RELOADING"] == "1"
    assert abs(int(heard[3]["MONOTONIC_USEC"]) / 1e6 - time.monotonic()) < 5


def test_a_first_start_that_fails_is_never_ready_but_a_failed_reload_is_over(manager: Manager) -> None:
    fatal = START.model_copy(update={"state": "fatal", "reason": "no GPU"})
    first = notify.Notifier({"NOTIFY_SOCKET": manager.address}, pid=77)
    first.reloading()
    first.state(fatal)
    assert manager.saying("READY") == []
    assert manager.listen()[-1]["STATUS"] == "fatal (no GPU)"
    again = notify.Notifier({"NOTIFY_SOCKET": manager.address}, pid=77)
    again.state(START.model_copy(update={"state": "ready"}))
    again.reloading()
    again.state(fatal)
    assert len(manager.saying("READY")) == 2


def test_three_beats_in_a_watchdogs_time_and_none_for_another_process() -> None:
    assert notify.Notifier({"WATCHDOG_USEC": "6000000"}, pid=77).beat_s == 2
    assert notify.Notifier({"WATCHDOG_USEC": "6000000", "WATCHDOG_PID": "77"}, pid=77).beat_s == 2
    assert notify.Notifier({"WATCHDOG_USEC": "6000000", "WATCHDOG_PID": "76"}, pid=77).beat_s == notify.BEAT_S
    assert notify.Notifier({"WATCHDOG_USEC": "6²"}, pid=77).beat_s == notify.BEAT_S  # no number: no watchdog
    assert notify.Notifier({}, pid=77).beat_s == notify.BEAT_S


def test_a_credential_may_show_its_access_list_as_group_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd hands a file to `User=` by an access list on a file of mode 0400, which stat shows as 0440."""
    path = tmp_path / "api-key"
    path.write_text("k\n")
    path.chmod(0o440)
    with pytest.raises(Exception, match="can be read by others"):
        keys.read_keys(path)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert keys.read_keys(path).accept("Bearer k")
    path.chmod(0o444)
    with pytest.raises(Exception, match="can be read by others"):
        keys.read_keys(path)


@pytest.fixture
def service(world: World, manager: Manager) -> Iterator[subprocess.Popen[bytes]]:
    """A supervisor as a service manager starts it, with a watchdog of 0.6 s."""
    spec = Spec(format=FORMAT, name="s", plan=world.plan(), host="127.0.0.1", port=free(), limits=QUICK, cwd="/")
    Folder("s").create()
    Folder("s").write_spec(spec)
    words = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "600000"}
    process = subprocess.Popen([sys.executable, "-m", "toolkit.supervise", "s"], env=os.environ | words)
    yield process
    process.kill()
    process.wait(5)


def free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.slow
def test_a_supervisors_life_as_its_manager_hears_it(
    world: World, manager: Manager, service: subprocess.Popen[bytes]
) -> None:
    until(lambda: manager.saying("READY"), 15)
    (ready,) = manager.saying("READY")
    assert ready["MAINPID"] == str(service.pid)
    assert ready["STATUS"].startswith("ready")
    before = manager.heard[: manager.heard.index(ready)]
    assert any("EXTEND_TIMEOUT_USEC" in message for message in before)
    until(lambda: len(manager.saying("WATCHDOG")) >= 5, 30)

    first = api.status("s").pid
    kill(first)
    crashed = until_new_engine(first)
    assert [m["STATUS"] for m in manager.saying("STATUS") if m["STATUS"].startswith("backoff (signal:9")]
    assert (len(manager.saying("READY")), manager.saying("RELOADING")) == (1, []), "a crash is no reload"

    api.restart("s")
    until_new_engine(crashed.pid)
    until(lambda: len(manager.saying("READY")) == 2, 30)
    assert len(manager.saying("RELOADING")) == 1

    service.send_signal(signal.SIGTERM)
    assert service.wait(15) == 0
    assert len(manager.saying("STOPPING")) == 1
    assert manager.listen()[-1]["STATUS"].startswith("stopped")


@pytest.mark.slow
def test_a_stopped_supervisor_gives_no_pulse(world: World, manager: Manager, service: subprocess.Popen[bytes]) -> None:
    until(lambda: len(manager.saying("WATCHDOG")) >= 3, 15)
    service.send_signal(signal.SIGSTOP)
    count = len(manager.listen())
    time.sleep(1.2)
    assert len(manager.listen()) == count, "two watchdog times without a word"
    service.send_signal(signal.SIGCONT)
    until(lambda: any("WATCHDOG" in message for message in manager.listen()[count:]), 5)


@pytest.mark.slow
def test_the_engine_never_sees_the_managers_socket(
    world: World, manager: Manager, service: subprocess.Popen[bytes]
) -> None:
    import psutil

    until(lambda: manager.saying("READY"), 15)
    seen = psutil.Process(api.status("s").pid).environ()
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "CREDENTIALS_DIRECTORY"} & set(seen)
