"""One clock for everything: CLOCK_MONOTONIC in nanoseconds, with the kernel's realtime stamps mapped onto it."""

from __future__ import annotations

import struct
import time

SO_TIMESTAMPNS = 35  # asm-generic/socket.h; the socket module has no name for it
_TIMESPEC = struct.Struct("@ll")
CMSG_BYTES = 64
STEP_NS = 200_000
"""A change of the offset beyond this is a clock step, not jitter of reading two clocks."""


def offset_ns(tries: int = 64) -> int:
    """CLOCK_REALTIME − CLOCK_MONOTONIC, from the pair of reads that lie closest together."""
    best, offset = 1 << 62, 0
    for _ in range(tries):
        before = time.perf_counter_ns()
        real = time.time_ns()
        after = time.perf_counter_ns()
        if after - before < best:
            best, offset = after - before, real - (before + after) // 2
    return offset


class Clock:
    """Maps kernel receive stamps to the monotonic clock; ``check`` follows a step of the wall clock."""

    def __init__(self) -> None:
        self._offset = offset_ns()
        self.steps = 0

    def check(self) -> None:
        """Measure the offset again; count and follow a step."""
        now = offset_ns(16)
        if abs(now - self._offset) > STEP_NS:
            self.steps += 1
            self._offset = now

    def monotonic(self, control: list[tuple[int, int, bytes]]) -> int | None:
        """The kernel's stamp in a `recvmsg` control list, in monotonic nanoseconds; None when there is none."""
        for _level, kind, data in control:
            if kind == SO_TIMESTAMPNS and len(data) >= _TIMESPEC.size:
                seconds, nanoseconds = _TIMESPEC.unpack_from(data)
                return seconds * 1_000_000_000 + nanoseconds - self._offset
        return None
