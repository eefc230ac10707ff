"""Who goes next: a bounded first-in-first-out queue in front of an engine that takes a limited number at once."""

from __future__ import annotations

import asyncio
import math
from collections import deque


class RefusedError(Exception):
    """The request may not pass: HTTP status, seconds after which to try again, and why."""

    def __init__(self, status: int, retry_after_s: float, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = max(1, math.ceil(retry_after_s))
        self.message = message


class Gate:
    """Closed until the engine is ready. ``limit`` None lets any number in."""

    def __init__(self, limit: int | None, queue_limit: int, queue_timeout_s: float) -> None:
        self._limit = limit
        self._queue_limit = queue_limit
        self._queue_timeout_s = queue_timeout_s
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._empty = asyncio.Event()
        self._empty.set()
        self._closed: RefusedError | None = RefusedError(503, 1, "the server is starting")
        self.active = 0

    @property
    def queued(self) -> int:
        """Requests that wait."""
        return sum(not f.done() for f in self._waiting)

    @property
    def is_open(self) -> bool:
        """Whether requests may pass."""
        return self._closed is None

    def open(self) -> None:
        """Let requests pass."""
        self._closed = None

    def close(self, why: str, retry_after_s: float) -> None:
        """Refuse new requests and all that wait."""
        self._closed = RefusedError(503, retry_after_s, why)
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_exception(RefusedError(503, retry_after_s, why))

    async def enter(self) -> None:
        """Take a place, waiting in line if need be.

        Raises:
            RefusedError: closed (503), the line is full (429), or waited too long (503).
        """
        if self._closed:
            raise self._closed
        if self._limit is None or (self.active < self._limit and not self._waiting):
            self._take()
            return
        if self.queued >= self._queue_limit:
            raise RefusedError(429, self._queue_timeout_s / 4, f"{self._queue_limit} requests wait already")
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await asyncio.wait_for(waiter, self._queue_timeout_s)
        except TimeoutError:
            waited = f"no place within {self._queue_timeout_s:g} s"
            raise RefusedError(503, self._queue_timeout_s / 4, waited) from None
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.leave()  # the place was given in the very moment the client went
            raise

    def leave(self) -> None:
        """Give the place back; the first in line gets it."""
        self.active -= 1
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                self._take()
                waiter.set_result(None)
                return
        if self.active == 0:
            self._empty.set()

    def _take(self) -> None:
        self.active += 1
        self._empty.clear()

    async def drained(self, limit_s: float) -> bool:
        """Wait until nobody is inside; False when some still are after ``limit_s`` seconds."""
        try:
            await asyncio.wait_for(self._empty.wait(), limit_s)
        except TimeoutError:
            return False
        return True
