"""Send times of an open loop."""

from __future__ import annotations

from itertools import islice, pairwise
from statistics import mean, stdev

import pytest

from bench.arrivals import offsets


def test_constant_arrivals_are_even() -> None:
    assert list(islice(offsets(4, "constant", 0), 4)) == [0, 0.25, 0.5, 0.75]


def test_poisson_gaps_are_exponential() -> None:
    """Mean 1/rate, and for exponential gaps the standard deviation equals the mean; 40,000 draws, ±3 %."""
    gaps = [b - a for a, b in pairwise(islice(offsets(10, "poisson", 7), 40_001))]
    assert mean(gaps) == pytest.approx(0.1, rel=0.03)
    assert stdev(gaps) == pytest.approx(0.1, rel=0.03)


def test_a_seed_repeats_itself() -> None:
    def first(seed: int) -> list[float]:
        return list(islice(offsets(3, "poisson", seed), 50))

    assert first(1) == first(1) != first(2)
