"""The edge between cost and what we know: prices of APIs and machines looked up by name in profiles and packages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Literal
from urllib.parse import urlsplit

from toolkit import profiles
from toolkit.cost import api_prices, machine_price
from toolkit.cost.api_prices import Quote
from toolkit.cost.machine_price import GIVE_IT, MachinePrice
from toolkit.cost.traffic import STANDARD, TYPICAL, Request, Terms, mean_request
from toolkit.errors import InputError, UnknownNameError, fold
from toolkit.types import ApiModel, ApiPrice, BenchResult

LOOPBACK = frozenset(("127.0.0.1", "localhost", "::1"))


def quotes(
    names: Sequence[str],
    requests: Sequence[Request],
    on: date,
    terms: Terms = STANDARD,
    book: Mapping[str, ApiModel] | None = None,
) -> list[Quote]:
    """List prices of those APIs for those requests on that day, each once, in the order given.

    ``book`` has prices of the user's own, by name; they go before ours and before the package's. Raises as `quote`
    does.
    """
    return [quote(name, requests, on, terms, book) for name in dict.fromkeys(names)]


def quote(
    name: str,
    requests: Sequence[Request],
    on: date,
    terms: Terms = STANDARD,
    book: Mapping[str, ApiModel] | None = None,
) -> Quote:
    """The list price of an API by a short name of ours, a bare model name, or ``provider:model``, with ``@terms``.

    Raises:
        UnknownNameError: no such provider, model or terms; carries the nearest names, short ones among them.
        InputError: several providers have it, or it has no price per token.
    """
    bare, variant = api_prices.split_variant(name.strip())
    known = {**profiles.api_models(), **(book or {})}
    found = _short(known).get(fold(bare))
    if found is not None:
        own = found if book and found.name in book else None
        return _dated(_of_record(found, name.strip(), variant, requests, on, terms), on, own)
    try:
        return _dated(api_prices.quote(name, requests, on, terms), on)
    except UnknownNameError as error:
        if variant is not None and error.name == variant:
            raise
        raise UnknownNameError(error.what, bare, [*known, *api_prices.known_names()], error.advice) from None


def every_kind(name: str, on: date) -> list[ApiPrice]:
    """The standard price of one API for a typical request, then for long ones and for other kinds of processing.

    Raises as `quote` does.
    """
    bare, _ = api_prices.split_variant(name.strip())
    standard = quote(bare, (TYPICAL,), on).price
    record = _short(profiles.api_models()).get(fold(bare))
    if record is not None and record.usd_per_mtok_input is not None:
        batch = [api_prices.BATCH] if record.usd_per_mtok_input_batch is not None else []
        return [standard, *(quote(f"{bare}@{kind}", (TYPICAL,), on).price for kind in batch)]
    ref = f"{standard.provider}:{standard.model}"
    long = [
        quote(bare, (Request(step + 1),), on).price.model_copy(
            update={"note": f"a request above {step:,} input tokens"}
        )
        for step in api_prices.steps(ref, on)
    ]
    return [standard, *long, *(quote(f"{bare}@{kind}", (TYPICAL,), on).price for kind in api_prices.kinds(ref, on))]


def _short(known: Mapping[str, ApiModel]) -> dict[str, ApiModel]:
    """Records by every short name, whatever the spelling."""
    return {fold(s): model for model in known.values() for s in (model.name, *model.aliases)}


def priced_models(on: date) -> list[ApiPrice]:
    """The list price of every short name, for a typical request."""
    return [
        _dated(_of_record(model, model.name, None, (TYPICAL,), on, STANDARD), on).price
        for model in profiles.api_models().values()
    ]


def listed(on: date, containing: str) -> list[ApiPrice]:
    """The list price of every model of the package whose `provider:model` holds that text."""
    return [with_retirement(price, on) for price in api_prices.listed(on, containing)]


def with_retirement(price: ApiPrice, on: date) -> ApiPrice:
    """The same, with the day its provider switches it off where that was announced, and whether that is past."""
    known = profiles.api_retirements().get(f"{price.provider}:{price.model}")
    retires = price.retires or (known.retires if known else None)
    if retires is None:
        return price
    told = [price.note] if price.note else []
    if retires < on:
        told.append(f"switched off on {retires}: at this price it can no longer be had")
    if known and known.replacement:
        told.append(f"the provider recommends {known.replacement}")
    return price.model_copy(update={"retires": retires, "note": "; ".join(told) or None})


def rent(gpu: str, gpus: int = 1, kind: Literal["on_demand", "spot"] = "on_demand") -> MachinePrice:
    """What one device of that kind costs per hour wherever no price was given: the one rule of `cost` and `recommend`.

    Raises:
        InputError: no dated price is known for it.
    """
    return machine_price.of_gpu(gpu, profiles.gpu_prices_for(gpu), gpus, kind)


def price_of_machine(result: BenchResult, gpus: int | None = None) -> MachinePrice:
    """What the machine a result was measured on costs per hour: dated rentals of its GPU, or the vCPU assumption.

    Raises:
        InputError: another machine served, this one is not recorded, or its GPU has no dated price.
    """
    host = urlsplit(result.target).hostname if "://" in result.target else None
    if result.environment.machine.get("runs_the_server_too") is False or (host and host not in LOOPBACK):
        raise InputError(f"this bench loaded another machine, {host or result.target}: its price is not known", GIVE_IT)
    return machine_price.of_machine(result.environment.machine, profiles.gpu_prices_for, profiles.vcpu_price, gpus)


def _dated(found: Quote, on: date, own: ApiModel | None = None) -> Quote:
    price = with_retirement(found.price, on)
    if own is not None:
        price = price.model_copy(update={"note": "; ".join(n for n in (f"from {own.source}", price.note) if n)})
    return replace(found, price=price)


def _of_record(
    model: ApiModel, name: str, variant: str | None, requests: Sequence[Request], on: date, terms: Terms
) -> Quote:
    if model.usd_per_mtok_input is None or model.usd_per_mtok_output is None:
        ref = f"{model.provider}:{model.model}" + (f"@{variant}" if variant else "")
        found = api_prices.quote(ref, requests, on, terms)
        return replace(found, price=found.price.model_copy(update={"name": name}))
    batch = variant == api_prices.BATCH or (variant is None and terms.batch)
    into, out = model.usd_per_mtok_input_batch, model.usd_per_mtok_output_batch
    has_batch = into is not None and out is not None
    if variant and not (batch and has_batch):
        has = [api_prices.BATCH] if has_batch else []
        told = "It has batch." if has_batch else "It has only its standard price."
        raise UnknownNameError(f"kind of processing of {model.name},", variant, has, told)
    taken = (into, out) if batch and into is not None and out is not None else None
    price = ApiPrice(
        name=name,
        provider=model.provider,
        model=model.model,
        usd_per_mtok_input=taken[0] if taken else model.usd_per_mtok_input,
        usd_per_mtok_output=taken[1] if taken else model.usd_per_mtok_output,
        usd_per_mtok_cached=model.usd_per_mtok_cached,
        usd_per_mtok_cache_write=model.usd_per_mtok_cache_write,
        terms=api_prices.BATCH if taken else None,
        price_date=model.checked.isoformat(),
        source=model.source,
        age_days=max(0, (on - model.checked).days),
        retires=model.retires,
    )
    notes = [model.note, *api_prices.remarks_on_terms(price, terms)]
    words = "; ".join(note for note in notes if note) or None
    return Quote(price.model_copy(update={"note": words}), Decimal(0), mean_request(requests), terms)
