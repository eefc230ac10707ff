"""API list prices: the edge to the `genai-prices` package, which works offline on the data it ships.

*Typical requests* are priced and scaled, never a month in one call: a 300M-token call would fall into the
long-context tiers. A name is matched exactly first; a looser match is shown by its matched id. ``NAME@batch``,
``NAME@flex``… is the price of another kind of processing: one that a model does not have is refused, where the
package would give its standard price. The package's version is the date of its prices.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

from toolkit.cost.formulas import MTOK
from toolkit.cost.traffic import STANDARD, TYPICAL, Request, Terms, mean_request
from toolkit.errors import InputError, UnknownNameError, fold
from toolkit.types import ApiPrice

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, Provider

BATCH = "batch"
ORDINARY = "default"
"""How the package names the ordinary price among the others."""


@dataclass(frozen=True)
class Quote:
    """An API's price: dollars per million of each kind of token, per request if it has one, and the terms of use."""

    price: ApiPrice
    usd_per_request: Decimal = Decimal(0)
    request: Request = TYPICAL
    terms: Terms = STANDARD

    def usd_per_mtok(self, input_share: Decimal) -> Decimal:
        """Dollars per million tokens when that share of them is input, cached and retried as the terms say."""
        price, cached, written = self.price, self.terms.cached_share, self.terms.written_share
        new = price.usd_per_mtok_input
        read = new if price.usd_per_mtok_cached is None else price.usd_per_mtok_cached
        write = new if price.usd_per_mtok_cache_write is None else price.usd_per_mtok_cache_write
        into = (1 - cached - written) * new + cached * read + written * write
        mix = input_share * into + (1 - input_share) * price.usd_per_mtok_output
        return (mix + self.usd_per_request / self.request.tokens * MTOK) * (1 + self.terms.retried_share)


def quote(ref: str, requests: Sequence[Request], on: date, terms: Terms = STANDARD) -> Quote:
    """The list price of ``ref`` (``gpt-4o``, ``provider:model``, ``gpt-4o@batch``) for those requests on that day.

    Raises:
        UnknownNameError: no such provider, model or kind of processing; carries the nearest names.
        InputError: several providers have it, or it has no price per token.
    """
    ref = ref.strip()
    name, variant = split_variant(ref)
    provider, model = _find(name)
    return _priced(ref, name, provider, model, requests, on, terms, variant)


def kinds(ref: str, on: date) -> list[str]:
    """The kinds of processing of that model which have a price of their own, like ``batch`` and ``flex``.

    Raises as `quote` does.
    """
    _, model = _find(ref.strip())
    return list(_kinds(model, _hours(model, on)[0]))


def steps(ref: str, on: date) -> list[int]:
    """Input tokens of one request above which that model has another price.

    Raises as `quote` does.
    """
    _, model = _find(ref.strip())
    prices: Any = model.get_prices(_hours(model, on)[0], {})
    tiers = [tier.start for p in (prices.input_mtok, prices.output_mtok) for tier in getattr(p, "tiers", ())]
    return sorted(set(tiers))


def split_variant(ref: str) -> tuple[str, str | None]:
    """``gpt-4o@batch`` → (``gpt-4o``, ``batch``); an ``@`` with a date or a version belongs to the name."""
    name, at, variant = ref.rpartition("@")
    return (name.strip(), variant.strip().lower()) if at and variant.strip().isalpha() else (ref, None)


def listed(on: date, containing: str) -> Iterator[ApiPrice]:
    """Every model with a price per token whose `provider:model` contains that text, whatever the spelling."""
    wanted = fold(containing)
    for provider in _providers():
        for model in provider.models:
            if wanted in fold(f"{provider.id}:{model.id}"):
                try:
                    yield _listed(provider, model, on)
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
    with _without_updater():
        from genai_prices.data_snapshot import get_snapshot

    return tuple(get_snapshot().providers)


