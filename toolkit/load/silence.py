"""How long the first token of a whole run is waited for: a server that gives none at all costs little time.

Until any token has come, a request is given up after `LEAST_S`, or after `TIMES` what the target's own answers before
the load make of it: seconds × (longest prompt ÷ prompt asked then) × users who ask at once. Once one has come the
limit of a request is the only one. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from toolkit.load.prompts import Prompt
from toolkit.load.spec import BenchSpec

LEAST_S = 30.0
TIMES = 10.0


@dataclass(frozen=True)
class Answered:
    """How long the target took for a text of so many characters and one token of answer."""

    seconds: float
    chars: int


def silence_s(spec: BenchSpec, prompts: Sequence[Prompt], answered: Answered | None) -> float:
    """Seconds until a run without any token gives a request up. A limit that the user set himself stands."""
    if "request_s" in spec.limits.model_fields_set:
        return spec.limits.request_s
    least = min(LEAST_S, spec.limits.request_s)
    if answered is None:
        return least
    users = spec.levels[0].concurrency if spec.levels else spec.search.start if spec.search else 1
    longest = max(len(p.text if p.messages is None else str(p.messages)) for p in prompts)
    likely_s = answered.seconds * max(1.0, longest / answered.chars) * (users or 1)
    return min(spec.limits.request_s, max(least, TIMES * likely_s))
