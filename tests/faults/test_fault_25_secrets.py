"""Fault 25: the API key appears nowhere: no file, argument, environment, metric, event or error."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import psutil

from tests.supervise.harness import World, chat, chat_request, get, kill, until_new_engine
from toolkit.supervise import api

KEY = "sk-very-secret-0123456789"


def audit(world: World) -> list[str]:
    """Every place under the state folder and in our processes that holds the key."""
    found = [str(f) for f in world.home.rglob("*") if f.is_file() and KEY.encode() in f.read_bytes()]
    for process in world.processes():
        for kind in ("cmdline", "environ"):
            if KEY.encode() in Path(f"/proc/{process.pid}/{kind}").read_bytes():
                found.append(f"{kind} of {process.pid}")
    return found


def test_the_key_is_nowhere(world: World, repeat: int, moment: None) -> None:
    key_file = world.root / "key"
    key_file.write_text(KEY + "\n")
    key_file.chmod(0o600)
    server = world.start(key_file=key_file)
    status, body = chat(server)
    assert status == 401
    assert KEY.encode() not in body
    allowed = chat_request(server, 2, stream=False)
    allowed.add_header("Authorization", f"Bearer {KEY}")
    with urllib.request.urlopen(allowed, timeout=5) as response:
        assert json.loads(response.read())["choices"]
    assert get(server, "/metrics")[0] == 401
    status, text = get(server, "/metrics", key=KEY)
    assert (status, KEY.encode() in text) == (200, False)
    assert KEY.encode() not in get(server, "/", key=KEY)[1]
    assert get(server, "/nonsense", key=KEY)[0] == 404
    assert get(server, "/readyz")[0] == 200
    assert audit(world) == []
    kill(server.pid)
    until_new_engine(server.pid)
    assert KEY not in api.status("s").model_dump_json()
    assert audit(world) == []
    listening = [c.laddr.ip for c in psutil.Process(server.supervisor_pid).net_connections() if c.status == "LISTEN"]
    assert listening == ["127.0.0.1"]
