"""One served name from start to stop, on a real supervisor, shim and (fake) engine."""

from __future__ import annotations

import json
import socket
import threading
import urllib.request
from pathlib import Path

import psutil
import pytest

from tests.supervise.harness import (
    QUICK,
    World,
    chat,
    chat_request,
    get,
    kill,
    ready_status,
    until,
    until_new_engine,
    until_state,
)
from toolkit.errors import EnvironmentFailedError, InputError, StartFailedError, UnknownNameError
from toolkit.supervise import api
from toolkit.types import Deployment

pytestmark = pytest.mark.slow


def test_start_serve_stop_leaves_nothing(world: World) -> None:
    server = world.start()
    assert (server.state, ready_status(server)) == ("ready", 200)
    assert server.base_url.endswith("/v1")
    status, body = chat(server, 3)
    assert status == 200
    assert json.loads(body)["choices"][0]["message"]["content"] == "w0 w1 w2 "
    stopped = api.stop("s")
    assert (stopped.state, stopped.pid, stopped.supervisor_pid) == ("stopped", None, None)
    assert stopped.last_exit is not None
    assert stopped.last_exit.code == 0
    assert world.processes() == []
    assert not list((world.home / "servers" / "s").rglob("*.sock"))
    assert api.stop("s").state == "stopped"
    assert [e for e in world.events() if e == "crash"] == []


def test_states_are_passed_in_order(world: World) -> None:
    world.start()
    api.stop("s")
    expected = ["preflight", "starting", "loading", "warming", "ready", "draining", "stopping", "stopped"]
    assert world.events() == expected


def test_stream_is_byte_for_byte_what_the_engine_sends(world: World) -> None:
    server = world.start()
    status, through = chat(server, 20, stream=True)
    port = world.journal("start")[-1]["port"]
    direct = chat_request(server, 20, stream=True)
    direct.full_url = f"http://127.0.0.1:{port}/v1/chat/completions"
    with urllib.request.urlopen(direct, timeout=10) as response:
        assert (status, through) == (200, response.read())
    assert through.endswith(b"data: [DONE]\n\n")


def test_unlisted_paths_never_reach_the_engine(world: World) -> None:
    server = world.start()
    assert get(server, "/health")[0] == 404
    assert get(server, "/v1/internal")[0] == 404
    assert get(server, "/v1/chat/completions")[0] == 405
    assert get(server, "/livez")[0] == 200
    assert b'selfhost_state{server="s",state="ready"} 1.0' in get(server, "/metrics")[1]
    assert b"<!doctype html>" in get(server, "/")[1]
    assert json.loads(get(server, "/v1/models")[1])["data"][0]["id"] == "fake"


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/v1/models/../../pause",
            "/v1/models/..%2f..%2fpause",
            "/v1/models/%2e%2e/%2e%2e/pause",
            "/v1/models//pause",
        ),
        *(
            "/v1/models/..",
            "/v1/models/x/..\\..\\pause",
            "/v1/chat/completions/../../../pause",
            "//pause",
            "http://x/pause",
        ),
    ],
)
def test_no_spelling_of_a_path_leads_round_the_list(world: World, path: str) -> None:
    """Sent as it stands: a client library would resolve the dots itself."""
    server = world.start()
    assert raw_get(server, path) == 404
    assert [line["path"] for line in world.journal("get") if "models" in line["path"] or "pause" in line["path"]] == [
        "/v1/models"
    ], "asked once, before it was ready"
    assert raw_get(server, "/v1/models/meta-llama/Llama-3.1-8B") == 404
    assert world.journal("get")[-1]["path"] == "/v1/models/meta-llama/Llama-3.1-8B", "a model's name may hold a slash"


