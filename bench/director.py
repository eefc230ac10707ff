"""Runs levels one after another: takes each from the control channel, leads the workers through its phases.

The control channel is an inherited stream socket (its descriptor number is in ``SELFHOST_BENCH_CONTROL``) that
carries one JSON object a line both ways. In: ``{"level": {…}}``, ``{"cut": number of a level}`` to end that level
now, ``{"stop": true}``. Out: ``crew`` (who of the other machines is here), ``ready``, ``phase``, ``sample``, ``rows``
(how many bytes of them have come), ``level_done``. When the other end closes, everything stops: a load test never
outlives its driver.
"""

from __future__ import annotations

import os
import socket  # gevent's
from time import perf_counter_ns
from typing import Any

import gevent
import orjson
from gevent.event import Event
from gevent.queue import Queue
from locust import LoadTestShape

from bench.crew import Crew, FixedCrew, machine_of

ARM_S = 30.0
CUT_S = 5.0
START_S = 0.02
"""Between the order to go and the start, so that every process has it in time; of far workers so many trips more."""
START_TRIPS = 6


class Control:
    """The driver's end of the line."""

    def __init__(self, descriptor: int) -> None:
        self._sock = socket.socket(fileno=descriptor)
        self.levels: Queue = Queue()
        self.stop = Event()
        self.cut: int | None = None
        """The level that is to end now."""
        gevent.spawn(self._read)

    def say(self, event: str, **fields: Any) -> None:
        """Tell the driver; a driver that is gone is noticed by the reader."""
        try:
            self._sock.sendall(orjson.dumps({"event": event, **fields}, option=orjson.OPT_APPEND_NEWLINE))
        except OSError:
            self.stop.set()

    def _read(self) -> None:
        try:
            for line in self._sock.makefile("rb"):
                command = orjson.loads(line)
                if "level" in command:
                    self.levels.put(command["level"])
                elif "cut" in command:
                    self.cut = command["cut"]
                else:
                    break
        except OSError:
            pass
        self.stop.set()
        self.levels.put(None)