class _Absent(ModuleType):
    """A module whose every name is None."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


@contextmanager
def _without_updater() -> Iterator[None]:
    """Keep the package from importing its updater, for prices are never updated from here.

    It brings an HTTP client and asyncio: a seventh of the time that a whole `cost` takes.
    """
    name = "genai_prices.update_prices"
    if name in sys.modules:
        yield
        return
    sys.modules[name] = _Absent(name)
    try:
        yield
    finally:
        del sys.modules[name]


def _find(ref: str) -> tuple[Provider, ModelInfo]:
    head, colon, rest = ref.partition(":")
    by_id = {provider.id: provider for provider in _providers()}
    if colon and head.lower() in by_id:
        return _in_provider(by_id[head.lower()], rest)
    if colon and "/" not in head:
        raise UnknownNameError("API provider", head, by_id, "`selfhost prices NAME` searches models and providers.")
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


def _listed(provider: Provider, model: ModelInfo, on: date) -> ApiPrice:
    name = f"{provider.id}:{model.id}"
    return _priced(name, name, provider, model, (TYPICAL,), on, STANDARD, None).price


@dataclass(frozen=True)
class _Rates:
    """Dollars per million new, cached and cache-written input and output tokens, and per request beyond that."""

    new: Decimal
    cached: Decimal
    written: Decimal
    out: Decimal
    per_request: Decimal


def _priced(
    ref: str,
    name: str,
    provider: Provider,
    model: ModelInfo,
    requests: Sequence[Request],
    on: date,
    terms: Terms,
    variant: str | None,
) -> Quote:
    moments = _hours(model, on)
    context = _context(provider, model, variant or (BATCH if terms.batch else ORDINARY), moments[0], variant is None)
    rates = [_rates(provider, model, requests, at, context) for at in moments]
    new, cached, written, out, per_request = (
        sum((getattr(r, kind) for r in rates), Decimal(0)) / len(rates)
        for kind in ("new", "cached", "written", "out", "per_request")
    )
    mean = mean_request(requests)
    listed_prices = model.get_prices(moments[0], context)
    price = ApiPrice(
        name=ref,
        provider=provider.id,
        model=model.id,
        usd_per_mtok_input=new,
        usd_per_mtok_output=out,
        usd_per_mtok_cached=None if listed_prices.cache_read_mtok is None else cached,
        usd_per_mtok_cache_write=None if listed_prices.cache_write_mtok is None else written,
        terms=next(iter(context.values())) if context else None,
        price_date=price_date(),
        source=(provider.pricing_urls or ["genai-prices"])[0],
        deprecated=bool(model.deprecated),
    )
    notes = list(_remarks(price, name, len(moments), per_request, mean, terms))
    return Quote(price.model_copy(update={"note": "; ".join(notes) or None}), per_request, mean, terms)


def _remarks(
    price: ApiPrice, name: str, moments: int, per_request: Decimal, mean: Request, terms: Terms
) -> Iterator[str]:
    """What a reader must know beside the figure."""
    if fold(name) not in (fold(price.model), fold(f"{price.provider}:{price.model}")):
        yield f"{name} was matched to {price.provider}:{price.model}"
    if moments > 1:
        yield "the price changes with the hour: mean over a day"
    if per_request:
        yield f"with ${per_request:.4g} per request of {mean.tokens:,} tokens"
    yield from remarks_on_terms(price, terms)


def remarks_on_terms(price: ApiPrice, terms: Terms) -> Iterator[str]:
    """Where the terms asked for have no price of their own, and what was taken instead."""
    if terms.batch and price.terms is None:
        yield "no batch price is listed: this is the standard one"
    if terms.cached_share:
        told = "no cached price is listed: cached tokens are priced as new ones"
        yield (
            told
            if price.usd_per_mtok_cached is None
            else f"{float(terms.cached_share) * 100:.3g} % of the input cached"
        )
    write = price.usd_per_mtok_cache_write
    if terms.written_share and write is not None:
        told = f"{float(terms.written_share) * 100:.3g} % of the input written to the cache"
        yield f"{told} at ${float(write):.4g} per million"
    elif terms.cached_share and write is not None and write > price.usd_per_mtok_input:
        yield f"writing to its cache, ${float(write):.4g} per million, is not counted"
    if terms.retried_share:
        yield f"{float(terms.retried_share) * 100:.3g} % of the requests paid twice"


def _context(provider: Provider, model: ModelInfo, wanted: str, at: datetime, lenient: bool) -> dict[str, str]:
    """The package's price context of a kind of processing; empty for the standard price.

    ``lenient``: asked for all models together, so one that has no such price keeps its standard one.
    """
    known = _kinds(model, at)
    if wanted in known:
        return known[wanted]
    if lenient or wanted == ORDINARY:
        return {}
    has = f"It has {', '.join(known)}." if known else "It has only its standard price."
    raise UnknownNameError(f"kind of processing of {provider.id}:{model.id} on {at:%Y-%m-%d},", wanted, known, has)


def _kinds(model: ModelInfo, at: datetime) -> dict[str, dict[str, str]]:
    """Every kind of processing that has a price of its own, and the package's price context of it."""
    return {
        value: {key: value}
        for variant in model.price_variants or ()
        if variant.constraint is None or variant.constraint.active(at)
        for key, value in variant.when.items()
        if value != ORDINARY
    }


