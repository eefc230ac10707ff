"""`restart --zero-downtime`: a second engine comes up, takes over, and the first one ends what it has begun."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.supervise.harness import QUICK, World, chat, kill, ready_status, until, until_new_engine, wait_gone
from toolkit.errors import DeclinedError, StartFailedError
from toolkit.supervise import api, control
from toolkit.supervise.store import Folder
from toolkit.types import Deployment

pytestmark = pytest.mark.slow

SLOW_LOAD_S = 2.0
"""A load long enough to break something in its midst."""


def swap(name: str = "s", **kw: bool) -> Deployment:
    return api.restart(name, zero_downtime=True, **kw)


class Load:
    """Clients that ask until told to stop; what they got."""

    def __init__(self, server: Deployment, clients: int = 6, tokens: int = 20) -> None:
        self.answers: list[tuple[int, bytes, bool]] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(server, n, tokens)) for n in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        until(lambda: len(self.answers) >= len(self._threads), 20)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _ask(self, server: Deployment, number: int, tokens: int) -> None:
        turn = 0
        while not self._stop.is_set():
            turn += 1
            stream = number % 2 == 0
            status, body = chat(server, tokens, stream=stream, text=f"{number} {turn}")
            self.answers.append((status, body, stream))

    def failed(self) -> list[tuple[int, bytes]]:
        """Answers that were not whole."""
        return [(s, b[-200:]) for s, b, stream in self.answers if s != 200 or (stream and not _whole(b))]


def _whole(body: bytes) -> bool:
    return body.rstrip().endswith(b"data: [DONE]") and b"error" not in body


def in_background(world: World, **kw: bool) -> tuple[threading.Thread, list[Exception]]:
    """A swap that has begun: the second engine loads."""
    failures: list[Exception] = []

    def work() -> None:
        try:
            swap(**kw)
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    until(lambda: world.starts() == 2, 10)
    return thread, failures


def test_no_request_fails_while_engines_change_under_load(world: World) -> None:
    first = world.start()
    with Load(first) as load:
        second = swap()
        third = swap()
        asked = len(load.answers)
        until(lambda: len(load.answers) > asked + 12, 20)
    assert load.failed() == []
    assert len({first.pid, second.pid, third.pid}) == 3
    assert (third.restarts, third.supervisor_pid) == (2, first.supervisor_pid)
    assert world.engines() == [third.pid]
    assert world.crashes() == []
    expected = ["ready", *["swap", "swapped", "retired"] * 2]
    assert world.events()[-len(expected) :] == expected


def test_requests_in_flight_end_on_the_engine_that_began_them(world: World) -> None:
    world.faults(token_s=0.05)
    server = world.start()
    bodies: list[bytes] = []
    client = threading.Thread(target=lambda: bodies.append(chat(server, 60, stream=True)[1]))
    client.start()
    until(lambda: api.status("s").in_flight == 1, 5)
    again = swap()
    client.join(10)
    assert (bodies[0].count(b'"content"'), _whole(bodies[0])) == (60, True)
    ends = [(line["pid"], line["finished"]) for line in world.journal("request")]
    assert ends[-1] == (server.pid, True)
    assert chat(again)[0] == 200
    assert world.journal("request")[-1]["pid"] == again.pid


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ({"exit_at_start": [3, "boom"]}, "exit:3"),
        ({"answer": "repeat"}, "nonsense"),
        ({"load_s": 60}, "no progress of the load for 3 s"),
        ({"generate": "never"}, "no answer to a first question in 3 s"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_second_engine_that_fails_leaves_the_first_serving(world: World, fault: dict[str, object], why: str) -> None:
    server = world.start(limits=QUICK.model_copy(update={"idle_probe_after_s": 60}))
    world.faults(**fault)
    with pytest.raises(StartFailedError, match=why) as caught:
        swap()
    assert "the engine in place serves on" in caught.value.message
    world.faults()
    now = api.status("s")
    assert (now.state, now.pid, now.restarts) == ("ready", server.pid, 0)
    assert chat(server)[0] == 200
    assert world.engines() == [server.pid]
    assert world.crashes() == []
    assert swap().pid != server.pid


def test_memory_for_one_is_said_with_the_sums(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """80 GiB on the device, 50 held: a second engine would need 50 × 1.1 = 55, and 30 are free."""
    file = world.root / "nvml.json"
    file.write_text("[]")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "fakes" / "nvml"))
    monkeypatch.setenv("FAKE_NVML", str(file))
    server = world.start(limits=QUICK.model_copy(update={"vram_back_s": 5}))
    file.write_text(json.dumps([[server.pid, 50 * 2**30]]))
    with pytest.raises(DeclinedError, match=r"GPU 0: it needs 55\.00 GiB, 30\.00 GiB are free"):
        swap()
    assert (api.status("s").pid, world.starts()) == (server.pid, 1)
    releasing = threading.Timer(1.0, lambda: file.write_text("[]"))
    releasing.start()
    assert swap(fall_back=True).pid != server.pid
    assert world.events()[-7:-4] == ["draining", "stopping", "preflight"]


def test_a_stop_in_the_midst_leaves_nothing(world: World) -> None:
    world.start()
    world.faults(load_s=SLOW_LOAD_S, load_log=True)
    swapping, failures = in_background(world)
    assert api.stop("s").state == "stopped"
    assert world.engines() == []
    swapping.join(10)
    assert len(failures) == 1
    assert wait_gone(world, 1) == []


def test_a_crash_of_the_engine_in_the_midst_is_an_ordinary_crash(world: World) -> None:
    server = world.start()
    world.faults(load_s=SLOW_LOAD_S, load_log=True)
    swapping, failures = in_background(world)
    world.faults()
    kill(server.pid)
    until_new_engine(server.pid)
    swapping.join(10)
    assert world.crashes() == ["signal:9"]
    until(lambda: world.engines() == [api.status("s").pid], 10)  # the swap may have begun anew on the new engine
    assert len(failures) <= 1


@pytest.mark.parametrize("moment", ["loading", "leaving"])
def test_a_crash_of_the_supervisor_in_the_midst_leaves_one_engine(world: World, moment: str) -> None:
    """While the second one loads the first is kept; once the second serves, it is."""
    world.faults(token_s=0.1)
    server = world.start()
    client = threading.Thread(target=lambda: chat(server, 600, stream=True))
    client.start()
    until(lambda: api.status("s").in_flight == 1, 5)
    if moment == "loading":
        world.faults(load_s=30, load_log=True, token_s=0.1)
    folder = Folder("s").path
    assert "refused" not in (control.ask(folder, "control.sock", {"op": "swap"}, 5) or {"refused": ""})
    until(lambda: ("swapped" if moment == "leaving" else "swap") in world.events() and world.starts() == 2, 10)
    kill(server.supervisor_pid)
    client.join(10)
    world.faults()
    again = api.restart("s")
    assert (again.pid == server.pid) == (moment == "loading")
    assert world.engines() == [again.pid]
    assert (chat(again)[0], world.starts()) == (200, 2)


def test_a_stop_without_a_supervisor_ends_both_engines(world: World) -> None:
    server = world.start()
    world.faults(load_s=30, load_log=True)
    control.ask(Folder("s").path, "control.sock", {"op": "swap"}, 5)
    until(lambda: world.starts() == 2, 10)
    kill(server.supervisor_pid)
    assert api.stop("s").state == "stopped"
    assert world.engines() == []


def test_the_new_engine_may_die_while_the_old_one_ends_its_requests(world: World) -> None:
    world.faults(token_s=0.1)
    server = world.start()
    bodies: list[bytes] = []
    client = threading.Thread(target=lambda: bodies.append(chat(server, 40, stream=True)[1]))
    client.start()
    until(lambda: api.status("s").in_flight == 1, 5)
    control.ask(Folder("s").path, "control.sock", {"op": "swap"}, 5)
    until(lambda: "swapped" in world.events(), 10)
    kill(api.status("s").pid)
    client.join(15)
    assert _whole(bodies[0])
    until(lambda: api.status("s").state == "ready" and "retired" in world.events(), 10)
    assert world.engines() == [api.status("s").pid]


def test_ctrl_c_takes_the_swap_back(world: World) -> None:
    server = world.start()
    world.faults(load_s=30, load_log=True)
    words = [sys.executable, "-m", "toolkit.cli.main", "restart", "s", "--zero-downtime"]
    process = subprocess.Popen(words, env=os.environ | {"FAKE_ROOT": str(world.root)}, stderr=subprocess.PIPE)
    until(lambda: world.starts() == 2, 10)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert (process.returncode, b"Traceback" in err) == (130, False)
    until(lambda: world.engines() == [server.pid], 10)
    assert (ready_status(server), api.status("s").state) == (200, "ready")


def test_in_the_foreground_and_ended_by_ctrl_c_in_the_midst(world: World) -> None:
    argv = world.plan().argv
    words = ["serve", "--backend", "command", "--cmd", " ".join(argv), "--served-name", "fake", "--port", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "toolkit.cli.main", *words, "--name", "s"],
        env=os.environ | {"FAKE_ROOT": str(world.root)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    until((world.home / "servers" / "s" / "status.json").exists, 10)
    until(lambda: api.status("s").state == "ready", 10)
    first = api.status("s")
    second = swap()
    assert (second.pid != first.pid, second.supervisor_pid) == (True, process.pid)
    world.faults(load_s=30, load_log=True)
    control.ask(Folder("s").path, "control.sock", {"op": "swap"}, 5)
    until(lambda: world.starts() == 3, 10)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=15)
    assert (process.returncode, time.monotonic() - began < 8) == (0, True)
    assert "swapped" in err
    assert wait_gone(world, 1) == []


def test_a_server_that_was_stopped_is_started_as_it_was(world: World) -> None:
    world.start()
    api.stop("s")
    assert swap().state == "ready"
