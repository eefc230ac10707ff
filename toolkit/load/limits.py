"""Limits on a change, for CI: ``ttft_p95>+10%,output_tok_s<-5%``. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from toolkit.errors import InputError, UnknownNameError
from toolkit.load.slo import METRICS

RATES = ("output_tok_s", "input_tok_s", "total_tok_s", "request_s")
FAILED = "failed_share"
QUANTILES = ("mean", "p50", "p90", "p95", "p99")
_LIMIT = re.compile(r"(?P<metric>[a-z0-9_.]+)\s*(?P<side>[<>])\s*(?P<change>[+-]?\d+(?:\.\d+)?)\s*%$", re.I)
_EXAMPLE = "Write it like ttft_p95>+10%,output_tok_s<-5%."


@dataclass(frozen=True)
class Limit:
    """The change of ``metric`` must not lie on that side of ``change`` (a share: 0.1 = 10 %)."""

    text: str
    metric: str
    side: Literal["<", ">"]
    change: float

    def broken_by(self, change: float) -> bool:
        """Whether that change is beyond the limit."""
        return change > self.change if self.side == ">" else change < self.change


def parse_limits(text: str) -> tuple[Limit, ...]:
    """Read them; InputError says which part is wrong."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise InputError("no limit was given", _EXAMPLE)
    return tuple(map(_limit, parts))


def _limit(part: str) -> Limit:
    found = _LIMIT.match(part)
    if found is None:
        raise InputError(f"limit {part!r} is not METRIC>+N% or METRIC<-N%", _EXAMPLE)
    metric, change = found["metric"].lower(), float(found["change"]) / 100
    check_metric(metric)
    side: Literal["<", ">"] = "<" if found["side"] == "<" else ">"
    if (side == ">") != (change >= 0) and change != 0:
        raise InputError(f"limit {part!r} would fail on no change at all", _EXAMPLE)
    return Limit(part, metric, side, change)


def check_metric(metric: str) -> None:
    """UnknownNameError unless it is a rate, the share of failures, or a latency with mean, p50, p90, p95 or p99."""
    latency, _, quantile = metric.rpartition("_")
    if metric in (*RATES, FAILED) or (latency in METRICS and quantile in QUANTILES):
        return
    known = [*RATES, FAILED, *(f"{m}_{q}" for m in METRICS for q in QUANTILES)]
    raise UnknownNameError("figure", metric, known, f"Known: {', '.join((*RATES, FAILED))}, and ttft_p95 and the like.")
