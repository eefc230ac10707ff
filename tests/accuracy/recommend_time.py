"""How long a ranking over all devices takes. By hand: ``python -m tests.accuracy.recommend_time``; exit 1 over the bar.

The first ranking also reads the profiles, as a command does once; the bar of 0.5 s is held against the ones after it.
Processor time, so that other work on the machine counts little.
"""

from __future__ import annotations

import statistics
import sys
import time
from decimal import Decimal

from toolkit.cli.fitting import Load
from toolkit.cli.ranking import rank

BAR_S = 0.5
TIMES = 9


def seconds() -> float:
    """Processor seconds of one ranking: Llama-3.1-8B, 32 users, 8,192 tokens of context, one to eight of each."""
    begin = time.process_time()
    rank("llama-3.1-8b", Load(8192, 32, None, 0.75, None, Decimal(10_000)), [None], None, None, None)
    return time.process_time() - begin


def main() -> int:
    """Measure and tell."""
    first = seconds()
    median = statistics.median(seconds() for _ in range(TIMES))
    print(f"first {first:.2f} s, then {median:.2f} s (median of {TIMES}); bar {BAR_S} s")
    return 0 if median <= BAR_S else 1


if __name__ == "__main__":
    sys.exit(main())
