"""A load worker that was started with nothing but the leader's address: it joins, and maps its clock.

``locust -f bench/locustfile.py --worker --master-host HOST`` is all it takes. Spec, prompts and trace come from the
leader; the API key comes from the environment variable that ``SELFHOST_BENCH_KEY_ENV`` names here, and only if the
bench wants a key at all: no leader can ask for another variable.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import gevent
import orjson
from gevent.queue import Empty, Queue

from bench.channel import PIECE, PIECE_S, load_code

JOIN_S = 30.0
ROUNDS = 24
ROUND_S = 2.0
ALIGN_S = 4.0
LEADER_SILENT_S = 15.0
"""The leader sends a sign of life every second; a load never outlives it."""


@dataclass(frozen=True)
class Aligned:
    """The bench's epoch on this machine's monotonic clock, and how far off that can be at most."""

    epoch_ns: int
    offset_ns: int
    """The leader's monotonic clock − ours."""
    bound_ns: int


class Remote:
    """This worker's line to the leader."""

    def __init__(self, environment: Any) -> None:
        self._runner = environment.runner
        self._answers: Queue = Queue()
        self._times: Queue = Queue()
        self._heard_ns = perf_counter_ns()
        self._leader_epoch_ns = 0
        self._leader = f"{self._runner.master_host}:{self._runner.master_port}"
        self.folder = Path(tempfile.mkdtemp(prefix="selfhost-worker-"))
        """For the rows; gone when the worker ends."""
        environment.events.quitting.add_listener(lambda **_unused: self._clean())
        environment.events.heartbeat_received.add_listener(self._on_heartbeat)
        for name in ("welcome", "refused", "goods"):
            self._runner.register_message(f"bench-{name}", lambda environment, msg: self._answers.put(msg))
        self._runner.register_message("bench-clock", self._on_clock)
        self._runner.register_message("bench-rows", self._on_rows)

    def join(self) -> tuple[dict[str, Any], bytes, bytes]:
        """Say hello until an answer comes; then spec, prompts and trace. Ends the process when that fails."""
        facts = {
            "load_code": load_code(),
            "has_key": bool(_own_key_variable()),
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "python": platform.python_version(),
            "locust": version("locust"),
        }
        limit = perf_counter_ns() + JOIN_S * 1e9
        answer = None
        while answer is None and perf_counter_ns() < limit:
            self._runner.send_message("bench-hello", facts)  # again: the leader may not be listening yet
            answer = self._answer(1.0)
        if answer is None:
            self._give_up(f"{self._leader} does not lead a bench")
        if answer.type == "bench-refused":
            self._give_up(f"refused by {self._leader}: {answer.data['why']}")
        sizes = answer.data["sizes"]
        spec, prompts, trace = (self._goods(what, sizes[what]) for what in ("spec", "prompts", "trace"))
        given = orjson.loads(spec)
        given["api_key_env"] = _own_key_variable() if given["needs_key"] else None
        self._leader_epoch_ns = given["epoch_ns"]
        given["epoch_ns"] = self.align().epoch_ns
        gevent.spawn(self._watch_leader)
        print(f"joined {self._leader}: load for {given['host']}:{given['port']}", file=sys.stderr, flush=True)
        return given, prompts, trace

    def ready(self) -> None:
        """Tell the leader that the load can begin."""
        self._runner.send_message("bench-ready", {})

    def align(self) -> Aligned:
        """Where the bench's epoch lies on this machine's clock, by the quickest of some exchanges with the leader.

        The leader read its clock somewhere between question and answer; with the middle the error is at most half
        of what the exchange took.
        """
        best_ns, epoch_ns = 1 << 62, 0
        limit = perf_counter_ns() + ALIGN_S * 1e9
        for n in range(ROUNDS):
            asked = perf_counter_ns()
            self._runner.send_message("bench-clock", {"n": n})
            answered, now_s = self._time(n)
            if answered and answered - asked < best_ns:
                best_ns = answered - asked
                epoch_ns = (asked + answered) // 2 - int(now_s * 1e9)
            if perf_counter_ns() > limit:
                break
        if not epoch_ns:
            self._give_up(f"{self._leader} does not tell the time")
        return Aligned(epoch_ns, self._leader_epoch_ns - epoch_ns, best_ns // 2)

    def forget_rows_but(self, level: int) -> None:
        """Rows of earlier levels were handed over."""
        for file in self.folder.glob("rows-*.jsonl"):
            if not file.name.startswith(f"rows-{level}-"):
                file.unlink()

    # --- what the leader says ---

    def _on_clock(self, environment: Any, msg: Any) -> None:
        self._times.put((msg.data["n"], perf_counter_ns(), msg.data["now_s"]))

    def _on_rows(self, environment: Any, msg: Any) -> None:
        level, offset = int(msg.data["level"]), msg.data["offset"]
        data, size = b"", 0
        for path in self.folder.glob(f"rows-{level}-*.jsonl"):
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(offset)
                data = file.read(PIECE)
        self._runner.send_message("bench-rows", {"level": level, "offset": offset, "size": size, "data": data})

    def _on_heartbeat(self, **_unused: Any) -> None:
        self._heard_ns = perf_counter_ns()

    def _watch_leader(self) -> None:
        while (perf_counter_ns() - self._heard_ns) / 1e9 < LEADER_SILENT_S:
            gevent.sleep(1)
        self._give_up(f"nothing heard of {self._leader} for {LEADER_SILENT_S:.0f} s")

    # --- inside ---

    def _answer(self, seconds: float) -> Any:
        try:
            return self._answers.get(timeout=seconds)
        except Empty:
            return None

    def _goods(self, what: str, size: int) -> bytes:
        pieces: list[bytes] = []
        while (offset := sum(map(len, pieces))) < size:
            self._runner.send_message("bench-goods", {"what": what, "offset": offset})
            while True:
                answer = self._answer(PIECE_S)
                if answer is None:
                    self._give_up(f"{self._leader} fell silent")
                if answer.type == "bench-goods" and (answer.data["what"], answer.data["offset"]) == (what, offset):
                    break  # else a second welcome, to a hello said again
            pieces.append(answer.data["data"])
        return b"".join(pieces)

    def _time(self, n: int) -> tuple[int, float]:
        limit = perf_counter_ns() + ROUND_S * 1e9
        while (left_s := (limit - perf_counter_ns()) / 1e9) > 0:
            try:
                number, answered, now_s = self._times.get(timeout=left_s)
            except Empty:
                break
            if number == n:
                return answered, now_s
        return 0, 0.0

    def _give_up(self, why: str) -> None:
        print(f"load worker: {why}", file=sys.stderr, flush=True)
        self._clean()
        os._exit(3)

    def _clean(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def _own_key_variable() -> str | None:
    name = os.environ.get("SELFHOST_BENCH_KEY_ENV")
    return name if name and os.environ.get(name) else None
