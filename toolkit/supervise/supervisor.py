"""The one owner of a served engine's state: runs a handler in each state and steps the machine with its cause.

Everyone else states an intent (`ask`) and reads `view`; nobody else starts or ends a process.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Coroutine
from decimal import Decimal
from typing import Any

from toolkit.backends.base import Backend
from toolkit.errors import EnvironmentFailedError, ModelFileError
from toolkit.supervise import causes, gpu, launch, preflight, shim, states, swap, takeover
from toolkit.supervise.admission import Gate
from toolkit.supervise.engine import EngineRun, Exit
from toolkit.supervise.keys import Keys
from toolkit.supervise.link import Link
from toolkit.supervise.metrics import Metrics
from toolkit.supervise.patience import Patience
from toolkit.supervise.proxy import Proxy
from toolkit.supervise.quarantine import Quarantine
from toolkit.supervise.readiness import Load, NotReadyError, warm
from toolkit.supervise.record import Record
from toolkit.supervise.recovery import Recovery
from toolkit.supervise.states import Cause, Intent, Machine
from toolkit.supervise.store import Folder, Spec
from toolkit.supervise.swap import Swap
from toolkit.supervise.watch import Watch
from toolkit.types import Deployment, Event, LastExit

RETRY_AFTER_S = 5.0
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
        self._signals = launch.signals_of(backend, spec.plan)
        self._limits = launch.effective_limits(spec)
        self._record = Record(folder, on_event)
        self._machine = Machine()
        self._changed = asyncio.Event()
        self._slot = folder.slot()
        self._link: Link | None = None
        self._model_name = spec.plan.served_name
        self._known: int | None = None
        """Pid of the engine that an earlier supervisor found sane."""
        self.metrics = Metrics(spec.name, spec.usd_per_hour)
        self._patience = Patience(self._limits)
        self._recovery = Recovery(spec.plan, self._signals, self._limits, self._record, self.metrics, self._tell)
        self._swap = Swap(spec, self._signals, self._limits, self._patience, self._record, self.metrics)
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
        self._patience.hasty = True
        self._changed.set()

    def watching(self) -> bool:
        """Whether a ready engine has been looked at lately; true while there is none to look at."""
        if self._watch is None or self._machine.state not in states.ADMITTING:
            return True
        look_s = self._limits.tick_s + self._limits.health_timeout_s
        return time.monotonic() - self._watch.looked_s < BLIND_TICKS * look_s + BLIND_EXTRA_S

    async def ask_swap(self, *, fall_back: bool) -> str | None:
        """Restart without a pause if memory allows; the sums when it does not, unless a plain restart will do then.

        Where nothing serves there is nothing to keep up, and it is a plain restart.
        """
        lacking = None
        if self._link and self._machine.state in states.ADMITTING:
            lacking = await swap.lacking(self._link, self._spec.plan.memory)
        if lacking and not fall_back:
            return lacking
        self.ask("restart" if lacking else "swap")
        return None

    def view(self) -> Deployment:
        """The state now."""
        run, record = self._link.run if self._link else None, self._record
        return Deployment(
            name=self._spec.name,
            state=self._machine.state,
            pid=run.pid if run and run.alive() else None,
            supervisor_pid=os.getpid(),
            backend=self._spec.plan.backend,
            base_url=launch.base_url(self._spec),
            restarts=record.restarts,
            last_exit=record.last_exit,
            ready_s=record.ready_s,
            uptime_s=record.uptime_s(),
            in_flight=self.gate.active,
            queued=self.gate.queued,
            output_tok_s=self._watch.output_tok_s if self._watch and record.ready_at_s is not None else None,
            kv_use=self._watch.kv_use if self._watch and record.ready_at_s is not None else None,
            usd_per_mtok=_cents(self.metrics.usd_per_mtok()),
            served_name=self._model_name,
            reason=record.reason,
            effective_config=launch.effective_config(self._spec, self._limits, self._recovery.ladder),
            events=tuple(record.events),
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
            return until_first_failure and not self._record.ever_ready
        return self._machine.state == "stopped" and self._machine.intent == "stop"

    # --- stepping ----------------------------------------------------------------------------------------

    def _enter(self, machine: Machine) -> None:
        """Take the new state, open or close the door accordingly, and tell."""
        changed = machine.state != self._machine.state
        self._machine = machine
        self.metrics.enter(machine.state)
        if machine.state in states.ADMITTING:
            self.gate.open()
        else:
            self.gate.close(f"the server is {machine.state}", self._recovery.wait_s or RETRY_AFTER_S)
        if machine.state not in (*states.ADMITTING, "draining"):
            self._record.ready_at_s = None
        if changed:
            self._tell(machine.state, self._detail())

    def _detail(self) -> str:
        state, record = self._machine.state, self._record
        if state == "ready":
            return f"in {record.ready_s:.1f} s" if record.ready_s is not None else ""
        if state in ("backoff", "crash_loop"):
            return f"next start in {self._recovery.wait_s:.1f} s ({record.reason})"
        if state == "fatal":
            return record.reason or ""
        return f"pid {self._link.run.pid}" if state == "loading" and self._link else ""

    def _tell(self, what: str, detail: str = "") -> None:
        event = self._record.event(what, detail)
        self._folder.write_status(self.view())
        self._record.publish(event)

    def _failed(self, reason: str, *, final: str | None = None, nonsense: bool = False) -> Cause:
        """Note how this run ended; what is noted first stands. The door closes now."""
        self.gate.close("the engine has failed", RETRY_AFTER_S)
        if self._recovery.crash is not None:
            return "failed"
        ready = self._record.ready_at_s is not None
        if ready:
            self.proxy.quarantine.crashed()
        self._recovery.note(reason, was_ready=ready, final=final, nonsense=nonsense)
        self._record.reason = final or reason
        self._record.last_exit = LastExit(reason=reason, at=shim.now())
        self._tell("crash", reason if final is None else f"{reason}: {final}")
        return "failed"

    async def _race(self, *works: Awaitable[Cause]) -> Cause:
        """The first work's cause, unless the engine ends or the intent changes first."""
        tasks = [asyncio.ensure_future(work) for work in (*works, self._yielded())]
        if self._link:
            tasks.append(asyncio.ensure_future(self._ended(self._link.run)))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        ended = next(t for t in reversed(tasks) if t in done)
        return ended.result()

    async def _yielded(self) -> Cause:
        while True:
            if states.yields(self._machine):
                return "asked"
            if cause := states.swaps(self._machine):
                return cause
            self._changed.clear()
            await self._changed.wait()

    async def _ended(self, run: EngineRun) -> Cause:
        """The engine's leader exited and nobody had asked for it."""
        await run.ended()
        self.gate.close("the engine has failed", RETRY_AFTER_S)
        return self._note_exit(await asyncio.shield(run.record()), run)

    def _note_exit(self, ended: Exit, run: EngineRun) -> Cause:
        words, final = causes.reason_of(ended.code, ended.signal), None
        if self._record.ready_at_s is None:
            words, final = self._recovery.diagnose(ended, run)
        cause = self._failed(words, final=final)
        self._record.last_exit = LastExit(reason=words, code=ended.code, signal=ended.signal, at=ended.at)
        return cause

    # --- one handler a state -----------------------------------------------------------------------------

    async def _until_asked(self) -> Cause:
        cause = await self._yielded()
        self._recovery.afresh()
        return cause

    async def _preflight(self) -> Cause:
        self._patience.hasty = False
        self._recovery.begin()
        self._record.begin()
        try:
            if await self._adopted():
                return "adopted"
            await asyncio.to_thread(preflight.check_model, self._spec.plan)
        except (ModelFileError, EnvironmentFailedError) as error:
            self._record.reason = error.message
            return "refused"
        return "asked" if states.yields(self._machine) else "checked"

    async def _adopted(self) -> bool:
        """Take over what an earlier supervisor left, if it is what is wanted; end everything else it left."""
        if not self._swap.leaving:  # else the other slot holds an engine of our own that ends its requests
            await takeover.end_unfinished(self._folder.other(self._slot), self._tell)
        digest, grace_s = launch.digest(self._spec), self._limits.term_grace_s
        left = await takeover.left_behind(self._slot, digest, grace_s, self._tell)
        if left is None:
            return False
        self._recovery.ladder = left.ladder or self._recovery.ladder
        self._connect(left)
        before = self._folder.read_status()
        if before:
            self._record.restarts, self._record.last_exit = before.restarts, before.last_exit
            self._known = before.pid if before.state in states.ADMITTING else None
        self._tell("adopted", f"pid {left.pid} of an earlier supervisor runs on")
        return True

    async def _start(self) -> Cause:
        try:
            key = launch.new_key(self._slot, self._signals)
            command = launch.prepare(self._spec, self._signals, self._limits, key, self._recovery.ladder)
            self._connect(await EngineRun.start(self._slot, command))
        except EnvironmentFailedError as error:
            return self._failed("not started", final=error.message)
        except OSError as error:  # a full disk or no descriptors: it may pass
            return self._failed(f"not started: {error}")
        return "spawned"

    def _connect(self, run: EngineRun) -> None:
        self._link = Link.to(run, self._slot, self._signals)
        self.proxy.target = self._link.target

    async def _load(self) -> Cause:
        return await self._race(self._loaded())

    async def _loaded(self) -> Cause:
        link = self._served()
        load = Load(link.run, link.probe, self._spec.plan.health_path, self._limits)
        try:
            await load.until_answering()
        except NotReadyError as error:
            return self._failed(error.reason, final=error.final)
        return "answering"

    def _served(self) -> Link:
        """The engine that this state is about."""
        assert self._link is not None  # noqa: S101 - the table reaches such a state only with an engine
        return self._link

    async def _warm(self) -> Cause:
        return await self._race(self._warmed())

    async def _warmed(self) -> Cause:
        link = self._served()
        try:
            self._model_name = await warm(link.probe, self._spec.plan, self._limits, known=link.run.pid == self._known)
        except NotReadyError as error:
            if not error.nonsense:
                self._recovery.look_for_shortage(link.run)  # it may live on after an allocation that failed
            return self._failed(error.reason, final=error.final, nonsense=error.nonsense)
        self.metrics.load_s.set(self._record.ready())
        self._recovery.ready()
        return "sane"

    async def _serve(self) -> Cause:
        link = self._served()
        if self._watch is None or self._watch.link is not link:
            self._watch = Watch(link, self._signals, self.metrics, self._limits, self._spec.plan)
        if self._machine.spare == "coming" and not self._swap.coming:
            self._swap.begin(self._folder.other(self._slot), self._recovery.ladder)
            self._tell("swap", f"a second engine comes up beside pid {link.run.pid}")
        cause = await self._race(self._watched(self._watch), *([self._swap.arrived()] if self._swap.coming else []))
        if cause == "swapped":
            self._flip(link)
        elif cause == "kept":
            await self._discard("the engine in place serves on")
        return cause

    def _flip(self, old: Link) -> None:
        """Requests go to the new engine from here on; the old one ends those it has. Nothing waits in between."""
        new = self._swap.flip(old, self._gone)
        self._folder.use(new.slot)
        self._slot, self._link, self._model_name = new.slot, new.link, new.model_name
        self.proxy.target = new.link.target
        self._tell("swapped", f"pid {new.link.run.pid} serves, pid {old.run.pid} ends its requests")

    def _gone(self, what: str) -> None:
        """The old engine of a swap has ended."""
        self._machine = states.left(self._machine)
        self._tell("retired", what)
        self._changed.set()

    async def _discard(self, then: str) -> None:
        """Give the second engine up, if there is one, and say why."""
        why = await self._swap.discard()
        if why:
            self._tell("swap_failed", f"{why}; {then}")

    async def _watched(self, watch: Watch) -> Cause:
        async with contextlib.aclosing(watch.verdicts(self._model_name)) as verdicts:
            async for verdict in verdicts:
                self._folder.write_status(self.view())
                self._healthy_for()
                if verdict in ("hung", "dead"):
                    return self._failed(watch.why(verdict))
                if verdict == "suspect" and self._machine.state == "ready":
                    self._record.reason = watch.why(verdict)
                    return "suspect"
                if verdict not in ("suspect", "gone") and self._machine.state == "degraded":
                    self._record.reason = None
                    return "recovered"
        raise AssertionError("verdicts never end")

    def _healthy_for(self) -> None:
        if self._record.ready_at_s is not None:
            self._recovery.healthy(time.monotonic() - self._record.ready_at_s, self.proxy.successes)

    async def _drain(self) -> Cause:
        await self._discard(f"the server is {self._machine.state}")
        run = self._served().run
        await self._patience.drain(lambda: run.alive() and self.gate.active)
        return "drained"

    async def _end(self) -> Cause:
        """The old process tree must be gone before anything else happens."""
        await self._discard("the engine in place has failed")
        if self._link:
            await self._end_run(self._link)
            self._link = None
        if self._machine.intent == "stop":
            await self._swap.retired()
        return self._recovery.next(self._machine.intent)

    async def _end_run(self, link: Link) -> None:
        run, asked = link.run, self._recovery.crash is None
        try:
            orphans = await run.end(self._patience.grace_s() if asked else 0)
        except EnvironmentFailedError as error:
            self._recovery.note(error.message, was_ready=False, final=error.message)
            orphans = 0
        self._record.last_exit = await self._final_exit(run, asked)
        self._recovery.lost(await asyncio.to_thread(gpu.lost))
        held = await gpu.still_held(run.seen, self._limits.vram_back_s)
        if held:
            self._recovery.crash = None
            self._failed(f"GPU memory is not given back after {self._limits.vram_back_s:g} s: {held}")
        if orphans:
            self.metrics.orphans.inc(orphans)
            self._tell("orphans", f"{orphans} processes of the old engine were ended")
        self.proxy.target = None
        await link.close()

    async def _final_exit(self, run: EngineRun, asked: bool) -> LastExit:
        """How the run ended in the end: as asked, or by our own kill of a hung engine."""
        ended, last = await run.record(), self._record.last_exit
        if asked:
            reason = "asked: restart" if self._machine.intent == "run" else "asked: stop"
        else:
            reason = last.reason if last else causes.reason_of(ended.code, ended.signal)
        return LastExit(reason=reason, code=ended.code, signal=ended.signal, at=ended.at)

    async def _pause(self) -> Cause:
        return await self._race(self._recovery.waited())


def _cents(dollars: Decimal | None) -> Decimal | None:
    """Four places are enough for a figure that moves."""
    return None if dollars is None else dollars.quantize(Decimal("0.0001"))
