"""Ctrl-C, SIGTERM or a closed terminal end a load test once; nothing then keeps it from writing what it measured."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STDERR = 2


@contextmanager
def interrupted_once() -> Iterator[None]:
    """Make the first of these signals a KeyboardInterrupt and let the later ones pass; one that is ignored stays so."""
    seen = 0

    def end(_number: int, _frame: object) -> None:
        nonlocal seen
        seen += 1
        if seen == 1:
            raise KeyboardInterrupt
        if seen == 2:  # print() may not be entered from here
            os.write(STDERR, b"\nending; what was measured is being written\n")

    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if seen else handler)  # the rest is the end of the program
