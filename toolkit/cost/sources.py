"""The edge between cost and what we know: prices of APIs and machines looked up by name in profiles and packages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from urllib.parse import urlsplit

from toolkit import profiles
from toolkit.cost import api_prices, machine_price
from toolkit.cost.api_prices import Quote, Request
from toolkit.cost.machine_price import GIVE_IT, MachinePrice
from toolkit.errors import InputError, UnknownNameError, fold
from toolkit.types import ApiModel, ApiPrice, BenchResult

LOOPBACK = frozenset(("127.0.0.1", "localhost", "::1"))


def quotes(names: Sequence[str], request: Request, on: date) -> list[Quote]:
    """List prices of those APIs for that request on that day, each once, in the order given.

    Raises as `quote` does.
    """
    return [quote(name, request, on) for name in dict.fromkeys(names)]


def quote(name: str, request: Request, on: date) -> Quote:
    """The list price of an API by a short name of ours, a bare model name, or ``provider:model``.

    Raises:
        UnknownNameError: no such provider or model; carries the nearest names, short ones among them.
        InputError: several providers have it, or it has no price per token.
    """
    short = {fold(s): model for model in profiles.api_models().values() for s in (model.name, *model.aliases)}
    found = short.get(fold(name))
    if found is not None:
        return _of_record(found, request, on)
    try:
        return api_prices.quote(name, request, on)
    except UnknownNameError as error:
        ours = [model.name for model in profiles.api_models().values()]
        raise UnknownNameError(error.what, name, [*ours, *api_prices.known_names()], error.advice) from None


def priced_models(request: Request, on: date) -> list[ApiPrice]:
    """The list price of every short name."""
    return [_of_record(model, request, on).price for model in profiles.api_models().values()]


def price_of_machine(result: BenchResult, gpus: int | None = None) -> MachinePrice:
    """What the machine a result was measured on costs per hour: dated rentals of its GPU, or the vCPU assumption.

    Raises:
        InputError: another machine served, this one is not recorded, or its GPU has no dated price.
    """
    host = urlsplit(result.target).hostname if "://" in result.target else None
    if result.environment.machine.get("runs_the_server_too") is False or (host and host not in LOOPBACK):
        raise InputError(f"this bench loaded another machine, {host or result.target}: its price is not known", GIVE_IT)
    return machine_price.of_machine(result.environment.machine, profiles.gpu_prices_for, profiles.vcpu_price, gpus)


def _of_record(model: ApiModel, request: Request, on: date) -> Quote:
    if model.usd_per_mtok_input is None or model.usd_per_mtok_output is None:
        found = api_prices.quote(f"{model.provider}:{model.model}", request, on)
        named = found.price.model_copy(update={"name": model.name})
        return Quote(named, found.usd_per_request, request)
    price = ApiPrice(
        name=model.name,
        provider=model.provider,
        model=model.model,
        usd_per_mtok_input=model.usd_per_mtok_input,
        usd_per_mtok_output=model.usd_per_mtok_output,
        price_date=model.checked.isoformat(),
        source=model.source,
        age_days=(on - model.checked).days,
        note=model.note,
    )
    return Quote(price, Decimal(0), request)
