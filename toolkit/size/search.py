"""Largest number that still fits, by bisection."""

from __future__ import annotations

from collections.abc import Callable


def largest(fits: Callable[[int], bool], limit: int, step: int = 1) -> int:
    """Largest multiple of ``step`` in [0, limit] for which ``fits`` holds; 0 when none does.

    ``fits`` must be monotone: once false, false for everything larger. At most 40 calls for any limit below 2^40.
    """
    low, high = 0, limit // step
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle * step):
            low = middle
        else:
            high = middle - 1
    return low * step
