"""What follows a crash: its cause, less memory where that was it, a wait, or the end. Touches no process.

The rules are those of `restart` and `oom`; this remembers what they need from one run to the next.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import replace

from toolkit.backends.base import Signals
from toolkit.supervise import causes, memory, oom, restart
from toolkit.supervise.engine import EngineRun, Exit
from toolkit.supervise.limits import Limits
from toolkit.supervise.metrics import Metrics
from toolkit.supervise.oom import Ladder, Shortage
from toolkit.supervise.record import Record
from toolkit.supervise.restart import Crash, History
from toolkit.supervise.states import Cause, Intent
from toolkit.types import LaunchPlan

_CAUSES: dict[str, Cause] = {"again": "again", "backoff": "wait", "crash_loop": "loop", "fatal": "give_up"}


class Recovery:
    """The crashes of one served name so far, and what comes next."""

    def __init__(
        self,
        plan: LaunchPlan,
        signals: Signals,
        limits: Limits,
        record: Record,
        metrics: Metrics,
        tell: Callable[[str, str], None],
    ) -> None:
        self._plan = plan
        self._knobs = signals.knobs
        self._limits = limits
        self._record = record
        self._metrics = metrics
        self._tell = tell
        self._history = History()
        self._kernel_kills = 0
        self._proven: set[tuple[str, ...]] = set()
        self.crash: Crash | None = None
        """How the present run ended, when nobody had asked for it."""
        self.short: Shortage | None = None
        """What its load had too little of."""
        self.ladder = Ladder(plan.argv)
        self.wait_s = 0.0
        """How long the present or last wait is."""

    def begin(self) -> None:
        """A start begins; nothing of the run before counts against it."""
        self.crash = self.short = None
        self._kernel_kills = memory.kernel_kills()

    def afresh(self) -> None:
        """Start as it was planned again, nothing reduced."""
        self.ladder = Ladder(self._plan.argv)

    def ready(self) -> None:
        """A start has succeeded; there is nothing to wait for."""
        self.wait_s = 0.0
        self._proven.add(self.ladder.argv)

    def _is_proven(self) -> bool:
        """Whether the command in force has been ready before."""
        return self.ladder.argv in self._proven

    def healthy(self, ready_for_s: float, successes: int) -> None:
        """It serves: after long enough its crashes are forgotten."""
        self._history = restart.after_health(self._history, ready_for_s, successes, self._limits)

    def note(self, reason: str, *, was_ready: bool, final: str | None = None, nonsense: bool = False) -> None:
        """This is how the present run ended."""
        proven = self._is_proven()
        self.crash = Crash(time.monotonic(), was_ready, reason, final=final, nonsense=nonsense, proven=proven)

    def lost(self, device: str | None) -> None:
        """A GPU that is not there any more: no restart mends what this run ended of."""
        if device and self.crash and not self.crash.final:
            self.crash = replace(self.crash, final=device)
            self.short = None

    def diagnose(self, ended: Exit, run: EngineRun) -> tuple[str, str | None]:
        """Why a load ended, in words; and what mends it where no restart does."""
        reason = causes.reason_of(ended.code, ended.signal)
        self.look_for_shortage(run, ended.signal)
        if self.short:
            return f"{reason}: out of memory: {self.short.words}", None
        found = causes.diagnose(ended.code, ended.signal, run.log_tail())
        if found is None:
            return reason, None
        return (reason, found.sentence) if found.final else (f"{reason}: {found.sentence}", None)

    def look_for_shortage(self, run: EngineRun, signum: int | None = None) -> None:
        """Note whether it was memory that a load had too little of, where this engine can do with less."""
        killed = memory.kernel_kills() > self._kernel_kills
        if self._knobs:
            found = oom.shortage(signum, run.log_tail(), self._knobs, kernel_killed=killed)
            if found and found.presumed and (self._is_proven() or not oom.reducible(self.ladder, found, self._knobs)):
                found = None  # this very command had enough before, or cannot do with less
            self.short = found

    def next(self, intent: Intent) -> Cause:
        """Where to go now that the old process tree is gone."""
        crash, self.crash = self.crash, None
        if crash is None:
            self._record.restarts += intent == "run"
            self.afresh()
            return "gone"
        if intent == "stop":
            return "gone"
        return self._climb(self.short, crash) if self.short else self._decide(crash)

    def _decide(self, crash: Crash) -> Cause:
        """By the restart policy."""
        self._history, decision = restart.after_crash(self._history, crash, self._limits, random.random())
        self.wait_s = decision.delay_s
        self._record.reason = decision.why if decision.kind == "fatal" else f"{crash.reason}; {decision.why}"
        if decision.kind != "fatal":
            self._record.restarts += 1
            self._metrics.restarted(causes.label(crash.reason))
        return _CAUSES[decision.kind]

    def _climb(self, short: Shortage, crash: Crash) -> Cause:
        """Out of memory at load: the next rung of the ladder, or at its end a crash that no restart mends."""
        allow = self._limits.allow_kv_quant
        higher = oom.climb(self.ladder, short, self._knobs, allow_small_cache=allow) if self._knobs else None
        if higher is None:
            return self._decide(replace(crash, final=oom.sums(self.ladder, short, self._plan.memory)))
        self.ladder = higher
        step = higher.steps[-1]
        self._record.restarts += 1
        self._record.reason = f"out of memory at load; {step.change}"
        self._metrics.restarted("out of memory")
        self._metrics.oom_step(step.rung)
        self._tell("oom_step", step.change)
        if step.rung != "wait":
            return "again"
        self.wait_s = self._limits.vram_back_s
        return "wait"

    async def waited(self) -> Cause:
        """Sit the wait out; for memory that comes back only as long as it does."""
        await (memory.settled(self.wait_s) if self.short else asyncio.sleep(self.wait_s))
        return "due"
