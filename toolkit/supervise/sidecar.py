"""The proxy before an engine that something else started and restarts, with a liveness that is more than a page.

It queues, asks for the key, measures, and tells by ``/livez`` whether the engine gets on: by its counters and the
bytes it sends while it is busy, by a token when it is idle. Whoever owns the engine (a kubelet) acts on that.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

import aiohttp

from toolkit.backends.base import Signals
from toolkit.errors import EnvironmentFailedError, InputError
from toolkit.supervise import keys, liveness, preflight, watch
from toolkit.supervise.admission import Gate
from toolkit.supervise.keys import Keys
from toolkit.supervise.limits import Limits
from toolkit.supervise.link import session
from toolkit.supervise.liveness import Memory, Pulse
from toolkit.supervise.metrics import Metrics
from toolkit.supervise.probe import Probe
from toolkit.supervise.proxy import Proxy, Target
from toolkit.supervise.quarantine import Quarantine
from toolkit.types import Deployment, State

READY_TICK_S = 1.0
"""How often an engine that is not ready is asked."""


@dataclass(frozen=True)
class Settings:
    """What stands before what. ``engine`` is a base URL without ``/v1``; ``key`` is asked of clients and told to it."""

    engine: str
    backend: str
    model: str
    signals: Signals
    limits: Limits
    host: str
    port: int
    key: str | None = None
    health_path: str = "/health"


class Sidecar:
    """One proxy, one engine."""

    def __init__(self, settings: Settings, tell: Callable[[str], None]) -> None:
        limits = settings.limits
        self._settings = settings
        self._tell = tell
        self._metrics = Metrics(settings.model)
        self._gate = Gate(limits.max_in_flight, limits.queue_limit, limits.queue_timeout_s)
        accepted = Keys((settings.key,) if settings.key else ())
        self.proxy = Proxy(self._gate, Quarantine(limits.poison_limit), accepted, self._metrics, self._view)
        self._state: State = "stopped"
        self._reason: str | None = None
        self._memory: Memory | None = None
        self._asking: asyncio.Task[bool] | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until told to stop; then wait for open requests, within the limit.

        Raises:
            InputError: the address is taken, or public without a key.
        """
        settings = self._settings
        keys.check_bind(settings.host, bool(settings.key))
        await asyncio.to_thread(preflight.check_port, settings.host, settings.port)
        kept, fresh = session(0, force_close=False), session(0, force_close=True)
        target = Target(settings.engine, kept, fresh, settings.key)
        probe = Probe(kept, settings.engine, settings.key, settings.signals)
        self.proxy.target = target
        await self.proxy.open(settings.host, settings.port)
        self._enter("loading")
        watching = asyncio.create_task(self._follow(target, probe))
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({watching, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                watching.result()
            self._enter("draining")
            self._gate.close("the server is stopping", 5)
            await self._gate.drained(settings.limits.drain_s)
        finally:
            for task in (watching, stopped):
                task.cancel()
            await self.proxy.close()
            await kept.close()
            await fresh.close()

    async def _follow(self, target: Target, probe: Probe) -> None:
        """Look at the engine for ever."""
        limits = self._settings.limits
        due = time.monotonic()
        while True:
            tick_s = limits.tick_s if self._memory else min(limits.tick_s, READY_TICK_S)
            due = max(due + tick_s, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
            late_s = time.monotonic() - due
            if not await self._listens():
                self._gone()
            elif self._memory is None:
                await self._welcome(target, probe)
            else:
                self._memory = await self._judge(self._memory, target, probe, late_s)

    async def _listens(self) -> bool:
        """Whether anything takes a connection there. One that hangs does; one that has ended does not."""
        place = urlsplit(self._settings.engine)
        try:
            async with asyncio.timeout(self._settings.limits.health_timeout_s):
                _, writer = await asyncio.open_connection(place.hostname, place.port)
        except TimeoutError:
            return True
        except OSError:
            return False
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return True

    def _gone(self) -> None:
        """It has ended, and is somebody else's to start: what it was judged by is over."""
        if self._memory is not None:
            self.proxy.quarantine.crashed()
            self._metrics.restarted("gone")
            self._metrics.another_engine()
        self._forget()
        self._enter("loading")

    def _forget(self) -> None:
        self._memory = None
        self.proxy.failing = None
        self._gate.close("the engine is starting", 5)
        if self._asking:
            self._asking.cancel()
            self._asking = None

    async def _welcome(self, target: Target, probe: Probe) -> None:
        """Ready is one that has answered with a token."""
        settings = self._settings
        if await probe.health(settings.health_path, settings.limits.health_timeout_s) != 200:
            return
        if await probe.token(settings.model, settings.limits.probe_timeout_s):
            self._memory = liveness.begin(time.monotonic(), target.streamed_bytes)
            self._gate.open()
            self._enter("ready")

    async def _judge(self, memory: Memory, target: Target, probe: Probe, late_s: float) -> Memory:
        limits, signals = self._settings.limits, self._settings.signals
        health, series = await asyncio.gather(
            probe.health(self._settings.health_path, limits.health_timeout_s), probe.metrics(limits.health_timeout_s)
        )
        for kind, name in (("prompt", signals.prompt_tokens_counter), ("output", signals.output_tokens_counter)):
            total = watch.one(series, name)
            if total is not None:
                self._metrics.engine_count(kind, total)
        asked, probing = self._answered(), self._asking is not None
        pulse = Pulse(
            now_s=time.monotonic(),
            late_s=late_s,
            in_flight=target.in_flight,
            queued_in_engine=watch.summed(series, signals.busy_gauges),
            counters=watch.picked(series, signals.progress_counters),
            streamed_bytes=target.streamed_bytes,
            health=health,
            probe=asked,
            probing=probing or asked is not None,
        )
        memory, verdict = liveness.judge(memory, pulse, limits, unhealthy_means_dead=signals.unhealthy_means_dead)
        self._metrics.stalled_s.set(memory.stalled_s)
        self._act(verdict, memory, answered=asked == "answered")
        if (verdict == "probe" or self.proxy.failing) and self._asking is None:
            self._asking = asyncio.create_task(probe.token(self._settings.model, limits.probe_timeout_s))
        return memory

    def _answered(self) -> Literal["answered", "failed"] | None:
        if self._asking is None or not self._asking.done():
            return None
        told: Literal["answered", "failed"] = "answered" if self._asking.result() else "failed"
        self._asking = None
        return told

    def _act(self, verdict: liveness.Verdict, memory: Memory, *, answered: bool) -> None:
        """Say it by `/livez` and `/readyz`; nothing is killed from here. Only progress takes it back."""
        if verdict in ("hung", "dead"):
            self.proxy.failing = self.proxy.failing or f"{verdict}: {_why(verdict, memory)}"
            self._gate.close("the engine hangs", 5)
            self._enter("degraded", self.proxy.failing)
        elif self.proxy.failing and (answered or verdict == "healthy"):
            self.proxy.failing = None
            self._gate.open()
            self._enter("ready")

    def _enter(self, state: State, reason: str | None = None) -> None:
        if (state, reason is None) != (self._state, self._reason is None):
            self._metrics.enter(state)
            self._tell(f"{state}{f': {reason}' if reason else ''}")
        self._state, self._reason = state, reason

    def _view(self) -> Deployment:
        settings = self._settings
        return Deployment(
            name=settings.model,
            state=self._state,
            pid=None,
            supervisor_pid=os.getpid(),
            backend=settings.backend,
            base_url=f"http://{settings.host}:{settings.port}/v1",
            restarts=0,
            in_flight=self._gate.active,
            queued=self._gate.queued,
            served_name=settings.model,
            reason=self._reason,
        )


def _why(verdict: liveness.Verdict, memory: Memory) -> str:
    if verdict == "dead":
        return "it reports itself failed"
    if memory.probe_failures:
        return f"idle, and {memory.probe_failures} times no token when asked for one"
    return f"busy without progress for {memory.stalled_s:.0f} s"


def checked(engine: str) -> str:
    """A base URL of an engine.

    Raises:
        InputError: no http URL with a host and a port.
    """
    place = urlsplit(engine)
    try:
        port = place.port
    except ValueError:
        port = None
    if place.scheme != "http" or not place.hostname or not port or place.path.strip("/") or place.query:
        raise InputError(f"{engine!r} is no address of an engine", "write it like http://127.0.0.1:8001.")
    return f"http://{place.netloc}"


def run(settings: Settings, tell: Callable[[str], None]) -> None:
    """Serve in this process until SIGTERM or SIGINT; ``tell`` hears every change of state.

    Raises:
        InputError: the address is taken, or public without a key.
        EnvironmentFailedError: the network failed us.
    """

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await Sidecar(settings, tell).run(stop)

    try:
        asyncio.run(main())
    except (OSError, aiohttp.ClientError) as error:
        raise EnvironmentFailedError(f"the sidecar cannot go on: {error}") from None
