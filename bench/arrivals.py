"""When an open loop sends: offsets in seconds from the start of the load. Pure and seeded."""

from __future__ import annotations

import random
from collections.abc import Iterator


def offsets(rate: float, arrival: str, seed: int) -> Iterator[float]:
    """Endless send times for ``rate`` requests per second, the first at 0.

    ``constant`` spaces them evenly; ``poisson`` draws exponential gaps from ``seed``.
    """
    if arrival == "constant":
        number = 0
        while True:
            yield number / rate
            number += 1
    draw = random.Random(seed)  # load wants repeatable randomness, not secrets
    at = 0.0
    while True:
        yield at
        at += draw.expovariate(rate)
