"""The bounds of a service level as the plots draw them."""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.errors import InputError
from toolkit.load import slo as service_level
from toolkit.types import Stat


@dataclass(frozen=True)
class Limit:
    """One bound: at most ``seconds``, judged by ``field`` of `types.Stat` (None: a percentile that it lacks)."""

    seconds: float
    field: str | None
    words: str


def limit_of(slo: str | None, metric: str) -> Limit | None:
    """The first bound on that metric; None when there is none, or the text is not a service level."""
    if not slo:
        return None
    try:
        parsed = service_level.parse(slo)
    except InputError:
        return None
    texts = parsed.text.split(",")
    for bound, text in zip(parsed.bounds, texts, strict=True):
        if bound.metric == metric:
            field = bound.quantile if isinstance(bound.quantile, str) else f"p{bound.quantile:g}"
            return Limit(bound.limit_s, field if field in Stat.model_fields else None, text)
    return None
