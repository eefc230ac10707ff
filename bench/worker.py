"""The load of one process: its users, their requests, the rows and samples it writes.

A level runs in phases. The director arms a phase (users park and connect), says go, and hears when all users are
idle again. Closed loop: each user sends its next request when the last one ended. Open loop: requests have a send
time of their own; an idle user takes each, and when none is idle the request waits and its delay counts.
"""

from __future__ import annotations

import gc
import os
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import AsyncResult

from bench.answer import Answer
from bench.clock import Clock
from bench.connection import Connection, Limits, Target
from bench.conversation import Conversation
from bench.embedding import Embedding
from bench.patience import asked_wait_s, pause_s
from bench.payload import Prompt, head
from bench.phase import Job, LoadState, Phase, Planned
from bench.proxy import choose
from bench.record import Record
from bench.wire import BrokenReplyError, Reply

if TYPE_CHECKING:
    from bench.remote import Remote

SAMPLE_S = 0.25
WATCH_S = 0.05
TIMER_S = 0.0012
"""How late an event-loop timer may wake: epoll counts in whole milliseconds."""
EXACT_RATE = 80.0
"""Requests per second and process up to which a timer's lateness is waited out: 80 × 1.2 ms is a tenth of a core."""
APART_S, APART_SHARE = 0.001, 0.05
"""Between the first requests of two users of a closed loop, and the share of the phase that all of them may take.
Users that begin in the same millisecond stay in step for a whole run, and find every queue at its longest."""
TIED = {"SELFHOST_BENCH_CONTROL", "SELFHOST_BENCH_TIED"}
"""A process with one of these variables ends when its parent does."""
_S = 1_000_000_000


@dataclass(frozen=True)
class Material:
    """What a process needs beside its orders: prompts, a trace to replay (or none), a folder for its rows."""

    prompts: list[Prompt]
    trace: list[Planned]
    folder: Path


