"""Service levels: ``ttft_p95<500ms,itl_p95<50ms``. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from toolkit.errors import InputError, UnknownNameError

METRICS = ("ttft", "ttfat", "itl", "tpot", "e2e")
_UNITS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0}
_BOUND = re.compile(
    r"(?P<metric>[a-z0-9]+?)_(?P<quantile>p[0-9.]+|mean|max)\s*<=?\s*(?P<value>[0-9.]+)\s*(?P<unit>\S*)$", re.I
)
_EXAMPLE = "Write it like ttft_p95<500ms,itl_p95<50ms."


@dataclass(frozen=True, slots=True)
class Bound:
    """``quantile`` of ``metric`` must be at most ``limit_s``. The quantile is a percentile, ``mean`` or ``max``."""

    metric: str
    quantile: float | str
    limit_s: float

    def of(self, values: Sequence[float]) -> float | None:
        """The bound's own figure of a list of seconds; None of an empty one."""
        if not values:
            return None
        if self.quantile == "mean":
            return math.fsum(values) / len(values)
        return max(values) if self.quantile == "max" else percentile(sorted(values), float(self.quantile))


@dataclass(frozen=True, slots=True)
class Slo:
    """All bounds must hold."""

    text: str
    bounds: tuple[Bound, ...]

    def met(self, values: Mapping[str, Sequence[float]]) -> bool:
        """Whether a whole level keeps every bound; a metric without values (no gap, say) breaks none."""
        return all((figure := b.of(values[b.metric])) is None or figure <= b.limit_s for b in self.bounds)

    def met_by_request(self, values: Mapping[str, Sequence[float]]) -> bool:
        """Whether one request keeps every bound with its own values: its TTFT, its own percentile of its gaps.

        One that never came to an answer breaks every bound on the first answer token.
        """
        never = any(bound.metric == "ttfat" for bound in self.bounds) and not values["ttfat"]
        return not never and self.met(values)


def percentile(ordered: Sequence[float], p: float) -> float:
    """Nearest rank: the least value that at least ``p`` percent of a sorted, non-empty list do not exceed."""
    # the inner rounding keeps 99 % of 100 values at rank 99, though 0.99 has no exact float
    rank = math.ceil(round(p / 100 * len(ordered), 9))
    return ordered[max(1, rank) - 1]


def parse(text: str) -> Slo:
    """Read a service level; InputError says which part is wrong."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise InputError("the service level is empty", _EXAMPLE)
    return Slo(",".join(parts), tuple(_bound(part) for part in parts))


def check_whole(slo: Slo) -> None:
    """InputError unless it bounds the whole answer alone, as it must where no tokens come (embeddings)."""
    wrong = [bound.metric for bound in slo.bounds if bound.metric != "e2e"]
    if wrong:
        raise InputError(f"an embedding has no {wrong[0]}: it comes in one piece", "Bound e2e, like e2e_p95<100ms.")


def _bound(part: str) -> Bound:
    found = _BOUND.match(part)
    if found is None:
        raise InputError(f"service level {part!r} is not METRIC_pNN<TIME", _EXAMPLE)
    metric, quantile = found["metric"].lower(), found["quantile"].lower()
    if metric not in METRICS:
        raise UnknownNameError("metric", metric, METRICS, f"Known: {', '.join(METRICS)}.")
    unit = found["unit"].lower()
    if unit not in _UNITS:
        raise InputError(f"service level {part!r} needs a unit of time, such as ms or s", _EXAMPLE)
    limit = _number(found["value"], part) * _UNITS[unit]
    if limit <= 0:
        raise InputError(f"service level {part!r} allows no time at all", _EXAMPLE)
    if quantile in ("mean", "max"):
        return Bound(metric, quantile, limit)
    p = _number(quantile[1:], part)
    if not 0 < p < 100:
        raise InputError(f"service level {part!r}: a percentile lies between 0 and 100", _EXAMPLE)
    return Bound(metric, p, limit)


def _number(text: str, part: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"service level {part!r}: {text!r} is not a number", _EXAMPLE) from None
