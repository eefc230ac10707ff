"""API list prices: the edge to the `genai-prices` package, which works offline on the data it ships.

One *typical request* is priced and scaled, never a month in one call: a 300M-token call would fall into the
long-context tiers. A name is matched exactly first; a looser match is shown by its matched id. The package's
version is the date of its prices.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

from toolkit.cost.formulas import MTOK
from toolkit.errors import InputError, UnknownNameError, fold
from toolkit.types import ApiPrice

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, Provider


@dataclass(frozen=True)
class Request:
    """A typical request in tokens. It decides which long-context tier applies."""

    input_tokens: int = 750
    output_tokens: int = 250

    @property
    def tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True)
class Quote:
    """An API's price for one kind of request: dollars per million of each kind, and per request if it has one."""

    price: ApiPrice
    usd_per_request: Decimal = Decimal(0)
    request: Request = Request()

    def usd_per_mtok(self, input_share: Decimal) -> Decimal:
        """Dollars per million tokens when that share of them is input."""
        mix = input_share * self.price.usd_per_mtok_input + (1 - input_share) * self.price.usd_per_mtok_output
        return mix + self.usd_per_request / self.request.tokens * MTOK


def quote(ref: str, request: Request, on: date) -> Quote:
    """The list price of ``ref`` (``gpt-4o`` or ``provider:model``) for that request on that day.

    Raises:
        UnknownNameError: no such provider or model; carries the nearest names.
        InputError: several providers have it, or it has no price per token.
    """
    provider, model = _find(ref.strip())
    return _priced(ref.strip(), provider, model, request, on)


def listed(on: date, containing: str) -> Iterator[ApiPrice]:
    """Every model with a price per token whose `provider:model` contains that text, whatever the spelling."""
    wanted = fold(containing)
    for provider in _providers():
        for model in provider.models:
            if wanted in fold(f"{provider.id}:{model.id}"):
                try:
                    yield _priced(f"{provider.id}:{model.id}", provider, model, Request(), on).price
                except InputError:
                    continue  # no price per token: an image or speech model


def price_date() -> str:
    """What the API prices are dated by: the package and its version."""
    from importlib.metadata import version

    return f"genai-prices {version('genai-prices')}"


def known_names() -> list[str]:
    """Every name that `quote` knows: bare ids, and `provider:model`."""
    pairs = [(provider.id, model.id) for provider in _providers() for model in provider.models]
    return list(dict.fromkeys(m for _, m in pairs)) + [f"{p}:{m}" for p, m in pairs]


def provider_ids() -> list[str]:
    """Ids of every provider with prices."""
    return [provider.id for provider in _providers()]


@cache
def _providers() -> tuple[Provider, ...]:
    from genai_prices.data_snapshot import get_snapshot

    return tuple(get_snapshot().providers)


def _find(ref: str) -> tuple[Provider, ModelInfo]:
    head, colon, rest = ref.partition(":")
    by_id = {provider.id: provider for provider in _providers()}
    if colon and head.lower() in by_id:
        return _in_provider(by_id[head.lower()], rest)
    if colon and "/" not in head:
        raise UnknownNameError("API provider", head, by_id)
    return _anywhere(ref)


def _in_provider(provider: Provider, name: str) -> tuple[Provider, ModelInfo]:
    exact = next((m for m in provider.models if m.id.lower() == name.lower()), None)
    found = exact or provider.find_model(name)
    if found is None:
        raise UnknownNameError(f"model of {provider.id}", name, (m.id for m in provider.models))
    return provider, found


def _anywhere(ref: str) -> tuple[Provider, ModelInfo]:
    """A bare name: the maker's own price, else the only host that has it."""
    maker = next((p for p in _providers() if p.model_match and p.model_match.is_match(ref.lower())), None)
    exact = [(p, m) for p in _providers() for m in p.models if m.id.lower() == ref.lower()]
    of_maker = next((pair for pair in exact if pair[0] is maker), None)
    if of_maker:
        return of_maker
    loose = maker.find_model(ref) if maker else None
    if maker and loose:
        return maker, loose
    if len(exact) == 1:
        return exact[0]
    if exact:
        names = " or ".join(f"{p.id}:{m.id}" for p, m in exact[-3:])
        raise InputError(f"{len(exact)} providers have a model {ref!r}", f"Name one of them, like {names}.")
    raise UnknownNameError("API model", ref, known_names(), "`selfhost prices NAME` searches them.")


def _priced(ref: str, provider: Provider, model: ModelInfo, request: Request, on: date) -> Quote:
    rates = [_rates(provider, model, request, at) for at in _hours(model, on)]
    usd_in, usd_out, usd_request = (sum(column, Decimal(0)) / len(rates) for column in zip(*rates, strict=True))
    notes = []
    if fold(ref) not in (fold(model.id), fold(f"{provider.id}:{model.id}")):
        notes.append(f"{ref} was matched to {provider.id}:{model.id}")
    if len(rates) > 1:
        notes.append("the price changes with the hour: mean over a day")
    if usd_request:
        notes.append(f"with ${usd_request:.4g} per request of {request.tokens:,} tokens")
    price = ApiPrice(
        name=ref,
        provider=provider.id,
        model=model.id,
        usd_per_mtok_input=usd_in,
        usd_per_mtok_output=usd_out,
        price_date=price_date(),
        source=(provider.pricing_urls or ["genai-prices"])[0],
        deprecated=bool(model.deprecated),
        note="; ".join(notes) or None,
    )
    return Quote(price, usd_request, request)


def _hours(model: ModelInfo, on: date) -> list[datetime]:
    """The moments to price: noon UTC, or every hour where the price depends on it."""
    from genai_prices.types import TimeOfDateConstraint

    conditional = model.prices if isinstance(model.prices, list) else []
    hourly = any(isinstance(c.constraint, TimeOfDateConstraint) for c in conditional)
    return [datetime.combine(on, time(hour), UTC) for hour in (range(24) if hourly else (12,))]


def _rates(provider: Provider, model: ModelInfo, request: Request, at: datetime) -> tuple[Decimal, Decimal, Decimal]:
    """Dollars per million input tokens, per million output tokens, and per request."""
    from genai_prices.types import Usage

    prices: Any = model.get_prices(at)
    if prices.input_mtok is None or prices.output_mtok is None:
        raise InputError(
            f"{provider.id}:{model.id} has no list price per input and output token",
            "Name a chat model with a price; `selfhost prices NAME` searches them.",
        )
    counted = Request(max(1, request.input_tokens), max(1, request.output_tokens))
    usage = Usage(input_tokens=counted.input_tokens, output_tokens=counted.output_tokens)
    paid = model.calc_price(usage, provider, genai_request_timestamp=at)
    return (
        paid.input_price / counted.input_tokens * MTOK,
        paid.output_price / counted.output_tokens * MTOK,
        paid.total_price - paid.input_price - paid.output_price,
    )
