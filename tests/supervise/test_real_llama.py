"""A real llama-server with the embedded model under the real supervisor: serve, break, restart, take over, stop."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.supervise.harness import QUICK, World, chat, get, kill, ready_status, until, until_new_engine
from toolkit.cli.pipeline import launch_plan_for
from toolkit.load import scrape
from toolkit.load.spec import endpoint
from toolkit.supervise import api
from toolkit.types import Deployment

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    """The embedded model, served as `fake` (the name that the harness asks for)."""
    world = World(tmp_path, monkeypatch)
    plan = launch_plan_for("smollm2-135m", backend="llama-server", served_name="fake", context=1024, concurrency=2)
    yield api.start_detached(plan, name="s", port=0)
    assert world.close() == []


def test_it_answers_streams_and_is_the_engines_own_bytes(server: Deployment) -> None:
    assert ready_status(server) == 200
    status, body = chat(server, 8, text="What is the capital of France?")
    assert status == 200
    assert json.loads(body)["usage"]["completion_tokens"] == 8
    status, body = chat(server, 8, stream=True)
    assert (status, body.endswith(b"data: [DONE]\n\n")) == (200, True)
    assert get(server, "/slots")[0] == 404
    until(lambda: b'selfhost_tokens_total{kind="output",server="s"}' in get(server, "/metrics")[1], 12)


def test_a_bench_sees_through_the_proxy_into_the_engine(server: Deployment) -> None:
    """The proxy's page alone has our series; asked for, the engine's stand behind them."""
    assert b"llamacpp:" not in get(server, "/metrics")[1]
    page = get(server, "/metrics?engine=1")[1].decode()
    assert 'selfhost_in_flight{server="s"}' in page
    found = scrape.fetch(endpoint(server.base_url), None)
    assert found is not None
    assert (found.source, found.running, found.queued, found.restarts) == ("llama.cpp", 0, 0, 0)


def test_its_port_is_closed_to_others_by_a_key(server: Deployment) -> None:
    engine = psutil.Process(server.pid)
    port = next(c.laddr.port for c in engine.net_connections() if c.status == psutil.CONN_LISTEN)
    direct = server.model_copy(update={"base_url": f"http://127.0.0.1:{port}/v1"})
    assert chat(direct)[0] == 401
    assert "--api-key" not in " ".join(engine.cmdline())


def test_no_request_meets_a_connection_that_the_engine_closes(server: Deployment) -> None:
    """llama-server announces `Keep-Alive: timeout=5, max=100` and closes a connection after its hundredth request."""
    short = [chat(server, 1, text=f"{n}")[0] for n in range(230)]
    assert short == [200] * 230


def test_killed_it_is_back_within_seconds(server: Deployment) -> None:
    killed = time.monotonic()
    kill(server.pid)
    until(lambda: ready_status(server) == 503, 1.0)
    again = until_new_engine(server.pid, limit_s=30)
    assert time.monotonic() - killed < 20
    assert again.last_exit is not None
    assert (again.last_exit.signal, again.restarts) == (9, 1)
    assert chat(again)[0] == 200


def test_its_computing_thread_stands_still_while_health_says_ok(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 3 on the real thing: its main thread decodes, others answer HTTP. The main one alone is held by ptrace."""
    world = World(tmp_path, monkeypatch)
    plan = launch_plan_for("smollm2-135m", backend="llama-server", served_name="fake", context=1024, concurrency=2)
    limits = QUICK.model_copy(update={"load_stall_s": 60, "health_timeout_s": 2, "stall_min_s": 3, "stall_max_s": 6})
    limits = limits.model_copy(update={"probe_timeout_s": 5, "idle_probe_after_s": 60})
    server = api.start_detached(plan, name="s", port=0, limits=limits)
    with subprocess.Popen([sys.executable, "-c", HOLD, str(server.pid)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        if holder.stdout.readline() != b"held\n":
            world.close()
            pytest.skip("this user may not trace a process")
        begun = time.monotonic()
        answers: list[tuple[int, bytes]] = []
        client = threading.Thread(target=lambda: answers.append(chat(server, 8)))
        client.start()
        port = next(
            c.laddr.port for c in psutil.Process(server.pid).net_connections() if c.status == psutil.CONN_LISTEN
        )
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as health:
            assert health.status == 200
        until(world.crashes, 20)
        assert time.monotonic() - begun >= 3
        client.join(5)
        assert answers[0][0] == 502
        holder.kill()
    again = until_new_engine(server.pid, limit_s=60)
    assert [crash.split(":")[0] for crash in world.crashes()] == ["hung"]
    assert chat(again)[0] == 200
    assert world.close() == []


HOLD = """
import ctypes, os, sys, time
ptrace = ctypes.CDLL(None, use_errno=True).ptrace
ptrace.argtypes = [ctypes.c_long] * 4
SEIZE, INTERRUPT = 0x4206, 0x4207
for request in (SEIZE, INTERRUPT):
    if ptrace(request, int(sys.argv[1]), 0, 0):
        sys.exit(os.strerror(ctypes.get_errno()))
print("held", flush=True)
time.sleep(120)
"""


def test_what_it_has_started_goes_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 10: a child in a session of its own that ignores SIGTERM, left behind by a killed engine."""
    world = World(tmp_path, monkeypatch)
    plan = launch_plan_for("smollm2-135m", backend="llama-server", served_name="fake", context=1024, concurrency=2)
    beside = f"""setsid sh -c 'trap "" TERM; echo $$ > {tmp_path}/left; while :; do sleep 1; done' & exec "$@\""""
    server = api.start_detached(
        plan.model_copy(update={"argv": ("sh", "-c", beside, "sh", *plan.argv)}), name="s", port=0
    )
    left = psutil.Process(int((tmp_path / "left").read_text()))
    assert left.is_running()
    kill(server.pid)
    until(lambda: not left.is_running() or left.status() == psutil.STATUS_ZOMBIE, 5)
    again = until_new_engine(server.pid, limit_s=60)
    assert "orphans" in world.events()
    assert chat(again)[0] == 200
    assert world.close() == []


def test_a_new_supervisor_takes_it_over_without_a_load(server: Deployment) -> None:
    kill(server.supervisor_pid)
    again = api.restart("s")
    assert again.pid == server.pid
    assert chat(again)[0] == 200


def test_a_swap_under_load_fails_no_request(server: Deployment) -> None:
    from tests.supervise.test_swap import Load, swap

    with Load(server, clients=3, tokens=12) as load:
        again = swap()
        asked = len(load.answers)
        until(lambda: len(load.answers) > asked + 6, 30)
    assert load.failed() == []
    assert (again.pid != server.pid, again.restarts, chat(again)[0]) == (True, 1, 200)
    assert not psutil.pid_exists(server.pid or 0)


def test_stop_lets_a_stream_end(server: Deployment) -> None:
    bodies: list[bytes] = []
    client = threading.Thread(target=lambda: bodies.append(chat(server, 60, stream=True)[1]))
    client.start()
    until(lambda: api.status("s").in_flight == 1, 5)
    assert api.stop("s").state == "stopped"
    client.join(10)
    assert bodies[0].endswith(b"data: [DONE]\n\n")


def test_llama_cpp_python_serves_one_by_one_and_loses_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bare, it drops a running request for each new one; behind the proxy three at once all end whole."""
    world = World(tmp_path, monkeypatch)
    plan = launch_plan_for("smollm2-135m", backend="llama-cpp-python", served_name="fake", context=1024, concurrency=1)
    server = api.start_detached(plan, name="s", port=0)
    results: list[tuple[int, bytes]] = []
    clients = [threading.Thread(target=lambda: results.append(chat(server, 24, stream=True))) for _ in range(3)]
    for client in clients:
        client.start()
    until(lambda: api.status("s").queued >= 1, 10)
    assert api.status("s").in_flight == 1
    for client in clients:
        client.join(60)
    assert [(status, body.rstrip().endswith(b"data: [DONE]")) for status, body in results] == [(200, True)] * 3
    assert world.close() == []