def raw_get(server: Deployment, path: str) -> int:
    """HTTP status of a GET whose request line holds this path as it is."""
    port = int(server.base_url.removesuffix("/v1").rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        return int(connection.makefile("rb").readline().split()[1])


def test_a_client_that_leaves_cancels_its_request(world: World) -> None:
    world.faults(token_s=0.1)
    server = world.start()
    asked = len(world.journal("request"))
    stream = urllib.request.urlopen(chat_request(server, 1000, stream=True), timeout=5)
    stream.readline()
    stream.close()
    request = until(lambda: world.journal("request")[asked:], 3)[0]
    assert request["finished"] is False
    assert api.status("s").in_flight == 0


def test_one_at_a_time_queues_the_rest_in_order(world: World) -> None:
    server = world.start(plan=world.plan(max_in_flight=1), limits=QUICK.model_copy(update={"queue_limit": 2}))
    world.faults(token_s=0.1)
    results: list[int] = []
    threads = [threading.Thread(target=lambda: results.append(chat(server, 5)[0])) for _ in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: api.status("s").queued == 2, 3)
    assert api.status("s").in_flight == 1
    status, body = chat(server, 1)
    assert status == 429
    assert json.loads(body)["error"]["code"] == 429
    for thread in threads:
        thread.join(10)
    assert results == [200, 200, 200]


def test_a_taken_name_and_a_taken_port_are_refused_with_their_holder(world: World) -> None:
    server = world.start()
    with pytest.raises(InputError, match=f"already served by supervisor pid {server.supervisor_pid}"):
        world.start()
    port = int(server.base_url.rsplit(":", 1)[1].removesuffix("/v1"))
    with pytest.raises(InputError, match=rf"port {port} is in use by pid {server.supervisor_pid} "):
        world.start("t", port=port)
    with pytest.raises(UnknownNameError):
        api.status("t")


def test_a_start_that_fails_says_why_and_leaves_nothing(world: World) -> None:
    world.faults(exit_at_start=[2, "error: invalid argument: --nonsense"])
    with pytest.raises(StartFailedError, match="the engine does not accept its arguments"):
        world.start()
    assert world.starts() == 1
    assert world.processes() == []
    assert api.status("s").state == "fatal"


def test_three_starts_that_never_become_ready_are_enough(world: World) -> None:
    world.faults(exit_at_start=[3, "boom"])
    with pytest.raises(StartFailedError, match="3 starts in a row never became ready, the last one: exit:3"):
        world.start()
    assert world.starts() == 3


def test_a_program_that_is_not_there_is_no_traceback(world: World) -> None:
    plan = world.plan(argv=("/no/such/engine", "--port", "{port}"))
    with pytest.raises(StartFailedError, match="No such file or directory"):
        world.start(plan=plan)


def test_a_stop_that_a_restart_overtakes_says_so(world: World) -> None:
    """The last one to ask is obeyed; the first one is told, and does not wait for what will not come."""
    world.faults(token_s=0.05)
    server = world.start()
    client = threading.Thread(target=lambda: chat(server, 60))
    client.start()
    until(lambda: api.status("s").in_flight == 1, 5)
    ended: list[str] = []

    def stop() -> None:
        try:
            api.stop("s")
        except EnvironmentFailedError as error:
            ended.append(error.message)

    stopping = threading.Thread(target=stop)
    stopping.start()
    until(lambda: api.status("s").state == "draining", 5)
    again = api.restart("s")
    stopping.join(10)
    client.join(10)
    assert ended == ["s was asked to run again before it had stopped, and does"]
    assert (again.state, again.pid != server.pid, again.supervisor_pid) == ("ready", True, server.supervisor_pid)


def test_restart_replaces_the_engine_once(world: World) -> None:
    first = world.start()
    second = api.restart("s")
    assert second.pid != first.pid
    assert second.supervisor_pid == first.supervisor_pid
    assert (second.restarts, world.starts()) == (1, 2)
    assert second.last_exit is not None
    assert second.last_exit.reason == "asked: restart"


def test_a_stopped_server_is_started_again_as_it_was(world: World) -> None:
    first = world.start()
    api.stop("s")
    second = api.restart("s")
    assert second.base_url == first.base_url
    assert chat(second)[0] == 200


def test_an_engine_on_a_unix_socket_has_no_port_at_all(world: World) -> None:
    argv = world.plan().argv
    at = argv.index("--host")
    server = world.start(plan=world.plan("command", argv=(*argv[:at], "--uds", "{uds}", *argv[at + 4 :])))
    assert chat(server)[0] == 200
    assert not [c for c in psutil.Process(server.pid).net_connections("inet") if c.status == psutil.CONN_LISTEN]
    (path,) = {c.laddr for c in psutil.Process(server.pid).net_connections("unix") if c.laddr.endswith(".sock")}
    kill(server.supervisor_pid)
    again = api.restart("s")
    assert (again.pid, chat(again)[0]) == (server.pid, 200)
    api.stop("s")
    assert not Path(path).exists()


def test_two_servers_side_by_side(world: World) -> None:
    one, two = world.start("one"), world.start("two")
    kill(one.pid)
    assert chat(two)[0] == 200
    until(lambda: api.status("one").restarts == 1)
    until_state("ready", name="one")
    assert [s.name for s in api.status_all().servers] == ["one", "two"]


def test_a_supervisor_keeps_its_descriptors(world: World) -> None:
    server = world.start()
    supervisor = psutil.Process(server.supervisor_pid)
    chat(server, 2)
    before = supervisor.num_fds()
    for _ in range(3):
        pid = api.status("s").pid
        kill(pid)
        until_new_engine(pid)
        chat(server, 2)
    until(lambda: supervisor.num_fds() <= before, 3, f"{before} descriptors, now {supervisor.num_fds()}")
