"""What `runs` lists and what `compare` found."""

from __future__ import annotations

from typing import Literal

from toolkit.types.common import Document, Frozen

Finding = Literal["faster", "slower", "higher", "lower", "no_difference", "too_few", "not_valid"]
"""``faster``/``slower`` judge latency and throughput; ``higher``/``lower`` say how a share of failures moved.

``no_difference``: none seen, which is not proof that there is none. ``too_few``: too few values for this figure.
"""


class RunRef(Frozen):
    """One bench in the history. ``folder`` is where its report was written, ``id`` empty for a file outside it."""

    id: str
    label: str | None = None
    at: str
    target: str
    model: str
    workload: str
    endpoint: str = "chat"
    loads: tuple[str, ...]
    output_tok_s: float | None = None
    """Of the level that gave most."""
    valid: bool
    folder: str | None = None


class RunList(Document):
    """`runs` without a name: newest first."""

    kind: Literal["run_list"] = "run_list"
    runs: tuple[RunRef, ...]


class MetricChange(Frozen):
    """One figure of one load in both runs, in its ``unit``; ``change`` is B against A.

    ``change``, ``low`` and ``high`` are relative (0.1 = 10 % more), for ``failed_share`` a difference of shares. All
    intervals of a comparison hold at once with its ``confidence``.
    """

    metric: str
    unit: str
    a: float | None
    b: float | None
    change: float | None = None
    low: float | None = None
    high: float | None = None
    n_a: int
    n_b: int
    finding: Finding
    why: str | None = None
    """What stands against a judgement."""


class LevelChange(Frozen):
    """One load in both runs."""

    concurrency: int | None = None
    rate: float | None = None
    load: str
    metrics: tuple[MetricChange, ...]


class Difference(Frozen):
    """Something recorded about the runs that is not the same; ``unlike`` when that makes figures incomparable."""

    what: str
    a: str
    b: str
    unlike: bool


class LimitOutcome(Frozen):
    """One limit at one load. ``noise``: beyond the limit, but no difference can be told from chance."""

    limit: str
    load: str
    change: float | None
    outcome: Literal["kept", "broken", "noise", "undecided"]
    why: str | None = None


class Comparison(Document):
    """The document of `compare`: B against A."""

    kind: Literal["comparison"] = "comparison"
    a: RunRef
    b: RunRef
    confidence: float
    """That every interval holds, all together."""
    intervals: int
    resamples: int
    seed: int
    differences: tuple[Difference, ...]
    levels: tuple[LevelChange, ...]
    only_a: tuple[str, ...] = ()
    only_b: tuple[str, ...] = ()
    fail_on: str | None = None
    limits: tuple[LimitOutcome, ...] = ()
    passed: bool | None = None
    """Whether every limit was judged and none is broken; None without limits."""
