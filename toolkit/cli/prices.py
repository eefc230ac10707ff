"""`selfhost prices`: what devices rent for and what APIs charge, each with its date and source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.cli import options as o

if TYPE_CHECKING:
    from datetime import date

    from toolkit.types import ApiPrice, GpuPrice, GpuPriceAge

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

OLD_DAYS = 90
"""A price read longer ago than this is marked: rents move within a season."""


@app.command()
def prices(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[list] [NAME] | show NAME | diff A B [NAME]",
            help="A GPU, a provider, or part of a model's name; default: all rents and the short list of APIs. show "
            "gives one model with all it charges for, batch and cache among it, or one device. diff compares two "
            "sources: ours, genai-prices, or a file (TOML, or LiteLLM's price JSON).",
        ),
    ] = None,
    as_json: o.Json = False,
) -> None:
    """Browse GPU and API prices."""
    from datetime import date

    from toolkit.cli.output import emit
    from toolkit.types import PriceList

    today = date.today()
    if words and words[0] == "diff":
        _show_diff(words[1:], today, as_json)
        return
    verb = words.pop(0) if words and words[0] in ("list", "show") else "list"
    name = " ".join(words) if words else None
    rents, apis = _one(name, today) if verb == "show" else _matching(name, today) if name else _everything(today)
    if as_json:
        emit(PriceList(gpus=tuple(rents), apis=tuple(apis)))
        return
    if rents:
        _draw_rents(rents)
    if rents and apis:
        print()
    if apis:
        (_draw_kinds if verb == "show" else _draw_apis)(apis, name)


def _show_diff(words: list[str], today: date, as_json: bool) -> None:
    from toolkit.cli.output import emit
    from toolkit.cli.price_diff import compare, draw
    from toolkit.errors import InputError

    if len(words) not in (2, 3):
        raise InputError("a diff needs two sources", "Name two of ours, genai-prices, or a file of prices.")
    found = compare(words[0], words[1], words[2] if len(words) == 3 else "", today)
    if as_json:
        emit(found)
    else:
        draw(found)


def _everything(today: date) -> tuple[list[GpuPriceAge], list[ApiPrice]]:
    """Every rent, and the APIs that have a short name or are compared with by default."""
    from toolkit import profiles
    from toolkit.cost.report import DEFAULT_COMPARE
    from toolkit.cost.sources import priced_models, quotes
    from toolkit.cost.traffic import Request

    short = priced_models(today)
    known = {price.name for price in short}
    wanted = [name for name in DEFAULT_COMPARE if name not in known]
    usual = [quote.price for quote in quotes(wanted, (Request(),), today)]
    return [_aged(price, today) for price in profiles.gpu_prices()], usual + short


def _matching(name: str, today: date) -> tuple[list[GpuPriceAge], list[ApiPrice]]:
    """Rents of the device of that name or by that provider, and APIs whose provider:model holds it."""
    from toolkit import profiles
    from toolkit.cost import api_prices
    from toolkit.cost.sources import listed, priced_models
    from toolkit.errors import InputError, UnknownNameError, fold

    try:
        rents = list(profiles.gpu_prices_for(name))
    except InputError:  # no device, or several: whatever holds the text
        rents = [p for p in profiles.gpu_prices() if fold(name) in fold(p.gpu) or fold(name) == fold(p.provider)]
    short = [p for p in priced_models(today) if fold(name) in fold(p.name)]
    apis = short + listed(today, name)
    if not rents and not apis:
        known = [*profiles.gpus(), *api_prices.provider_ids(), *api_prices.known_names()]
        raise UnknownNameError("price", name, known, "`selfhost prices` lists the rents and the usual APIs.")
    return [_aged(price, today) for price in rents], apis


def _one(name: str | None, today: date) -> tuple[list[GpuPriceAge], list[ApiPrice]]:
    """One device's rents, else one model with every kind of processing."""
    from toolkit import profiles
    from toolkit.cost.sources import every_kind
    from toolkit.errors import InputError, UnknownNameError

    if name is None:
        raise InputError("nothing was named to show", "Name a device or a model, like `selfhost prices show gpt-4o`.")
    try:
        return [_aged(price, today) for price in profiles.gpu_prices_for(name)], []
    except UnknownNameError:
        return [], every_kind(name, today)


def _draw_kinds(apis: list[ApiPrice], name: str | None) -> None:
    """One model: what a million tokens of each kind costs, by kind of processing."""
    from toolkit.cli.listing import draw_rows
    from toolkit.report.words import usd

    first = apis[0]
    rows = [
        (
            price.terms or ("standard" if price is first else price.note or ""),
            usd(price.usd_per_mtok_input),
            *("–" if p is None else usd(p) for p in (price.usd_per_mtok_cached, price.usd_per_mtok_cache_write)),
            usd(price.usd_per_mtok_output),
        )
        for price in apis
    ]
    notes = [f"{first.provider}:{first.model}", _dated(first), first.note, first.source]
    heads = ("processing", ">$/M in", ">cached", ">written to cache", ">$/M out")
    draw_rows(heads, rows, "; ".join(note for note in notes if note))


def _aged(price: GpuPrice, today: date) -> GpuPriceAge:
    from toolkit.types import GpuPriceAge

    return GpuPriceAge(**price.model_dump(), age_days=max(0, (today - price.checked).days))


def _draw_rents(rents: list[GpuPriceAge]) -> None:
    from toolkit.cli.listing import draw_rows

    rows = [
        (
            price.gpu,
            price.provider,
            f"{price.usd_per_hour:.4f}".rstrip("0").ljust(4, "0"),
            price.kind.replace("_", " "),
            _age(price.age_days),
            price.instance_type or "",
            price.source,
        )
        for price in sorted(rents, key=lambda p: (p.gpu, p.kind, p.usd_per_hour))
    ]
    footer = f"{len(rows)} rents, dollars per GPU-hour. The same device costs up to three times as much elsewhere."
    draw_rows(("GPU", "provider", ">$/GPU-hour", "contract", "read", "machine", "source"), rows, footer)


def _draw_apis(apis: list[ApiPrice], name: str | None) -> None:
    from toolkit.cli.listing import draw_rows
    from toolkit.report.words import usd

    rows = [
        (
            price.name,
            usd(price.usd_per_mtok_input),
            usd(price.usd_per_mtok_output),
            _dated(price),
            "" if price.name == f"{price.provider}:{price.model}" else f"{price.provider}:{price.model}",
            price.note or "",
            price.source,
        )
        for price in apis
    ]
    more = "" if name else " `selfhost prices NAME` searches every model of every provider."
    draw_rows(
        ("API", ">$/M in", ">$/M out", "price date", "model", "note", "source"),
        rows,
        f"{len(rows)} list prices, dollars per million tokens.{more}",
    )


def _dated(price: ApiPrice) -> str:
    """The price's date, its age where it is our own, and the model's last day where that was announced."""
    told = [price.price_date]
    if price.age_days is not None:
        told.append(_age(price.age_days))
    if price.deprecated:
        told.append("deprecated")
    if price.retires:
        told.append(f"last day {price.retires}")
    return ", ".join(told)


def _age(days: int) -> str:
    """How long ago a price was read; an old one says so."""
    text = "today" if days == 0 else f"{days} day{'' if days == 1 else 's'} ago"
    return f"{text}, old" if days > OLD_DAYS else text