class Worker:
    """Everything the users of one process share."""

    def __init__(
        self, spec: dict[str, Any], environment: Any, material: Material, name: str, remote: Remote | None = None
    ) -> None:
        """``name`` tells this process from every other one; ``remote`` is its line to a leader on another machine."""
        self._environment = environment
        self._runner = environment.runner
        self._path = spec["path"]
        self._words = [word.encode() for word in spec["nonce_words"]]
        self._salt = spec["nonce_salt"]
        self._unique = spec.get("unique", True)
        limits = Limits(**spec["limits"])
        proxy = choose(spec["host"], spec["port"], tls=spec["tls"])
        self._target = Target(spec["host"], spec["port"], tls=spec["tls"], limits=limits, proxy=proxy)
        self._reply_bytes = limits.reply_bytes
        self._head = head(spec, proxy)
        self._kind = Embedding if spec.get("endpoint") == "embeddings" else Answer
        self._key = os.environ.get(spec["api_key_env"] or "") or None
        self._turns, self._think_s = spec.get("turns", 1), spec.get("think_s", 0.0)
        self._prompts, self._trace = material.prompts, material.trace
        self._remote = remote
        self.record = Record(material.folder, spec["epoch_ns"], name)
        self._clock = Clock()
        self._next: AsyncResult = AsyncResult()
        self._parked = 0
        self._phase: Phase | None = None
        self._active: set[LoadState] = set()
        self._serial = 0
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
        clock = self._align(order["level"])
        self.record.open(order["level"])
        phase = self._phase = Phase(order, self._clock.steps)
        phase.busy = users = self._parked
        slot, self._next, self._parked = self._next, AsyncResult(), 0
        slot.set(phase)
        while phase.ready < users:
            gevent.sleep(0.002)
        gc.collect()
        gc.freeze()
        self._runner.send_message("bench-armed", {"phase": order["phase"], "users": users, "clock": clock})
        if users == 0:
            self._idle(phase)

    def _align(self, level: int) -> dict[str, float] | None:
        """Map another machine's clock before each phase; None where the clock is the leader's own."""
        if self._remote is None:
            return None
        self._remote.forget_rows_but(level)
        found = self._remote.align()
        self.record.epoch_ns = found.epoch_ns
        return {"offset_s": found.offset_ns / _S, "bound_s": found.bound_ns / _S}

    def go(self, order: dict[str, Any]) -> None:
        """Start the armed phase at ``start_s``, as part ``part`` of ``parts`` processes."""
        phase = self._phase
        phase.start_ns = self.record.epoch_ns + int(order["start_s"] * _S)
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
        self.record.flush()
        steps = self._clock.steps - phase.clock_steps_before
        self._runner.send_message(
            "bench-idle", {"phase": phase.order["phase"], "unsent": phase.unsent, "clock_steps": steps}
        )

    def _closed_loop(self, state: LoadState, phase: Phase) -> None:
        state.failures = 0
        self._pause(phase, phase.turn_to_begin() * min(APART_S, phase.spread_s(APART_SHARE)))
        while phase.may_send():
            self._converse(state, phase, Job(perf_counter_ns()))
            if state.failures:  # a server that refuses at once is not hammered
                self._pause(phase, pause_s(state.failures, state.asked_wait_s))
            elif self._think_s:
                self._pause(phase, self._think_s)

    def _open_loop(self, state: LoadState, phase: Phase) -> None:
        while True:
            if phase.backlog and not phase.over:
                job = phase.backlog.popleft()
            elif not phase.scheduling or phase.over:
                return
            else:
                state.wake.clear()
                phase.idle_users.append(state)  # last in, first out: warm connections are used again
                state.wake.wait()
                job, state.job = state.job, None
                if job is None or phase.over:
                    phase.unsent += job is not None
                    return
            self._converse(state, phase, job)

    def _converse(self, state: LoadState, phase: Phase, job: Job) -> None:
        """One request, and the further turns of its conversation where there are any.

        A further turn is due when the user has thought: latency counts from there.
        """
        prompt = self._prompts[self._take(phase) if job.prompt is None else job.prompt]
        number = self._serial * phase.parts + phase.part
        talk = Conversation(number, prompt, self._nonce(number if self._unique else prompt.id))
        while self._request(state, phase, job, talk) and talk.turn + 1 < self._turns:
            prompt = self._prompts[self._take(phase)]
            if not talk.go_on(state.answer.words(), prompt):
                return
            due_ns = state.connection.last_ns + int(self._think_s * _S)
            self._pause(phase, _until(due_ns))
            if not phase.may_send():
                return
            job = Job(max(due_ns, perf_counter_ns()) if phase.closed_loop else due_ns, asked=prompt.asked)

    def _take(self, phase: Phase) -> int:
        """The next prompt in turn."""
        phase.turn += 1
        return ((phase.turn - 1) * phase.parts + phase.part) % len(self._prompts)

    def _pause(self, phase: Phase, seconds: float) -> None:
        """Do nothing, but not beyond the end of the phase."""
        phase.stop.wait(max(0.0, min(seconds, _until(phase.end_ns))))

    def _schedule(self, phase: Phase) -> None:
        for number, (offset, prompt, asked) in enumerate(phase.planned(self._trace)):
            at = phase.start_ns + int(offset * _S)
            if at >= phase.end_ns or phase.quota == 0:
                break
            if number % phase.parts != phase.part:
                continue
            if phase.quota is not None and at >= phase.measure_ns:
                phase.quota -= 1
            if self._wait_until(at, phase):
                break
            job = Job(at, prompt, asked)
            if phase.idle_users:
                state = phase.idle_users.pop()
                state.job = job
                state.wake.set()
            else:
                phase.backlog.append(job)
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

    def _request(self, state: LoadState, phase: Phase, job: Job, talk: Conversation) -> bool:
        """Send one, and write its row; whether it was answered."""
        number = self._serial * phase.parts + phase.part
        self._serial += 1
        prompt, asked = talk.first, talk.first.asked if job.asked is None else job.asked
        answer = state.answer = self._kind(asked)
        if talk.turn + 1 < self._turns:
            answer.keep_words()
        reply = Reply(answer.event, self._reply_bytes, getattr(answer, "body", None))
        payload = prompt.payload(self._head, self._key, talk.nonce, asked, talk.added)
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
        state.asked_wait_s = asked_wait_s(reply.status, reply.headers) if error else None
        given = {
            "id": f"{phase.order['level']}-{number}",
            "due_ns": job.due_ns,
            "prompt_id": prompt.id,
            "turn": talk.turn,
            "conversation": talk.number if self._turns > 1 else None,
            "asked_output_tokens": asked,
            "status": reply.status,
            "retry_after_s": state.asked_wait_s,
            "error": error.name if error else None,
            "detail": self._without_key(error.detail) if error and error.detail else None,
        }
        self.record.add(phase, state.connection, answer, given)
        self._environment.events.request.fire(
            request_type="POST",
            name=self._path,
            response_time=(state.connection.last_ns - state.connection.sent_ns) / 1e6,
            response_length=reply.size,
            exception=error,
            context={},
        )
        return error is None

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
            now, record = perf_counter_ns(), self.record
            mute = not (record.tokens or record.completed or any(state.answer.tokens for state in self._active))
            for state in list(self._active):
                name = state.connection.overdue(now, speaking=bool(state.answer.tokens), mute=mute)
                if name is not None:
                    state.connection.expire(name)

    def _sample_for_ever(self) -> None:
        parent = os.getppid()
        while True:
            gevent.sleep(SAMPLE_S)
            if TIED.intersection(os.environ) and os.getppid() != parent:
                os._exit(1)  # whoever drives us has died
            self._clock.check()
            self._sample()
            self.record.flush()

    def _sample(self) -> None:
        running = sum(len(state.answer.tokens) for state in self._active)
        self._runner.send_message("bench-sample", self.record.sample(len(self._active), running))


def _until(stamp: int) -> float:
    return (stamp - perf_counter_ns()) / _S
