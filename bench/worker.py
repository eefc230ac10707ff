"""The load of one process: its users, their requests, the rows and samples it writes.

A level runs in phases. The director arms a phase (users park and connect), says go, and hears when all users are
idle again. Closed loop: each user sends its next request when the last one ended. Open loop: requests have a send
time of their own; an idle user takes each, and when none is idle the request waits and its delay counts.
"""

from __future__ import annotations

import gc
import os
import time
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import gevent
import orjson
from gevent.event import AsyncResult

from bench.answer import Answer
from bench.arrivals import offsets
from bench.clock import Clock
from bench.connection import Connection, Limits, Target
from bench.embedding import Embedding
from bench.payload import Prompt, head
from bench.phase import LoadState, Phase
from bench.wire import BrokenReplyError, Reply

SAMPLE_S = 0.25
WATCH_S = 0.05
TIMER_S = 0.0012
"""How late an event-loop timer may wake: epoll counts in whole milliseconds."""
EXACT_RATE = 80.0
"""Requests per second and process up to which a timer's lateness is waited out: 80 × 1.2 ms is a tenth of a core."""
_S = 1_000_000_000


class Worker:
    """Everything the users of one process share."""

    def __init__(self, spec: dict[str, Any], environment: Any) -> None:
        self._environment = environment
        self._runner = environment.runner
        self._epoch = spec["epoch_ns"]
        self._path = spec["path"]
        self._words = [word.encode() for word in spec["nonce_words"]]
        self._salt = spec["nonce_salt"]
        limits = Limits(**spec["limits"])
        self._target = Target(spec["host"], spec["port"], tls=spec["tls"], limits=limits)
        self._reply_bytes = limits.reply_bytes
        self._head = head(spec)
        self._kind = Embedding if spec.get("endpoint") == "embeddings" else Answer
        self._key = os.environ.get(spec["api_key_env"] or "") or None
        self._prompts = [Prompt(line) for line in Path(spec["prompts"]).read_bytes().splitlines()]
        self._folder = Path(spec["work_dir"])
        self._rows: Any = None
        self._clock = Clock()
        self._next: AsyncResult = AsyncResult()
        self._parked = 0
        self._phase: Phase | None = None
        self._active: set[LoadState] = set()
        self._serial = 0
        self._tokens = self._completed = self._failed = 0
        self._ttft_s: list[float] = []
        gevent.spawn(self._watch)
        gevent.spawn(self._sample_for_ever)

    # --- what the director says ---

    def arm(self, order: dict[str, Any]) -> None:
        """Park all users in a new phase, connected when it is closed loop; then answer ``bench-armed``."""
        gevent.spawn(self._arm, order)

    def _arm(self, order: dict[str, Any]) -> None:
        limit = perf_counter_ns() + 5 * _S
        while self._parked < self._runner.user_count and perf_counter_ns() < limit:
            gevent.sleep(0.002)
        self._open_rows(order["level"])
        phase = self._phase = Phase(order, self._clock.steps)
        phase.busy = users = self._parked
        slot, self._next, self._parked = self._next, AsyncResult(), 0
        slot.set(phase)
        while phase.ready < users:
            gevent.sleep(0.002)
        gc.collect()
        gc.freeze()
        self._runner.send_message("bench-armed", {"phase": order["phase"], "users": users})
        if users == 0:
            self._idle(phase)

    def _open_rows(self, level: int) -> None:
        """A file for each level and process, so that a level can be read as soon as it is over."""
        path = self._folder / f"rows-{level}-{os.getpid()}.jsonl"
        if self._rows is None or self._rows.name != str(path):
            if self._rows is not None:
                self._rows.close()
            self._rows = path.open("ab", buffering=1 << 20)

    def go(self, order: dict[str, Any]) -> None:
        """Start the armed phase at ``start_s``, as part ``part`` of ``parts`` processes."""
        phase = self._phase
        phase.start_ns = self._epoch + int(order["start_s"] * _S)
        phase.measure_ns = phase.start_ns + int(phase.order["warmup_s"] * _S)
        phase.end_ns = phase.measure_ns + int(phase.order["duration_s"] * _S)
        phase.quota, phase.part, phase.parts = order["quota"], order["part"], order["parts"]
        if not phase.closed_loop:
            gevent.spawn(self._schedule, phase)
        gevent.spawn(self._start, phase)

    def _start(self, phase: Phase) -> None:
        gevent.sleep(max(0.0, _until(phase.start_ns)))
        self._sample()
        phase.go.set()

    def cut(self) -> None:
        """End the phase now: nothing more is sent, what is running is ended and marked so."""
        if self._phase is not None:
            self._phase.unsent += len(self._phase.backlog)
            self._phase.backlog.clear()
            self._phase.stop.set()
            self._phase.go.set()
            for state in list(self._active):
                state.connection.expire("cut")

    # --- what the users do ---

    def serve(self, user: Any) -> None:
        """The whole life of one user: park, run the phase, park again."""
        state = user.state = LoadState(Connection(self._target, self._clock))
        while True:
            phase = self._park()
            if phase.closed_loop:
                self._try_connect(state)
            phase.ready += 1
            phase.go.wait()
            if phase.closed_loop:
                self._closed_loop(state, phase)
            else:
                self._open_loop(state, phase)
            phase.busy -= 1
            if phase.busy == 0:
                self._idle(phase)

    def _park(self) -> Phase:
        self._parked += 1
        try:
            return self._next.get()
        except gevent.GreenletExit:
            self._parked -= 1
            raise

    def _try_connect(self, state: LoadState) -> None:
        try:
            state.connection.connect()
        except BrokenReplyError:
            return  # the first request will fail under this name and be counted

    def _idle(self, phase: Phase) -> None:
        self._sample()
        self._rows.flush()
        steps = self._clock.steps - phase.clock_steps_before
        self._runner.send_message(
            "bench-idle", {"phase": phase.order["phase"], "unsent": phase.unsent, "clock_steps": steps}
        )

    def _closed_loop(self, state: LoadState, phase: Phase) -> None:
        state.failures = 0
        while phase.may_send():
            self._request(state, phase, perf_counter_ns())
            if state.failures:  # a server that refuses at once is not hammered
                gevent.sleep(min(1.0, 0.05 * 2 ** min(state.failures, 5), max(0.0, _until(phase.end_ns))))

    def _open_loop(self, state: LoadState, phase: Phase) -> None:
        while True:
            if phase.backlog and not phase.over:
                scheduled = phase.backlog.popleft()
            elif not phase.scheduling or phase.over:
                return
            else:
                state.wake.clear()
                phase.idle_users.append(state)  # last in, first out: warm connections are used again
                state.wake.wait()
                scheduled, state.job = state.job, None
                if scheduled is None or phase.over:
                    phase.unsent += scheduled is not None
                    return
            self._request(state, phase, scheduled)

    def _schedule(self, phase: Phase) -> None:
        order = phase.order
        for number, offset in enumerate(offsets(order["rate"], order["arrival"], order["seed"])):
            at = phase.start_ns + int(offset * _S)
            if at >= phase.end_ns or phase.quota == 0:
                break
            if number % phase.parts != phase.part:
                continue
            if phase.quota is not None and at >= phase.measure_ns:
                phase.quota -= 1
            if self._wait_until(at, phase):
                break
            if phase.idle_users:
                state = phase.idle_users.pop()
                state.job = at
                state.wake.set()
            else:
                phase.backlog.append(at)
        phase.scheduling = False
        while phase.backlog:
            gevent.sleep(0.01)
        for state in phase.idle_users:
            state.wake.set()
        phase.idle_users = []

    def _wait_until(self, at: int, phase: Phase) -> bool:
        """Wait for a send time; True when the phase was stopped first.

        Timers wake up to a millisecond late. The last one is waited out in turns of the event loop, as long as
        that costs little: at most a tenth of a core.
        """
        exact = phase.order["rate"] / phase.parts <= EXACT_RATE
        if phase.stop.wait(max(0.0, _until(at) - exact * TIMER_S)):
            return True
        while exact and perf_counter_ns() < at:
            gevent.sleep(0)
        return phase.over

    # --- one request ---

    def _request(self, state: LoadState, phase: Phase, scheduled_ns: int) -> None:
        number = self._serial * phase.parts + phase.part
        prompt = self._prompts[(phase.turn * phase.parts + phase.part) % len(self._prompts)]
        self._serial += 1
        phase.turn += 1
        answer = state.answer = self._kind(prompt.asked)
        reply = Reply(answer.event, self._reply_bytes, getattr(answer, "body", None))
        payload = prompt.payload(self._head, self._key, self._nonce(number))
        error: BrokenReplyError | None = None
        self._active.add(state)
        try:
            state.connection.exchange(payload, reply)
            answer.check()
        except BrokenReplyError as broken:
            error = broken
        finally:
            self._active.discard(state)
        state.failures = state.failures + 1 if error else 0
        self._tokens += len(answer.tokens) if answer.asked else answer.counts()[0] or 0  # embeddings: what was read
        self._write_row(state, phase, scheduled_ns, number, prompt, reply, error)

    def _write_row(self, state, phase, scheduled_ns, number, prompt, reply, error) -> None:
        connection, answer, epoch = state.connection, state.answer, self._epoch
        given, made, source = answer.counts()
        tokens = answer.tokens
        warmup = phase.order["warmup"] or scheduled_ns < phase.measure_ns
        if error is None:
            self._completed += 1
            if tokens and not warmup:
                begin = connection.sent_ns if phase.closed_loop else scheduled_ns
                self._ttft_s.append((tokens[0] - begin) / _S)
        elif error.name != "cut":
            self._failed += 1
        row = {
            "id": f"{phase.order['level']}-{number}",
            "level": phase.order["level"],
            "warmup": warmup,
            "worker": phase.part,
            "prompt_id": prompt.id,
            "scheduled_s": _since(connection.sent_ns if phase.closed_loop else scheduled_ns, epoch),
            "sent_s": _since(connection.sent_ns, epoch),
            "first_byte_s": _since(connection.first_byte_ns, epoch),
            "first_token_s": _since(tokens[0] if tokens else None, epoch),
            "first_answer_s": _since(answer.first_answer, epoch),
            "token_s": [(stamp - epoch) // 1000 / 1e6 for stamp in tokens],
            "end_s": _since(connection.last_ns, epoch),
            "lag_s": None if connection.lag_ns is None else connection.lag_ns // 1000 / 1e6,
            "shared": answer.shared,
            "stamps": "user" if connection.lag_ns is None else "kernel",
            "input_tokens": given,
            "output_tokens": made,
            "asked_output_tokens": prompt.asked,
            "token_source": source,
            "events": len(tokens),
            "status": reply.status,
            "error": error.name if error else None,
            "detail": self._without_key(error.detail) if error and error.detail else None,
            "finish_reason": answer.finish,
            "reply_id": answer.reply_id,
        }
        self._rows.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
        self._environment.events.request.fire(
            request_type="POST",
            name=self._path,
            response_time=(connection.last_ns - connection.sent_ns) / 1e6,
            response_length=reply.size,
            exception=error,
            context={},
        )

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "…") if self._key else text

    def _nonce(self, number: int) -> bytes:
        """Words that no other request of any run starts with, so that no prompt cache helps: the number, the salt."""
        base = len(self._words)
        return b" ".join(
            self._words[value // base**place % base] for value in (number, self._salt) for place in range(4)
        )

    # --- what runs beside ---

    def _watch(self) -> None:
        while True:
            gevent.sleep(WATCH_S)
            now = perf_counter_ns()
            for state in list(self._active):
                name = state.connection.overdue(now, speaking=bool(state.answer.tokens))
                if name is not None:
                    state.connection.expire(name)

    def _sample_for_ever(self) -> None:
        parent = os.getppid()
        while True:
            gevent.sleep(SAMPLE_S)
            if "SELFHOST_BENCH_CONTROL" in os.environ and os.getppid() != parent:
                os._exit(1)  # whoever drives us has died
            self._clock.check()
            self._sample()
            if self._rows is not None:
                self._rows.flush()

    def _sample(self) -> None:
        ttft_s, self._ttft_s = self._ttft_s[-500:], []
        self._runner.send_message(
            "bench-sample",
            {
                "worker": os.getpid(),
                "at_s": (perf_counter_ns() - self._epoch) / _S,
                "cpu_s": time.process_time(),
                "tokens": self._tokens + sum(len(s.answer.tokens) for s in self._active),
                "in_flight": len(self._active),
                "completed": self._completed,
                "failed": self._failed,
                "ttft_s": ttft_s,
            },
        )


def _since(stamp: int | None, epoch: int) -> float | None:
    return None if stamp is None else (stamp - epoch) // 1000 / 1e6


def _until(stamp: int) -> float:
    return (stamp - perf_counter_ns()) / _S