def _hours(model: ModelInfo, on: date) -> list[datetime]:
    """The moments to price: noon UTC, or every hour where the price depends on it."""
    from genai_prices.types import TimeOfDateConstraint

    conditional = model.prices if isinstance(model.prices, list) else []
    hourly = any(isinstance(c.constraint, TimeOfDateConstraint) for c in conditional)
    return [datetime.combine(on, time(hour), UTC) for hour in (range(24) if hourly else (12,))]


def _rates(
    provider: Provider, model: ModelInfo, requests: Sequence[Request], at: datetime, context: dict[str, str]
) -> _Rates:
    """Rates over the classes of requests, each weighed by its tokens."""
    prices: Any = model.get_prices(at, context)
    if prices.input_mtok is None or prices.output_mtok is None:
        raise InputError(
            f"{provider.id}:{model.id} has no list price per input and output token",
            "Name a chat model with a price; `selfhost prices NAME` searches them.",
        )
    sums = {
        "new": Decimal(0),
        "cached": Decimal(0),
        "written": Decimal(0),
        "out": Decimal(0),
        "per_request": Decimal(0),
    }
    into = sent = weight = Decimal(0)
    for request in requests:
        a, b = max(1, request.input_tokens), max(1, request.output_tokens)
        fresh, read, write = (
            _paid(model, provider, (a, cached, written, b), at, context) for cached, written in ((0, 0), (a, 0), (0, a))
        )
        sums["new"] += request.weight * fresh.input_price
        sums["cached"] += request.weight * read.input_price
        sums["written"] += request.weight * write.input_price
        sums["out"] += request.weight * fresh.output_price
        sums["per_request"] += request.weight * (fresh.total_price - fresh.input_price - fresh.output_price)
        into, sent, weight = into + request.weight * a, sent + request.weight * b, weight + request.weight
    return _Rates(
        new=sums["new"] / into * MTOK,
        cached=sums["cached"] / into * MTOK,
        written=sums["written"] / into * MTOK,
        out=sums["out"] / sent * MTOK,
        per_request=sums["per_request"] / weight,
    )


def _paid(
    model: ModelInfo, provider: Provider, tokens: tuple[int, int, int, int], at: datetime, context: dict[str, str]
) -> Any:
    """The package's price of input tokens (of them read from the cache, and written to it) and output tokens."""
    from genai_prices.types import Usage

    into, cached, written, out = tokens
    usage = Usage(input_tokens=into, cache_read_tokens=cached, cache_write_tokens=written, output_tokens=out)
    return model.calc_price(usage, provider, genai_request_timestamp=at, price_context=context or None)
