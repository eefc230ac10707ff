"""`selfhost prices diff`: two price sources side by side, where they disagree."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from toolkit.cost.price_diff import Pair
    from toolkit.types import PriceDiff

OURS, PACKAGE = "ours", "genai-prices"
MOST_ROWS = 60
"""On a screen; the JSON document has all."""


def compare(a: str, b: str, containing: str, today: date) -> PriceDiff:
    """Rents where both have rents, else API prices whose name holds that text.

    Raises:
        InputError: no such source, the same twice, or two without anything in common.
    """
    from toolkit.cost.price_diff import diff

    if a == b:
        raise InputError(f"{a} was given twice", "Name two sources.")
    (rents_a, apis_a), (rents_b, apis_b) = _source(a, today), _source(b, today)
    if PACKAGE in (a, b):
        apis_a, apis_b = _under_the_others_names(apis_a, apis_b, today, a == PACKAGE)
    rents = diff(a, b, _holding(rents_a, containing), _holding(rents_b, containing), "usd_per_hour")
    apis = diff(a, b, _holding(apis_a, containing), _holding(apis_b, containing))
    if not (rents.rows or rents.same or apis.rows or apis.same):
        about = f" about {containing!r}" if containing else ""
        raise InputError(f"{a} and {b} price nothing in common{about}", _nothing_in_common(a, b))
    return apis.model_copy(
        update={
            "rows": (*rents.rows, *apis.rows),
            "same": rents.same + apis.same,
            "only_a": rents.only_a + apis.only_a,
            "only_b": rents.only_b + apis.only_b,
        }
    )


def _nothing_in_common(a: str, b: str) -> str:
    if {a, b} == {OURS, PACKAGE}:
        return f"Ours has rents, and the hosts that {PACKAGE} lacks. Give a file of prices as one of the two."
    return "Names are compared as provider:model."


def _source(name: str, today: date) -> tuple[dict[str, Pair], dict[str, Pair]]:
    """(rents, API prices) of a source."""
    from toolkit import profiles
    from toolkit.cost import api_prices, price_files
    from toolkit.cost.price_diff import of_models, of_prices, of_rents

    if name == OURS:
        return of_rents(profiles.gpu_prices()), of_models(profiles.api_models().values())
    if name == PACKAGE:
        return {}, of_prices(api_prices.listed(today, ""))
    path = Path(name)
    if not path.exists() and not path.suffix:
        raise UnknownNameError("price source", name, (OURS, PACKAGE), "Or name a file: TOML, or LiteLLM's JSON.")
    rents = of_rents(price_files.read_rents(path))
    try:
        return rents, of_models(price_files.read_api_prices(path).values())
    except InputError:
        if not rents:
            raise
        return rents, {}


def _under_the_others_names(
    apis_a: dict[str, Pair], apis_b: dict[str, Pair], today: date, package_first: bool
) -> tuple[dict[str, Pair], dict[str, Pair]]:
    """The package also knows models by names that are not its ids: `mistral-large-latest`."""
    from toolkit.cost import api_prices
    from toolkit.cost.traffic import TYPICAL

    package, other = (apis_a, apis_b) if package_first else (apis_b, apis_a)
    known = dict(package)
    for name in other:
        try:
            price = api_prices.quote(name, (TYPICAL,), today).price
        except InputError:
            continue
        if name not in known:
            known.pop(f"{price.provider}:{price.model}", None)
            known[name] = (price.usd_per_mtok_input, price.usd_per_mtok_output)
    return (known, other) if package_first else (other, known)


def _holding(prices: dict[str, Pair], text: str) -> dict[str, Pair]:
    from toolkit.cli.listing import holds

    return {name: pair for name, pair in prices.items() if holds(text or None, (name,))}


def draw(found: PriceDiff) -> None:
    """The rows, and the counts below."""
    from toolkit.cli.listing import draw_rows
    from toolkit.report.words import significant, usd

    rows = [
        (
            row.name,
            usd(row.a_input),
            usd(row.a_output) if row.unit == "usd_per_mtok" else "",
            usd(row.b_input),
            usd(row.b_output) if row.unit == "usd_per_mtok" else "",
            f"{significant(row.ratio)}×",
            "$/M tokens" if row.unit == "usd_per_mtok" else "$/hour",
        )
        for row in found.rows[:MOST_ROWS]
    ]
    left = f" {len(found.rows) - MOST_ROWS:,} more are in the JSON." if len(found.rows) > MOST_ROWS else ""
    footer = (
        f"{len(found.rows):,} priced differently, {found.same:,} alike, {found.only_a:,} only in {found.a}, "
        f"{found.only_b:,} only in {found.b}.{left}"
    )
    if not rows:
        print(footer)
        return
    draw_rows(("", f">{found.a} in", ">out", f">{found.b} in", ">out", ">apart", "unit"), rows, footer)
