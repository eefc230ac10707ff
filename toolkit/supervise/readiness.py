"""From a started process to a server that can be trusted: our own process listens, answers, and makes sense."""

from __future__ import annotations

import asyncio

from toolkit import machine
from toolkit.supervise import canary, liveness, process
from toolkit.supervise.engine import EngineRun
from toolkit.supervise.limits import Limits
from toolkit.supervise.liveness import LoadMark, LoadMemory
from toolkit.supervise.probe import Probe
from toolkit.types import LaunchPlan

FIRST_LOOK_S = 0.05
SLOWEST_LOOK_S = 1.0
LOOK_GROWTH = 1.2
LATE_FACTOR = 12
"""A loading engine has so many times ``health_timeout_s`` for one answer: one minute."""
OK = 200


class NotReadyError(Exception):
    """The load ended without a usable server. ``final`` when no restart can mend it."""

    def __init__(self, reason: str, final: str | None = None, *, nonsense: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.final = final
        self.nonsense = nonsense


class Load:
    """Waits for one engine to answer; its deadline moves with its progress."""

    def __init__(self, run: EngineRun, probe: Probe, health_path: str | None, limits: Limits) -> None:
        self._run = run
        self._probe = probe
        self._health_path = health_path
        self._limits = limits
        self._asking: asyncio.Task[int | None] | None = None

    async def until_answering(self) -> None:
        """Return when the health path answers 200 from a process of ours.

        Raises:
            NotReadyError: no progress for too long, too long altogether, or a stranger has the port.
        """
        try:
            await self._until_answering()
        finally:
            if self._asking:
                self._asking.cancel()
                await asyncio.gather(self._asking, return_exceptions=True)

    async def _until_answering(self) -> None:
        loop = asyncio.get_running_loop()
        memory = LoadMemory(begun_s=loop.time(), progress_s=loop.time())
        pause, planned = FIRST_LOOK_S, loop.time()
        while not await self._answers():
            now = loop.time()
            late = max(0.0, now - planned - self._limits.health_timeout_s)
            memory, verdict = liveness.judge_load(memory, await self._mark(), now, late, self._limits)
            if verdict == "stalled":
                raise NotReadyError(f"no progress of the load for {self._limits.load_stall_s:g} s")
            if verdict == "too_long":
                raise NotReadyError(f"the load took longer than {self._limits.load_cap_s:g} s")
            planned = loop.time() + pause
            await asyncio.sleep(pause)
            pause = min(pause * LOOK_GROWTH, SLOWEST_LOOK_S, self._limits.tick_s)

    async def _answers(self) -> bool:
        limit_s = self._limits.health_timeout_s
        if self._asking is None:
            self._asking = asyncio.create_task(self._probe.health(self._health_path, LATE_FACTOR * limit_s))
        await asyncio.wait((self._asking,), timeout=limit_s)
        if not self._asking.done():
            return False  # a late answer is an answer; what else it does is looked at meanwhile
        status, self._asking = self._asking.result(), None
        if status is None:
            return False
        tree = await asyncio.to_thread(self._run.tree)
        address = self._run.address
        ours = process.owns_listener(address, tree)
        if ours is False:
            holder = (
                await asyncio.to_thread(machine.holder_of_port, address)
                if isinstance(address, int)
                else "another process"
            )
            raise NotReadyError(f"port taken: {address} answers, but it belongs to {holder}")
        return bool(ours) and status == OK

    async def _mark(self) -> LoadMark:
        log = await self._run.log_state()
        read, resident = await asyncio.to_thread(lambda: process.resources(self._run.tree()))
        return LoadMark(log_bytes=int(log.get("log_bytes", 0)), read_bytes=read, memory_bytes=resident)


async def warm(probe: Probe, plan: LaunchPlan, limits: Limits, *, known: bool = False) -> str:
    """Check the served name and ask the canary's question. Returns the model's name at the engine.

    One that is ``known`` to have answered it, to an earlier supervisor, is asked for one token only: clients wait.

    Raises:
        NotReadyError: it serves something else, does not answer in time, or answers nonsense.
    """
    names = await probe.models(limits.health_timeout_s)
    name = plan.served_name
    if name not in names and plan.backend == "command" and len(names) == 1:
        name = names[0]
    if names and name not in names:
        raise NotReadyError(f"wrong model: it serves {', '.join(names[:5])}, not {name}")
    if known:
        if not await probe.token(name, limits.load_stall_s):
            raise NotReadyError(f"no token in {limits.load_stall_s:g} s")
        return name
    try:
        text = await probe.answer(name, limits.load_stall_s)
    except TimeoutError:
        raise NotReadyError(f"no answer to a first question in {limits.load_stall_s:g} s") from None
    except Exception as error:
        raise NotReadyError(f"no answer to a first question: {error}") from None
    why = None if text is None else canary.why_nonsense(text)
    if why:
        raise NotReadyError(f"nonsense: {why}", nonsense=True)
    return name
