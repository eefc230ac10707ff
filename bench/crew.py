"""The load workers on other machines, as the process that leads them sees them.

A worker says hello with the hash of its load code and is taken in or refused. It then asks for the spec, the prompts
and the trace, and for the time; when a level is over the leader asks for its rows. All of it goes over Locust's own
message channel, in pieces of at most ``PIECE`` bytes, each asked for by the one who is to hold it. No key is among it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import gevent
import orjson
from gevent.event import AsyncResult
from locust.dispatch import UsersDispatcher
from locust.runners import STATE_MISSING

from bench.channel import PIECE, PIECE_S, load_code

MOST_ROWS = 8 << 30
"""Bytes of rows taken of one worker for one level."""
OWN = ("work_dir", "prompts", "trace", "api_key_env", "workers")
"""What of the spec is the leader's own business. Every machine reads its key from its own environment."""

Say = Callable[..., None]


def machine_of(client_id: str) -> str:
    """The machine's name in Locust's name for a worker, ``machine_HEX``."""
    return client_id.rpartition("_")[0] or client_id


class FixedCrew(UsersDispatcher):
    """Deals the users to those who were there at the beginning: one that comes later, or comes back, gets none."""

    def add_worker(self, worker_node: Any) -> None:
        """Nothing changes in the middle of a measurement."""


class Crew:
    """Who has joined, what they are given, what they hand over."""

    def __init__(self, runner: Any, spec: dict[str, Any], say: Say) -> None:
        """``say`` tells the driver."""
        self._runner = runner
        self._say = say
        self._wanted: int = spec["workers"]
        self._needs_key = bool(spec["api_key_env"])
        self._epoch_ns: int = spec["epoch_ns"]
        self._folder = Path(spec["work_dir"])
        given = {name: value for name, value in spec.items() if name not in OWN}
        self._goods = {
            "spec": orjson.dumps({**given, "needs_key": self._needs_key}),
            "prompts": Path(spec["prompts"]).read_bytes(),
            "trace": Path(spec["trace"]).read_bytes() if spec["trace"] else b"",
        }
        self.facts: dict[str, dict[str, Any]] = {}
        """What each member said of itself, by its name in Locust."""
        self._ready: set[str] = set()
        self._pieces: dict[str, AsyncResult] = {}
        for name in ("hello", "goods", "ready", "clock", "rows"):
            runner.register_message(f"bench-{name}", getattr(self, f"_on_{name}"))

    def muster(self, stopped: Callable[[], bool]) -> None:
        """Wait until all have joined and hold what they need, or until it is stopped."""
        self._tell()
        while len(self._ready) < self._wanted and not stopped():
            gevent.sleep(0.02)
            for gone in [name for name in self.facts if not self._alive(name)]:
                self._forget(gone)
        for name in list(self._runner.clients):  # one that was refused and knocked again
            if name not in self.facts:
                del self._runner.clients[name]

    def gather(self, level: int) -> list[str]:
        """Fetch everybody's rows of a level; returns who did not hand them over."""
        fetching = {name: gevent.spawn(self._fetch, name, level) for name in sorted(self.facts)}
        gevent.joinall(list(fetching.values()))
        return [name for name, job in fetching.items() if not job.value]

    # --- what workers say ---

    def _on_hello(self, environment: Any, msg: Any) -> None:
        name, facts = msg.node_id, msg.data
        if name not in self.facts and (why := self._refusal(facts)) is not None:
            self._runner.send_message("bench-refused", {"why": why}, client_id=name)
            self._runner.clients.pop(name, None)
            self._say("crew", here=len(self._ready), of=self._wanted, refused=f"{machine_of(name)}: {why}")
            return
        self.facts[name] = {"machine": machine_of(name), **{k: facts.get(k) for k in ("cores", "python", "locust")}}
        sizes = {what: len(data) for what, data in self._goods.items()}
        self._runner.send_message("bench-welcome", {"sizes": sizes}, client_id=name)

    def _refusal(self, facts: dict[str, Any]) -> str | None:
        mine = load_code()
        if facts.get("load_code") != mine:
            return f"its load code is of another version ({facts.get('load_code')} instead of {mine})"
        if self._needs_key and not facts.get("has_key"):
            return "this bench needs an API key, and the worker was started without one"
        if len(self.facts) >= self._wanted:
            return f"there are {self._wanted} workers already"
        return None

    def _on_goods(self, environment: Any, msg: Any) -> None:
        what, offset = msg.data["what"], msg.data["offset"]
        piece = {"what": what, "offset": offset, "data": self._goods[what][offset : offset + PIECE]}
        self._runner.send_message("bench-goods", piece, client_id=msg.node_id)

    def _on_ready(self, environment: Any, msg: Any) -> None:
        if msg.node_id in self.facts:
            self._ready.add(msg.node_id)
            self._tell()

    def _on_clock(self, environment: Any, msg: Any) -> None:
        now_s = (perf_counter_ns() - self._epoch_ns) / 1e9
        self._runner.send_message("bench-clock", {"n": msg.data["n"], "now_s": now_s}, client_id=msg.node_id)

    def _on_rows(self, environment: Any, msg: Any) -> None:
        waiting = self._pieces.get(msg.node_id)
        if waiting is not None:
            waiting.set(msg.data)

    # --- inside ---

    def _alive(self, name: str) -> bool:
        client = self._runner.clients.get(name)
        return client is not None and client.state != STATE_MISSING

    def _tell(self) -> None:
        self._say("crew", here=len(self._ready), of=self._wanted, refused=None)

    def _forget(self, name: str) -> None:
        self.facts.pop(name)
        self._ready.discard(name)
        self._tell()

    def _fetch(self, name: str, level: int) -> bool:
        """One worker's rows into a file of the leader's naming; whether they are complete."""
        number = sorted(self.facts).index(name)
        offset, size = 0, 1
        with (self._folder / f"rows-{level}-worker{number}.jsonl").open("wb") as file:
            while offset < size:
                piece = self._piece(name, {"level": level, "offset": offset})
                if piece is None:
                    return False
                data, size = piece["data"], piece["size"]
                if (offset < size and not 0 < len(data) <= PIECE) or size > MOST_ROWS:
                    return False
                offset += file.write(data)
                self._say("rows", worker=machine_of(name), bytes=offset, of=size)
        return True

    def _piece(self, name: str, asked: dict[str, Any]) -> dict[str, Any] | None:
        for _try in range(2):
            self._pieces[name] = AsyncResult()
            self._runner.send_message("bench-rows", asked, client_id=name)
            limit = perf_counter_ns() + PIECE_S * 1e9
            while (left_s := (limit - perf_counter_ns()) / 1e9) > 0 and self._alive(name):
                try:
                    piece: dict[str, Any] = self._pieces[name].get(timeout=min(left_s, 1.0))
                except gevent.Timeout:
                    continue
                if piece["offset"] == asked["offset"] and piece["level"] == asked["level"]:
                    return piece
                self._pieces[name] = AsyncResult()  # the answer to an earlier try
        return None
