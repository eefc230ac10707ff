"""Looks at a ready engine once a tick, and turns what it sees into verdicts by the rule of `liveness`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Literal

from toolkit.backends.base import Series, Signals
from toolkit.supervise import gpu, liveness
from toolkit.supervise.engine import TALK_S
from toolkit.supervise.limits import Limits
from toolkit.supervise.link import Link
from toolkit.supervise.liveness import Pulse, Verdict
from toolkit.supervise.metrics import Metrics
from toolkit.types import LaunchPlan


class Watch:
    """The pulse of one run. Its memory outlives a change between ready and degraded."""

    def __init__(
        self,
        link: Link,
        signals: Signals,
        metrics: Metrics,
        limits: Limits,
        plan: LaunchPlan,
    ) -> None:
        self.link = link
        self._run = link.run
        self._probe = link.probe
        self._target = link.target
        self._signals = signals
        self._metrics = metrics
        self._limits = limits
        self._health_path = plan.health_path
        self._memory = liveness.begin(time.monotonic(), link.target.streamed_bytes)
        self._asking: asyncio.Task[bool] | None = None
        metrics.another_engine()
        if link.run.adopted:
            metrics.continued()
        self._output: tuple[float, float] | None = None
        self.output_tok_s: float | None = None
        self.kv_use: float | None = None
        self.looked_s = time.monotonic()
        """When the last look ended."""
        self._due_s = self.looked_s

    async def verdicts(self, model: str) -> AsyncGenerator[Verdict, None]:
        """One verdict a tick, for ever; the first one at once."""
        try:
            while True:
                await asyncio.sleep(max(0.0, self._due_s - time.monotonic()))
                woke = time.monotonic()
                pulse = await self._look(late_s=woke - self._due_s)
                self.looked_s = time.monotonic()
                self._due_s = max(self._due_s + self._limits.tick_s, self.looked_s)
                self._memory, verdict = liveness.judge(
                    self._memory, pulse, self._limits, unhealthy_means_dead=self._signals.unhealthy_means_dead
                )
                self._metrics.stalled_s.set(self._memory.stalled_s)
                if verdict == "probe" and self._asking is None:
                    self._asking = asyncio.create_task(self._ask(model))
                yield verdict
        finally:
            if self._asking:
                self._asking.cancel()
                self._asking = None

    def why(self, verdict: Verdict) -> str:
        """A verdict in words."""
        if verdict == "dead":
            return "dead: the engine reports itself failed (503)"
        if self._memory.probe_failures >= self._limits.probe_failures:
            return f"hung: idle, and {self._memory.probe_failures} times no token when asked for one"
        return f"{'hung' if verdict == 'hung' else 'slow'}: busy without progress for {self._memory.stalled_s:.1f} s"

    async def _ask(self, model: str) -> bool:
        begun = time.monotonic()
        answered = await self._probe.token(model, self._limits.probe_timeout_s)
        self._metrics.probe_s.observe(time.monotonic() - begun)
        return answered

    async def _look(self, late_s: float) -> Pulse:
        limit, begun = self._limits.health_timeout_s, time.monotonic()
        health, series, log = await asyncio.gather(
            self._probe.health(self._health_path, limit), self._probe.metrics(limit), self._run.log_state()
        )
        if gpu.holders() is not None:
            await asyncio.to_thread(self._run.tree)  # remembers who may hold GPU memory
            self._metrics.gpus(await asyncio.to_thread(gpu.readings))
        self._metrics.dropped.set(float(log.get("dropped_log_bytes", 0)))
        self._count(series)
        asked: Literal["answered", "failed"] | None = None
        probing = self._asking is not None
        if self._asking and self._asking.done():
            asked = "answered" if self._asking.result() else "failed"
            self._asking = None
        now = time.monotonic()
        return Pulse(
            now_s=now,
            late_s=max(late_s, now - begun - limit - TALK_S),
            alive=self._run.alive(),
            in_flight=self._target.in_flight,
            queued_in_engine=summed(series, self._signals.busy_gauges),
            counters=picked(series, self._signals.progress_counters),
            streamed_bytes=self._target.streamed_bytes,
            health=health,
            probe=asked,
            probing=probing,
        )

    def _count(self, series: dict[str, float] | None) -> None:
        for kind, name in (
            ("prompt", self._signals.prompt_tokens_counter),
            ("output", self._signals.output_tokens_counter),
        ):
            total = one(series, name)
            if total is not None:
                self._metrics.engine_count(kind, total)
                if kind == "output":
                    self._rate(time.monotonic(), total)
        use = one(series, self._signals.kv_use_gauge)
        if use is not None:
            self.kv_use = round(use, 4)
            self._metrics.kv_use(self.kv_use)

    def _rate(self, now_s: float, total: float) -> None:
        if self._output and now_s > self._output[0]:
            self.output_tok_s = round((total - self._output[1]) / (now_s - self._output[0]), 2)
        self._output = (now_s, total)


def one(series: dict[str, float] | None, names: Series) -> float | None:
    """The first of the named series that is there; None when none is."""
    wanted = (names,) if isinstance(names, str) else names or ()
    return next((series[name] for name in wanted if name in series), None) if series else None


def summed(series: dict[str, float] | None, names: tuple[str, ...]) -> float | None:
    """What is there of the named series, added up; None when none is."""
    found = [series[n] for n in names if n in series] if series else []
    return sum(found) if found else None


def picked(series: dict[str, float] | None, names: tuple[str, ...]) -> tuple[float, ...] | None:
    """What is there of the named series; None when none is."""
    found = tuple(series[n] for n in names if n in series) if series else ()
    return found or None
