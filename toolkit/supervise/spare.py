"""The second engine of a swap: brought up beside the one that serves, or ended without a trace."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from toolkit.backends.base import Signals
from toolkit.errors import EnvironmentFailedError
from toolkit.supervise import causes, launch
from toolkit.supervise.engine import EngineRun
from toolkit.supervise.limits import Limits
from toolkit.supervise.link import Link
from toolkit.supervise.oom import Ladder
from toolkit.supervise.readiness import Load, NotReadyError, warm
from toolkit.supervise.store import Spec


@dataclass(frozen=True)
class Arrival:
    """A second engine that has answered sanely."""

    link: Link
    slot: Path
    model_name: str
    ready_s: float


async def bring_up(spec: Spec, ladder: Ladder, slot: Path, signals: Signals, limits: Limits) -> Arrival:
    """Start an engine in ``slot``, wait until it can be trusted; nothing is left of it when that fails or is cancelled.

    Raises:
        NotReadyError, EnvironmentFailedError, OSError: it could not be started or did not become ready; says why.
    """
    begun = asyncio.get_running_loop().time()
    key = launch.new_key(slot, signals)
    command = launch.prepare(spec, signals, limits, key, ladder)
    starting = asyncio.create_task(EngineRun.start(slot, command))
    try:
        run = await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.gather(starting, return_exceptions=True)
        if not starting.exception():
            await starting.result().end(0)
            starting.result().close()
        raise
    link = Link.to(run, slot, signals)
    try:
        name = await _until_sane(link, spec, limits)
    except BaseException:
        await asyncio.shield(end(link))
        raise
    return Arrival(link, slot, name, round(asyncio.get_running_loop().time() - begun, 3))


async def end(link: Link, grace_s: float = 0) -> int:
    """End an engine and all it has started; how many were left behind by its leader."""
    try:
        return await link.run.end(grace_s)
    finally:
        await link.close()


async def discard(coming: asyncio.Task[Arrival]) -> None:
    """Give a second engine up, wherever it is on its way."""
    coming.cancel()
    await asyncio.gather(coming, return_exceptions=True)
    if not coming.cancelled() and coming.exception() is None:
        await end(coming.result().link)


async def _until_sane(link: Link, spec: Spec, limits: Limits) -> str:
    """The same tests as a first start's, ended early by the engine's own end."""
    ending = asyncio.create_task(link.run.ended())
    warming = asyncio.create_task(_warmed(link, spec, limits))
    try:
        await asyncio.wait((ending, warming), return_when=asyncio.FIRST_COMPLETED)
        if not warming.done():
            raise NotReadyError(await _how_it_ended(link.run))
        return warming.result()
    finally:
        for task in (ending, warming):
            task.cancel()
        await asyncio.gather(ending, warming, return_exceptions=True)


async def _warmed(link: Link, spec: Spec, limits: Limits) -> str:
    await Load(link.run, link.probe, spec.plan.health_path, limits).until_answering()
    return await warm(link.probe, spec.plan, limits)


async def _how_it_ended(run: EngineRun) -> str:
    ended = await run.record()
    reason = causes.reason_of(ended.code, ended.signal)
    found = causes.diagnose(ended.code, ended.signal, run.log_tail())
    return f"{reason}: {found.sentence}" if found else reason


FAILURES = (NotReadyError, EnvironmentFailedError, OSError)
