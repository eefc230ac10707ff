"""The engine beside the one that serves: the second one of a swap on its way up, then the old one on its way out.

The supervisor's run loop says when; this owns both tasks and leaves no process behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from toolkit.backends.base import Signals
from toolkit.errors import EnvironmentFailedError
from toolkit.supervise import memory, spare
from toolkit.supervise.limits import Limits
from toolkit.supervise.link import Link
from toolkit.supervise.metrics import Metrics
from toolkit.supervise.oom import Ladder
from toolkit.supervise.patience import Patience
from toolkit.supervise.record import Record
from toolkit.supervise.spare import Arrival
from toolkit.supervise.states import Cause
from toolkit.supervise.store import Spec
from toolkit.types import LastExit, MemoryPlan


async def lacking(serving: Link, plan: MemoryPlan | None) -> str | None:
    """The sums of what does not suffice for a second engine like this one; None when all does."""
    tree = await asyncio.to_thread(serving.run.tree)
    return memory.lacking(await asyncio.to_thread(memory.rooms, tree, plan))


class Swap:
    """At most one engine that comes and one that goes."""

    def __init__(
        self, spec: Spec, signals: Signals, limits: Limits, patience: Patience, record: Record, metrics: Metrics
    ) -> None:
        self._spec = spec
        self._signals = signals
        self._limits = limits
        self._patience = patience
        self._record = record
        self._metrics = metrics
        self._coming: asyncio.Task[Arrival] | None = None
        self._leaving: asyncio.Task[None] | None = None

    @property
    def coming(self) -> bool:
        """Whether a second engine is on its way up, or there and not yet taken."""
        return self._coming is not None

    @property
    def leaving(self) -> bool:
        """Whether an old engine still ends its requests."""
        return self._leaving is not None

    def begin(self, slot: Path, ladder: Ladder) -> None:
        """Let a second engine come up in this slot."""
        self._coming = asyncio.create_task(spare.bring_up(self._spec, ladder, slot, self._signals, self._limits))

    async def arrived(self) -> Cause:
        """Wait for the second engine; whether it can serve."""
        assert self._coming is not None  # noqa: S101 - only asked while one is coming
        coming = self._coming
        await asyncio.wait((coming,))
        return "kept" if coming.exception() else "swapped"

    def flip(self, old: Link, gone: Callable[[str], None]) -> Arrival:
        """The engine that has arrived. The old one ends its requests, then itself; ``gone`` is told in words."""
        assert self._coming is not None  # noqa: S101 - only taken after it has arrived
        new, self._coming = self._coming.result(), None
        self._metrics.load_s.set(self._record.ready(new.ready_s))
        self._record.restarts += 1
        self._metrics.restarted("swap")
        self._leaving = asyncio.create_task(self._retire(old, gone))
        return new

    async def _retire(self, old: Link, gone: Callable[[str], None]) -> None:
        await self._patience.drain(lambda: old.run.alive() and old.target.in_flight)
        what = f"pid {old.run.pid}"
        try:
            orphans = await spare.end(old, self._patience.grace_s())
            self._metrics.orphans.inc(orphans)
            ended = await old.run.record()
            self._record.last_exit = LastExit(
                reason="asked: restart", code=ended.code, signal=ended.signal, at=ended.at
            )
            what += f" and {orphans} processes it left" if orphans else ""
        except EnvironmentFailedError as error:
            what = error.message
        self._leaving = None
        gone(what)

    async def discard(self) -> str | None:
        """Give the second engine up, if there is one; why, in words."""
        coming, self._coming = self._coming, None
        if coming is None:
            return None
        failed = coming.done() and not coming.cancelled() and coming.exception()
        await spare.discard(coming)
        return str(failed or "it is not wanted any more")

    async def retired(self) -> None:
        """Wait until the old engine is gone, in a hurry."""
        if self._leaving:
            self._patience.hasty = True
            await self._leaving
