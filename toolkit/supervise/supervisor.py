"""The one owner of a served engine's state: runs a handler in each state and steps the machine with its cause.

Everyone else states an intent (`ask`) and reads `view`; nobody else starts or ends a process.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import aiohttp

from toolkit.backends.base import Backend
from toolkit.errors import EnvironmentFailedError, ModelFileError
from toolkit.supervise import causes, gpu, launch, preflight, restart, shim, states
from toolkit.supervise.admission import Gate
from toolkit.supervise.engine import EngineRun, Exit
from toolkit.supervise.keys import Keys
from toolkit.supervise.metrics import Metrics
from toolkit.supervise.probe import Probe
from toolkit.supervise.proxy import Proxy, Target
from toolkit.supervise.quarantine import Quarantine
from toolkit.supervise.readiness import Load, NotReadyError, warm
from toolkit.supervise.states import Cause, Intent, Machine
from toolkit.supervise.store import EVENTS_SHOWN, Folder, Spec
from toolkit.supervise.watch import Watch
from toolkit.types import Deployment, Event, LastExit

RETRY_AFTER_S = 5.0
CONNECT_S = 5.0
HASTY_GRACE_S = 2.0
BLIND_TICKS = 3
BLIND_EXTRA_S = 30.0


class Supervisor:
    """Owns one served name from its first start to its last stop."""

    def __init__(
        self, spec: Spec, folder: Folder, backend: Backend, keys: Keys, on_event: Callable[[Event], None]
    ) -> None:
        self._spec = spec
        self._folder = folder
        self._backend = backend
        self._signals = backend.signals
        self._limits = launch.effective_limits(spec)
        self._on_event = on_event
        self._machine = Machine()
        self._changed = asyncio.Event()
        self._run: EngineRun | None = None
        self._session: aiohttp.ClientSession | None = None
        self._history = restart.History()
        self._crash: restart.Crash | None = None
        self._decision: restart.Decision | None = None
        self._wait_s = 0.0
        self._model_name = spec.plan.served_name
        self._events: deque[Event] = deque(maxlen=EVENTS_SHOWN)
        self._reason: str | None = None
        self._restarts = 0
        self._last_exit: LastExit | None = None
        self._started_s = 0.0
        self._ready_s: float | None = None
        self._ready_at_s: float | None = None
        self._hasty = False
        self.ever_ready = False
        self.metrics = Metrics(spec.name)
        limit = launch.max_in_flight(spec, self._signals)
        self.gate = Gate(limit, self._limits.queue_limit, self._limits.queue_timeout_s)
        quarantine = Quarantine(self._limits.poison_limit)
        self.proxy = Proxy(self.gate, quarantine, keys, self.metrics, self.view)
        self._watch: Watch | None = None

    # --- the outside -------------------------------------------------------------------------------------

    def ask(self, intent: Intent) -> None:
        """State what is wanted; the run loop gets there."""
        self._machine = states.ask(self._machine, intent)
        self._changed.set()

    def hurry(self) -> None:
        """Do not wait for requests in flight any longer."""
        self._hasty = True
        self._changed.set()

    def watching(self) -> bool:
        """Whether a ready engine has been looked at lately; true while there is none to look at."""
        if self._watch is None or self._machine.state not in states.ADMITTING:
            return True
        look_s = self._limits.tick_s + self._limits.health_timeout_s
        return time.monotonic() - self._watch.looked_s < BLIND_TICKS * look_s + BLIND_EXTRA_S

    def view(self) -> Deployment:
        """The state now."""
        ready = self._ready_at_s
        return Deployment(
            name=self._spec.name,
            state=self._machine.state,
            pid=self._run.pid if self._run and self._run.alive() else None,
            supervisor_pid=os.getpid(),
            backend=self._spec.plan.backend,
            base_url=launch.base_url(self._spec),
            restarts=self._restarts,
            last_exit=self._last_exit,
            ready_s=self._ready_s,
            uptime_s=None if ready is None else round(time.monotonic() - ready, 3),
            in_flight=self.gate.active,
            queued=self.gate.queued,
            output_tok_s=self._watch.output_tok_s if self._watch and ready is not None else None,
            served_name=self._model_name,
            reason=self._reason,
            effective_config=launch.effective_config(self._spec, self._limits),
            events=tuple(self._events),
        )

    async def run(self, *, until_first_failure: bool = False) -> Deployment:
        """Own the engine until it is stopped, or (if asked) until a first start has failed for good."""
        handlers: dict[str, Callable[[], Coroutine[Any, Any, Cause]]] = {
            "stopped": self._until_asked,
            "preflight": self._preflight,
            "starting": self._start,
            "loading": self._load,
            "warming": self._warm,
            "ready": self._serve,
            "degraded": self._serve,
            "draining": self._drain,
            "stopping": self._end,
            "backoff": self._pause,
            "crash_loop": self._pause,
            "fatal": self._until_asked,
        }
        while not self._finished(until_first_failure):
            cause = await handlers[self._machine.state]()
            self._enter(states.step(self._machine, cause))  # the machine as it is now, intents included
        return self.view()

    def _finished(self, until_first_failure: bool) -> bool:
        if self._machine.state == "fatal":
            return until_first_failure and not self.ever_ready
        return self._machine.state == "stopped" and self._machine.intent == "stop"

    # --- stepping ----------------------------------------------------------------------------------------

    def _enter(self, machine: Machine) -> None:
        """Take the new state, open or close the door accordingly, and tell."""
        self._machine = machine
        self.metrics.enter(machine.state)
        if machine.state in states.ADMITTING:
            self.gate.open()
        else:
            self.gate.close(f"the server is {machine.state}", self._wait_s or RETRY_AFTER_S)
        if machine.state not in (*states.ADMITTING, "draining"):
            self._ready_at_s = None
        self._tell(machine.state, self._detail())

    def _detail(self) -> str:
        state = self._machine.state
        if state == "ready":
            return f"in {self._ready_s:.1f} s" if self._ready_s is not None else ""
        if state in ("backoff", "crash_loop"):
            return f"next start in {self._wait_s:.1f} s ({self._reason})"
        if state == "fatal":
            return self._reason or ""
        return f"pid {self._run.pid}" if state == "loading" and self._run else ""

    def _tell(self, what: str, detail: str = "") -> None:
        event = Event(at=shim.now(), what=what, detail=detail)
        self._events.append(event)
        self._folder.add_event(event)
        self._folder.write_status(self.view())
        self._on_event(event)

    def _failed(self, reason: str, *, final: str | None = None, nonsense: bool = False) -> Cause:
        """Note how this run ended; what is noted first stands. The door closes now."""
        self.gate.close("the engine has failed", RETRY_AFTER_S)
        if self._crash is not None:
            return "failed"
        if self._ready_at_s is not None:
            self.proxy.quarantine.crashed()
        self._crash = restart.Crash(
            at_s=time.monotonic(),
            was_ready=self._ready_at_s is not None,
            reason=reason,
            final=final,
            nonsense=nonsense,
        )
        self._reason = final or reason
        self._last_exit = LastExit(reason=reason, at=shim.now())
        self._tell("crash", reason if final is None else f"{reason}: {final}")
        return "failed"

    async def _race(self, work: Awaitable[Cause]) -> Cause:
        """The work's cause, unless the engine ends or the intent changes first."""
        tasks = [asyncio.ensure_future(work), asyncio.ensure_future(self._yielded())]
        if self._run:
            tasks.append(asyncio.ensure_future(self._ended(self._run)))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        ended = next(t for t in reversed(tasks) if t in done)
        return ended.result()

    async def _yielded(self) -> Cause:
        while not states.yields(self._machine):
            self._changed.clear()
            await self._changed.wait()
        return "asked"

    async def _ended(self, run: EngineRun) -> Cause:
        """The engine's leader exited and nobody had asked for it."""
        await run.ended()
        self.gate.close("the engine has failed", RETRY_AFTER_S)
        return self._note_exit(await asyncio.shield(run.record()), run)

    def _note_exit(self, ended: Exit, run: EngineRun) -> Cause:
        reason = causes.reason_of(ended.code, ended.signal)
        found = causes.diagnose(ended.code, ended.signal, run.log_tail()) if self._ready_at_s is None else None
        words = reason if found is None or found.final else f"{reason}: {found.sentence}"
        cause = self._failed(words, final=found.sentence if found and found.final else None)
        self._last_exit = LastExit(reason=words, code=ended.code, signal=ended.signal, at=ended.at)
        return cause

    # --- one handler a state -----------------------------------------------------------------------------

    async def _until_asked(self) -> Cause:
        return await self._yielded()

    async def _preflight(self) -> Cause:
        self._hasty = False
        self._crash = None
        self._ready_s = None
        self._started_s = time.monotonic()
        left = EngineRun.attach(self._folder.engine) if self._run is None else None
        try:
            if left and left.digest == launch.digest(self._spec):
                self._run = left
                self._connect(left)
                before = self._folder.read_status()
                if before:
                    self._restarts, self._last_exit = before.restarts, before.last_exit
                self._tell("adopted", f"pid {left.pid} of an earlier supervisor runs on")
                return "adopted"
            if left:
                self._tell("replaced", f"pid {left.pid} of an earlier supervisor served something else")
                await left.end(self._limits.term_grace_s)
                left.close()
            await asyncio.to_thread(preflight.check_model, self._spec.plan)
        except (ModelFileError, EnvironmentFailedError) as error:
            self._reason = error.message
            return "refused"
        return "asked" if states.yields(self._machine) else "checked"

    async def _start(self) -> Cause:
        try:
            key = launch.new_key(self._folder.engine, self._signals)
            command = launch.prepare(self._spec, self._signals, self._limits, key)
            self._run = await EngineRun.start(self._folder.engine, command)
        except EnvironmentFailedError as error:
            return self._failed("not started", final=error.message)
        except OSError as error:  # a full disk or no descriptors: it may pass
            return self._failed(f"not started: {error}")
        self._connect(self._run)
        return "spawned"

    def _connect(self, run: EngineRun) -> None:
        """Point proxy and probes at this run.

        Every request gets a connection of its own: an engine may close a kept one at any moment (llama-server after 100
        requests), and a request that meets that cannot be told from one that killed the engine. It costs 0.1 ms.
        """
        by_port = isinstance(run.address, int)
        connector = (
            aiohttp.TCPConnector(limit=0, force_close=True)
            if by_port
            else aiohttp.UnixConnector(str(run.address), limit=0, force_close=True)
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        base = f"http://127.0.0.1:{run.address}" if by_port else "http://engine"
        key = launch.read_key(self._folder.engine)
        self.proxy.target = Target(base, self._session, key)
        self._probe = Probe(self._session, base, key, self._signals)

    async def _load(self) -> Cause:
        return await self._race(self._loaded())

    async def _loaded(self) -> Cause:
        assert self._run is not None  # noqa: S101 - the table reaches `loading` only with an engine
        load = Load(self._run, self._probe, self._spec.plan.health_path, self._limits)
        try:
            await load.until_answering()
        except NotReadyError as error:
            return self._failed(error.reason, final=error.final)
        return "answering"

    async def _warm(self) -> Cause:
        return await self._race(self._warmed())

    async def _warmed(self) -> Cause:
        try:
            self._model_name = await warm(self._probe, self._spec.plan, self._limits)
        except NotReadyError as error:
            return self._failed(error.reason, final=error.final, nonsense=error.nonsense)
        now = time.monotonic()
        self._ready_s, self._ready_at_s = round(now - self._started_s, 3), now
        self.metrics.load_s.set(self._ready_s)
        self._reason = None
        self._wait_s = 0.0
        self.ever_ready = True
        return "sane"

    async def _serve(self) -> Cause:
        assert self._run is not None  # noqa: S101 - the table reaches `ready` only with an engine
        if self._watch is None or self._watch.run is not self._run:
            self._watch = Watch(
                self._run, self._probe, self.proxy, self._signals, self.metrics, self._limits, self._spec.plan
            )
        return await self._race(self._watched(self._watch))

    async def _watched(self, watch: Watch) -> Cause:
        async with contextlib.aclosing(watch.verdicts(self._model_name)) as verdicts:
            async for verdict in verdicts:
                self._folder.write_status(self.view())
                self._healthy_for()
                if verdict in ("hung", "dead"):
                    return self._failed(watch.why(verdict))
                if verdict == "suspect" and self._machine.state == "ready":
                    self._reason = watch.why(verdict)
                    return "suspect"
                if verdict not in ("suspect", "gone") and self._machine.state == "degraded":
                    self._reason = None
                    return "recovered"
        raise AssertionError("verdicts never end")

    def _healthy_for(self) -> None:
        if self._ready_at_s is not None:
            ready_for = time.monotonic() - self._ready_at_s
            self._history = restart.after_health(self._history, ready_for, self.proxy.successes, self._limits)

    async def _drain(self) -> Cause:
        deadline = time.monotonic() + self._limits.drain_s
        run = self._run
        while run and run.alive() and self.gate.active and not self._hasty and time.monotonic() < deadline:
            await self.gate.drained(min(0.1, max(0.0, deadline - time.monotonic())))
        return "drained"

    async def _end(self) -> Cause:
        """The old process tree must be gone before anything else happens."""
        if self._run:
            run, asked = self._run, self._crash is None
            try:
                orphans = await run.end(self._grace_s() if asked else 0)
            except EnvironmentFailedError as error:
                self._crash = restart.Crash(time.monotonic(), False, error.message, final=error.message)
                orphans = 0
            self._last_exit = await self._final_exit(run, asked)
            held = await gpu.still_held(run.seen, self._limits.vram_back_s)
            if held:
                self._crash = None
                self._failed(f"GPU memory is not given back after {self._limits.vram_back_s:g} s: {held}")
            if orphans:
                self.metrics.orphans.inc(orphans)
                self._tell("orphans", f"{orphans} processes of the old engine were ended")
            run.close()
            self._run = None
            self.proxy.target = None
            if self._session:
                await self._session.close()
        return self._next()

    def _grace_s(self) -> float:
        return min(HASTY_GRACE_S, self._limits.term_grace_s) if self._hasty else self._limits.term_grace_s

    async def _final_exit(self, run: EngineRun, asked: bool) -> LastExit:
        """How the run ended in the end: as asked, or by our own kill of a hung engine."""
        ended = await run.record()
        if asked:
            reason = "asked: restart" if self._machine.intent == "run" else "asked: stop"
        else:
            reason = self._last_exit.reason if self._last_exit else causes.reason_of(ended.code, ended.signal)
        return LastExit(reason=reason, code=ended.code, signal=ended.signal, at=ended.at)

    def _next(self) -> Cause:
        """What the policy says about the crash that brought us here, if it was one."""
        if self._crash is None:
            self._restarts += self._machine.intent == "run"
            return "gone"
        crash, self._crash = self._crash, None
        if self._machine.intent == "stop":
            return "gone"
        self._history, decision = restart.after_crash(self._history, crash, self._limits, random.random())
        self._wait_s = decision.delay_s
        self._reason = decision.why if decision.kind == "fatal" else f"{crash.reason}; {decision.why}"
        if decision.kind == "fatal":
            return "give_up"
        self._restarts += 1
        self.metrics.restarted(causes.label(crash.reason))
        causes_by_kind: dict[str, Cause] = {"again": "again", "backoff": "wait", "crash_loop": "loop"}
        return causes_by_kind[decision.kind]

    async def _pause(self) -> Cause:
        async def due() -> Cause:
            await asyncio.sleep(self._wait_s)
            return "due"

        return await self._race(due())
