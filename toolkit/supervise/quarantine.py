"""Which requests were inside when an engine died. A poison one is refused, good ones are not.

Only keyed hashes of bodies are kept, never text. After a crash every request that was inside is a suspect, and
suspects are let in one at a time until each has been answered. One is refused when it was inside at ``limit``
crashes and either was alone at one of them, or is the only one common to them all.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

REMEMBERED = 10_000
JUST_BROKEN_S = 3.0
"""A request whose connection broke so shortly before its engine's end was seen counts as inside."""


@dataclass
class _Record:
    crashes: set[int] = field(default_factory=set)
    alone: bool = False


class Quarantine:
    """Suspects and the refused of one served name."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._secret = secrets.token_bytes(32)
        self._inside: Counter[bytes] = Counter()
        self._broken: list[tuple[float, bytes]] = []
        self._suspects: OrderedDict[bytes, _Record] = OrderedDict()
        self._crash_sizes: dict[int, set[bytes]] = {}
        self._crash = 0
        self._one_at_a_time = asyncio.Lock()

    def mark(self, body: bytes) -> bytes:
        """The keyed hash that stands for a request."""
        return hashlib.blake2b(body, key=self._secret, digest_size=16).digest()

    def refuses(self, mark: bytes) -> bool:
        """Whether this request has been shown to kill the engine."""
        record = self._suspects.get(mark)
        if record is None or len(record.crashes) < self._limit:
            return False
        return record.alone or self._common(record.crashes) == {mark}

    def _common(self, crashes: set[int]) -> set[bytes]:
        return set.intersection(*(self._crash_sizes.get(c, set()) for c in crashes))

    @asynccontextmanager
    async def turn(self, mark: bytes) -> AsyncIterator[None]:
        """Wait, if a suspect, until no other suspect is inside."""
        if mark not in self._suspects:
            yield
            return
        async with self._one_at_a_time:
            yield

    def enter(self, mark: bytes) -> int:
        """A request goes to the engine; the number of crashes before it, which `leave` wants back."""
        self._inside[mark] += 1
        return self._crash

    def leave(self, mark: bytes, entered: int, *, answered: bool, broken: bool) -> None:
        """It is over: answered (no suspect any more), broken by the engine, or given up by its client.

        One that was inside at a crash was counted there. Its connection may be seen to break only after that; it
        must not count at the next crash as well, or it would look as common to both as the one that made them.
        """
        now = time.monotonic()
        self._broken = [(at, m) for at, m in self._broken if now - at < JUST_BROKEN_S]
        if entered == self._crash:
            self._inside[mark] -= 1
            if self._inside[mark] <= 0:
                del self._inside[mark]
            if broken:
                self._broken.append((now, mark))
        if answered and not broken:
            self._suspects.pop(mark, None)

    def crashed(self) -> int:
        """The engine has died: everything inside is a suspect. How many."""
        now = time.monotonic()
        inside = set(self._inside) | {m for at, m in self._broken if now - at < JUST_BROKEN_S}
        self._broken.clear()
        self._inside.clear()
        self._crash += 1
        if inside:
            self._crash_sizes[self._crash] = inside
        for mark in inside:
            record = self._suspects.setdefault(mark, _Record())
            record.crashes.add(self._crash)
            record.alone = record.alone or len(inside) == 1
            self._suspects.move_to_end(mark)
        while len(self._suspects) > REMEMBERED:
            self._suspects.popitem(last=False)
        while len(self._crash_sizes) > REMEMBERED // 10:
            del self._crash_sizes[next(iter(self._crash_sizes))]
        return len(inside)
