"""What one load process writes down: a row for each request, a sample of itself now and then."""

from __future__ import annotations

import os
import time
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import orjson

from bench.connection import Connection
from bench.phase import Phase

_S = 1_000_000_000


class Record:
    """Rows of the running level, and counts since the start."""

    def __init__(self, folder: Path, epoch_ns: int, name: str) -> None:
        """``name`` tells this process from every other one of the bench, on whatever machine."""
        self.folder = folder
        self.epoch_ns = epoch_ns
        self.name = name
        self.tokens = self.completed = self.failed = 0
        self._rows: Any = None
        self._ttft_s: list[float] = []

    def open(self, level: int) -> None:
        """A file for each level and process, so that a level can be read as soon as it is over."""
        path = self.path(level)
        if self._rows is None or self._rows.name != str(path):
            if self._rows is not None:
                self._rows.close()
            self._rows = path.open("ab", buffering=1 << 20)

    def path(self, level: int) -> Path:
        """Where the rows of a level are."""
        return self.folder / f"rows-{level}-{self.name}.jsonl"

    def flush(self) -> None:
        """Let readers see what was written."""
        if self._rows is not None:
            self._rows.flush()

    def add(self, phase: Phase, connection: Connection, answer: Any, given: dict[str, Any]) -> None:
        """Write one row; ``given`` holds the fields that the exchange itself does not know."""
        self.tokens += len(answer.tokens) if answer.asked else answer.counts()[0] or 0  # embeddings: what was read
        due_ns = given.pop("due_ns")
        begin = connection.sent_ns if phase.closed_loop else due_ns
        row = {
            "warmup": phase.order["warmup"] or due_ns < phase.measure_ns,
            "level": phase.order["level"],
            "worker": phase.part,
            "scheduled_s": self._since(begin),
            **self._times(connection, answer),
            **_counts(answer),
            **given,
        }
        if row["error"] is None:
            self.completed += 1
            if answer.tokens and not row["warmup"]:
                self._ttft_s.append((answer.tokens[0] - begin) / _S)
        elif row["error"] != "cut":
            self.failed += 1
        self._rows.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))

    def sample(self, in_flight: int, running_tokens: int) -> dict[str, Any]:
        """How this process does now."""
        ttft_s, self._ttft_s = self._ttft_s[-500:], []
        return {
            "worker": self.name,
            "at_s": (perf_counter_ns() - self.epoch_ns) / _S,
            "cpu_s": time.process_time(),
            "tokens": self.tokens + running_tokens,
            "in_flight": in_flight,
            "completed": self.completed,
            "failed": self.failed,
            "ttft_s": ttft_s,
        }

    def _times(self, connection: Connection, answer: Any) -> dict[str, Any]:
        tokens, epoch = answer.tokens, self.epoch_ns
        return {
            "sent_s": self._since(connection.sent_ns),
            "first_byte_s": self._since(connection.first_byte_ns),
            "first_token_s": self._since(tokens[0] if tokens else None),
            "first_answer_s": self._since(answer.first_answer),
            "token_s": [(stamp - epoch) // 1000 / 1e6 for stamp in tokens],
            "end_s": self._since(connection.last_ns),
            "lag_s": None if connection.lag_ns is None else connection.lag_ns // 1000 / 1e6,
            "stamps": "user" if connection.lag_ns is None else "kernel",
        }

    def _since(self, stamp: int | None) -> float | None:
        return None if stamp is None else (stamp - self.epoch_ns) // 1000 / 1e6


def _counts(answer: Any) -> dict[str, Any]:
    given, made, source = answer.counts()
    return {
        "shared": answer.shared,
        "input_tokens": given,
        "output_tokens": made,
        "token_source": source,
        "events": len(answer.tokens),
        "finish_reason": answer.finish,
        "reply_id": answer.reply_id,
    }


def process_name() -> str:
    """Different for every process of every machine."""
    return f"{os.uname().nodename[:40]}-{os.getpid()}"
