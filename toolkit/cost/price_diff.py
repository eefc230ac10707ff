"""Where two price sources disagree: our tables, the package, a file of the user's. Pure: prices come in by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from toolkit.errors import fold
from toolkit.types import ApiModel, ApiPrice, GpuPrice, PriceDiff, PriceDifference

Pair = tuple[Decimal, Decimal]
Priced = Mapping[str, Pair]
"""Name → dollars per million input and output tokens."""


def of_models(models: Iterable[ApiModel]) -> dict[str, Pair]:
    """The standard prices of records that have their own, by ``provider:model``."""
    return {
        f"{m.provider}:{m.model}": (m.usd_per_mtok_input, m.usd_per_mtok_output)
        for m in models
        if m.usd_per_mtok_input is not None and m.usd_per_mtok_output is not None
    }


def of_prices(prices: Iterable[ApiPrice]) -> dict[str, Pair]:
    """List prices by ``provider:model``."""
    return {f"{p.provider}:{p.model}": (p.usd_per_mtok_input, p.usd_per_mtok_output) for p in prices}


def of_rents(rents: Iterable[GpuPrice]) -> dict[str, Pair]:
    """Rents by what makes them one offer; both figures are dollars per hour."""
    return {
        " ".join(p for p in (r.provider, r.gpu, r.kind, r.instance_type or "") if p): (r.usd_per_hour, r.usd_per_hour)
        for r in rents
    }


def diff(a_name: str, b_name: str, a: Priced, b: Priced, unit: str = "usd_per_mtok") -> PriceDiff:
    """Every name that both have at another price, the widest first, and how many agree or are in one only."""
    in_b = {fold(name): prices for name, prices in b.items()}
    in_a = {fold(name) for name in a}
    both = [(name, prices, in_b[fold(name)]) for name, prices in a.items() if fold(name) in in_b]
    rows = [
        PriceDifference(
            name=name, unit=unit, a_input=mine[0], a_output=mine[1], b_input=theirs[0], b_output=theirs[1],
            ratio=float(_ratio(mine, theirs)),
        )
        for name, mine, theirs in both
        if mine != theirs
    ]  # fmt: skip
    return PriceDiff(
        a=a_name,
        b=b_name,
        rows=tuple(sorted(rows, key=lambda row: (-row.ratio, row.name))),
        same=len(both) - len(rows),
        only_a=len(a) - len(both),
        only_b=sum(fold(name) not in in_a for name in b),
    )


def _ratio(mine: Pair, theirs: Pair) -> Decimal:
    """How many times the dearer source is above the other, for the kind of token on which they differ more."""
    return max(max(x, y) / min(x, y) for x, y in zip(mine, theirs, strict=True))
