"""How long an engine may take to end: first its requests, then itself. Told to hurry, hardly any time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from toolkit.supervise.limits import Limits

HASTY_GRACE_S = 2.0
POLL_S = 0.05


class Patience:
    """One supervisor's patience. It ends with a second signal or a `stop` that does not wait."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.hasty = False

    def grace_s(self) -> float:
        """Seconds between SIGTERM and SIGKILL."""
        return min(HASTY_GRACE_S, self._limits.term_grace_s) if self.hasty else self._limits.term_grace_s

    async def drain(self, busy: Callable[[], object]) -> None:
        """Wait while requests are in flight, at most ``drain_s``, not at all in a hurry."""
        deadline = time.monotonic() + self._limits.drain_s
        while busy() and not self.hasty and time.monotonic() < deadline:
            await asyncio.sleep(POLL_S)