class Director(LoadTestShape):
    """Locust's load shape is asked once and runs every level before it answers "no more"."""

    use_common_options = False

    def __init__(self) -> None:
        super().__init__()
        self._control: Control | None = None
        self._epoch_ns = 0
        self._phase = 0
        self._began = False
        self._crew: Crew | None = None
        self._members: list[str] = []
        self._armed: dict[str, dict[str, Any]] = {}
        self._idle: dict[str, dict[str, Any]] = {}
        self._spawned = Event()

    def prepare(self, environment: Any, spec: dict[str, Any]) -> None:
        """Wire this shape to the runner of the process that leads."""
        self._epoch_ns = spec["epoch_ns"]
        self._control = Control(int(os.environ["SELFHOST_BENCH_CONTROL"]))
        runner = environment.runner
        environment.dispatcher_class = FixedCrew
        if spec.get("workers"):
            self._crew = Crew(runner, spec, self._control.say)
        gevent.spawn(self._leave_before_it_began, runner)
        environment.events.spawning_complete.add_listener(lambda user_count: self._spawned.set())
        runner.register_message("bench-armed", self._on_armed)
        runner.register_message("bench-idle", self._on_idle)
        runner.register_message("bench-sample", self._on_sample)

    def tick(self) -> None:
        """Run all levels; None ends the test."""
        self._began = True
        if self._crew is not None:
            self._crew.muster(self._control.stop.is_set)
        self._members = self._workers()
        self._control.say("ready", workers=len(self._members), crew=self._crew.facts if self._crew else {})
        while (level := self._control.levels.get()) is not None:
            self._level(level)

    def _leave_before_it_began(self, runner: Any) -> None:
        """Locust itself waits for the first worker and looks at nothing else meanwhile."""
        self._control.stop.wait()
        if not self._began:
            runner.quit()
            os._exit(0)

    # --- messages ---

    def _on_armed(self, environment: Any, msg: Any) -> None:
        if msg.data["phase"] == self._phase:
            self._armed[msg.node_id] = msg.data

    def _on_idle(self, environment: Any, msg: Any) -> None:
        if msg.data["phase"] == self._phase:
            self._idle[msg.node_id] = msg.data

    def _on_sample(self, environment: Any, msg: Any) -> None:
        self._control.say("sample", **msg.data)

    # --- levels ---

    def _workers(self) -> list[str]:
        clients = getattr(self.runner, "clients", None)
        if clients is None:
            return ["local"]
        here = sorted(c.id for c in clients.ready + clients.spawning + clients.running)
        return here if self._crew is None else [name for name in here if name in self._crew.facts]

    def _lost(self) -> set[str]:
        """Who was there when the load began and is no more."""
        return set(self._members) - set(self._workers())

    def _level(self, level: dict[str, Any]) -> None:
        over: dict[str, Any] = {"level": level["level"], "unsent": 0, "clock_steps": 0, "clocks": {}, "lost": []}
        try:
            self._spawn(level["users"])
            for phase in _phases(level):
                if self._ended(level["level"]) or self._lost():
                    break
                for report in self._run(phase):
                    over["unsent"] += report["unsent"]
                    over["clock_steps"] += report["clock_steps"]
                over["clocks"] |= {name: armed["clock"] for name, armed in self._armed.items() if armed.get("clock")}
            missing = self._crew.gather(level["level"]) if self._crew is not None else []
            over["lost"] = sorted(map(machine_of, self._lost().union(missing)))
        except gevent.GreenletExit:  # Locust ends the test when the last worker is gone
            over["lost"] = sorted(map(machine_of, self._members))
            raise
        finally:
            self._control.say("level_done", **over)

    def _spawn(self, users: int) -> None:
        if self.runner.user_count != users:
            self._spawned.clear()
            self.runner.start(users, spawn_rate=max(users, self.runner.user_count))
            self._spawned.wait(timeout=ARM_S)

    def _run(self, phase: dict[str, Any]) -> list[dict[str, Any]]:
        self._phase += 1
        self._armed, self._idle = {}, {}
        workers = self._members
        self.runner.send_message("bench-arm", {**phase, "phase": self._phase})
        self._wait(lambda: len(self._armed) >= len(workers) or bool(self._lost()), ARM_S)
        start_s = (perf_counter_ns() - self._epoch_ns) / 1e9 + START_S + self._far_s()
        quotas = _share(phase["max_requests"], [self._armed.get(w, {}).get("users", 0) for w in workers])
        for part, (worker, quota) in enumerate(zip(workers, quotas, strict=True)):
            go = {"start_s": start_s, "quota": quota, "part": part, "parts": len(workers)}
            self.runner.send_message("bench-go", go, client_id=worker)
        end_s = start_s + phase["warmup_s"] + phase["duration_s"]
        self._control.say(
            "phase",
            level=phase["level"],
            warmup=phase["warmup"],
            start_s=start_s,
            measure_s=start_s + phase["warmup_s"],
            end_s=end_s,
        )
        done = lambda: len(self._idle) >= len(workers)  # noqa: E731
        over = lambda: done() or self._ended(phase["level"]) or bool(self._lost())  # noqa: E731
        longest_s = START_S + self._far_s() + end_s - start_s + phase["drain_s"]
        if not self._wait(over, longest_s) or not done():
            self.runner.send_message("bench-cut", {})
            self._wait(lambda: len(self._idle) >= len(workers) - len(self._lost()), CUT_S)
        return list(self._idle.values())

    def _far_s(self) -> float:
        """What the order to go may need on top to reach the farthest worker."""
        bounds = [armed["clock"]["bound_s"] for armed in self._armed.values() if armed.get("clock")]
        return START_TRIPS * max(bounds, default=0.0)

    def _ended(self, level: int) -> bool:
        """Whether this level, or everything, is to end now."""
        return self._control.stop.is_set() or self._control.cut == level

    def _wait(self, condition: Any, seconds: float) -> bool:
        limit = perf_counter_ns() + seconds * 1e9
        while not condition():
            if perf_counter_ns() > limit:
                return False
            gevent.sleep(0.005)
        return True


def _phases(level: dict[str, Any]) -> list[dict[str, Any]]:
    """Closed loop: warm up, let it drain, measure. Open loop: the arrivals run on, the first ones are warm-up."""
    measured = {**level, "warmup": False}
    if level["rate"] is not None or level["warmup_s"] == 0:
        return [measured]
    warmup = {**level, "warmup": True, "warmup_s": 0.0, "duration_s": level["warmup_s"], "max_requests": None}
    return [warmup, {**measured, "warmup_s": 0.0}]


def _share(total: int | None, users: list[int]) -> list[int | None]:
    """Split a number of requests over processes by their users, exactly."""
    if total is None:
        return [None] * len(users)
    everyone = max(1, sum(users))
    shares = [total * count // everyone for count in users]
    for i in range(total - sum(shares)):
        shares[i % len(shares)] += 1
    return list(shares)
