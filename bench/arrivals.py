"""When an open loop sends: offsets in seconds from the start of the load. Pure and seeded."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator


def offsets(rate: float, arrival: str, seed: int) -> Iterator[float]:
    """Endless send times for ``rate`` requests per second, the first at 0.

    ``constant`` spaces them evenly; ``poisson`` draws exponential gaps from ``seed``.
    """
    return (count / rate for count in _counts(arrival, seed))


def ramp(begin: float, end: float, seconds: float, arrival: str, seed: int, hold: float = 0.0) -> Iterator[float]:
    """Send times while the rate goes evenly from ``begin`` to ``end`` in ``seconds``, after ``hold`` s at ``begin``.

    Requests due by time t into the ramp: n(t) = begin·t + (end − begin)·t²/2·seconds. The k-th leaves at n⁻¹(k); a
    Poisson ramp takes the points of a process of rate 1 for k (time rescaling), so it has the rate at every moment.
    """
    slope = (end - begin) / seconds
    before = begin * hold
    for count in _counts(arrival, seed):
        if count < before:
            yield count / begin
            continue
        due = count - before
        if due > (begin + end) / 2 * seconds:
            return
        # the root of slope/2·t² + begin·t − due = 0 that is stable for slope → 0 and for begin → 0
        root = math.sqrt(max(0.0, begin * begin + 2 * slope * due))
        yield hold + (2 * due / (begin + root) if begin + root else 0.0)


def _counts(arrival: str, seed: int) -> Iterator[float]:
    """How many requests are due at each sending: 0, 1, 2, … or the points of a Poisson process of rate 1."""
    if arrival == "constant":
        number = 0
        while True:
            yield number
            number += 1
    draw = random.Random(seed)  # load wants repeatable randomness, not secrets
    at = 0.0
    while True:
        yield at
        at += draw.expovariate(1.0)
