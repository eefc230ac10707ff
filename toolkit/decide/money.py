"""What each surviving option costs a month, as far as it is known. Pure: prices come in from outside."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from toolkit.types import CostReport, ServingOption

MTOK_PER_MONTH = Decimal(730) / 24 / 10**6
"""Million tokens a month for one token a day; a month is 730 hours."""
WORTH_IT_USD = Decimal(100)
"""Savings a month below this do not pay for another supplier to look after: a judgement, stated as such."""


@dataclass(frozen=True)
class Api:
    """A list price: dollars per million tokens at the usual mix, with its name and date."""

    name: str
    usd_per_mtok: Decimal
    price_date: str
    deprecated: bool = False
    retires: date | None = None
    """Its provider's last day for it, as far as announced."""


@dataclass(frozen=True)
class Money:
    """Prices that a decision rests on; None is unknown."""

    closed: Api | None = None
    hosted_open: Api | None = None
    own: CostReport | None = None
    """What self-hosting costs, on rented machines or on one's own, as it says."""
    peak_ratio: float | None = None
    """Peak over mean load, where the user says another than the cost report's."""

    def usd_per_month(self, option: ServingOption, tokens_per_day: int) -> Decimal | None:
        """Dollars a month at that volume; None where nobody told."""
        api = {"closed": self.closed, "hosted-open": self.hosted_open}.get(option)
        if api is not None:
            return api.usd_per_mtok * tokens_per_day * MTOK_PER_MONTH
        return self._own(tokens_per_day) if self.own is not None and option == self.own.hardware else None

    def _own(self, tokens_per_day: int) -> Decimal | None:
        """The staircase of the cost report: whole replicas, spare ones, and what does not grow."""
        own = self.own
        if own is None or own.usd_per_replica_month is None or not own.capacity_tokens_per_day:
            return None
        capacity = own.capacity_tokens_per_day * (own.peak_ratio / (self.peak_ratio or own.peak_ratio))
        replicas = max(1, math.ceil(tokens_per_day / capacity)) + own.spare
        by_token = own.other_usd_per_mtok * tokens_per_day * MTOK_PER_MONTH
        return replicas * own.usd_per_replica_month + own.fixed_usd_per_month + by_token


def cheapest(survivors: tuple[ServingOption, ...], money: Money, tokens_per_day: int) -> ServingOption:
    """The option to take: the least effort, unless another saves enough; unknown prices cannot win by price."""
    first = survivors[0]
    known = {o: usd for o in survivors if (usd := money.usd_per_month(o, tokens_per_day)) is not None}
    if not known:
        return first
    if first not in known:
        return min(known, key=lambda o: known[o])
    best = min(known, key=lambda o: known[o])
    return best if known[first] - known[best] >= WORTH_IT_USD else first
