"""Puts the stage together: a goodput, a machine price and API quotes become one CostReport."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from toolkit.cost import formulas
from toolkit.cost.api_prices import Quote
from toolkit.cost.bill import bill
from toolkit.cost.breakeven import MAX_REPLICAS, break_even, search_limit
from toolkit.cost.formulas import Hosting, Month
from toolkit.cost.goodput import Goodput
from toolkit.cost.machine_price import MachinePrice
from toolkit.cost.notes import notes
from toolkit.cost.scenario import Load, Power, Scenario, hosting_of
from toolkit.cost.split import Kinds
from toolkit.cost.uncertainty import DRAWS, factors, simulate
from toolkit.errors import DeclinedError, InputError
from toolkit.types import Alternative, Basis, CostReport, Currency, InCurrency, MonthlyUsd

DEFAULT_COMPARE = ("gpt-4o", "claude-sonnet-4-6", "together:llama-3.3-70b")
"""Two closed models and one hosted open one, when nothing else is asked for."""


def cost_report(
    goodput: Goodput,
    price: MachinePrice,
    quotes: Sequence[Quote] = (),
    scenario: Scenario | None = None,
    *,
    currency: Currency | None = None,
    split_usd_per_mtok: Kinds | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> CostReport:
    """The document of `cost`. With a volume, ``draws`` seeded draws say how sure it is.

    Raises:
        InputError: the volume needs more replicas than anyone should plan from one measurement.
    """
    scenario = scenario or Scenario()
    load = scenario.load
    hosting = hosting_of(goodput, price, scenario)
    month = _month(hosting, load)
    alternatives = tuple(alternative(q, hosting, goodput.input_share, load.tokens_per_day) for q in quotes)
    sure = None
    if load.tokens_per_day is not None:
        uncertain = factors(goodput, price, load.peak_ratio_basis)
        prices = [a.usd_per_mtok for a in alternatives]
        sure, cheaper = simulate(hosting, load.tokens_per_day, uncertain, prices, draws, seed, load.replicas)
        alternatives = tuple(
            a.model_copy(update={"p_self_host_cheaper": p}) for a, p in zip(alternatives, cheaper, strict=True)
        )
    return CostReport(
        **_machine(goodput, price, hosting, split_usd_per_mtok),
        **_load(load, hosting),
        **_bill(month, hosting, price, scenario),
        **_energy(goodput, scenario.power),
        alternatives=alternatives,
        notes=tuple(notes(goodput, price, scenario, hosting, alternatives) + _rate(currency)),
        currency=currency,
        in_currency=_in_currency(currency, goodput, price, month) if currency else None,
        uncertainty=sure,
    )


Fields = dict[str, Any]
"""Fields of a CostReport by name, validated by it."""


def _machine(goodput: Goodput, price: MachinePrice, hosting: Hosting, split: Kinds | None) -> Fields:
    """How fast a replica is, what its hardware costs, and the usage price that follows."""
    return {
        "goodput_tok_s": float(goodput.tok_s),
        "goodput_basis": goodput.basis,
        "goodput_how": goodput.how,
        "model": goodput.model,
        "level": goodput.level,
        "input_share": float(goodput.input_share),
        "input_share_basis": goodput.input_share_basis,
        "gpus": price.gpus,
        "usd_per_gpu_hour": price.usd_per_gpu_hour,
        "price_basis": price.basis,
        "price_how": price.how,
        "hardware": price.hardware,
        "open_hours_per_month": float(hosting.open_hours),
        "paid_hours_per_month": float(hosting.paid_hours),
        "usage_usd_per_mtok": formulas.usage_usd_per_mtok(price.gpus, price.usd_per_gpu_hour, goodput.tok_s),
        "usd_per_mtok_input": split.input if split else None,
        "usd_per_mtok_input_cached": split.cached if split else None,
        "usd_per_mtok_output": split.output if split else None,
    }


def _load(load: Load, hosting: Hosting) -> Fields:
    """The volume and its peak, and the steps in which the cost grows with it."""
    return {
        "tokens_per_day": load.tokens_per_day,
        "deployed_replicas": load.replicas,
        "peak_ratio": float(hosting.peak_over_mean),
        "peak_ratio_basis": load.peak_ratio_basis if hosting.peak_over_mean == load.peak_ratio else "computed",
        "spare": load.spare,
        "capacity_tokens_per_day": int(hosting.capacity_tokens_per_day),
        "fixed_usd_per_month": hosting.fixed_usd_per_month,
        "usd_per_replica_month": hosting.usd_per_replica_month,
        "other_usd_per_mtok": hosting.other_usd_per_mtok,
        "searched_up_to_tokens_per_day": search_limit(hosting),
    }


def _bill(month: Month | None, hosting: Hosting, price: MachinePrice, scenario: Scenario) -> Fields:
    """The month at that volume; every part unknown without one."""
    if month is None:
        return dict.fromkeys(("allocation_usd_per_mtok", "utilisation", "replicas", "monthly_usd"))
    return {
        "allocation_usd_per_mtok": month.allocation_usd_per_mtok,
        "utilisation": float(month.utilisation),
        "replicas": month.replicas,
        "monthly_usd": MonthlyUsd(
            compute=month.compute_usd, people=month.people_usd, other=month.other_usd, total=month.total_usd
        ),
        "monthly_lines": bill(month, hosting, price, scenario),
    }


def _in_currency(currency: Currency, goodput: Goodput, price: MachinePrice, month: Month | None) -> InCurrency:
    usage = formulas.usage_usd_per_mtok(price.gpus, price.usd_per_gpu_hour, goodput.tok_s)
    return InCurrency(
        code=currency.code,
        usage_per_mtok=currency.of_usd(usage),
        allocation_per_mtok=currency.of_usd(month.allocation_usd_per_mtok) if month else None,
        total_per_month=currency.of_usd(month.total_usd) if month else None,
    )


def _rate(currency: Currency | None) -> list[str]:
    """The rate that amounts of a second currency rest on."""
    if currency is None:
        return []
    return [f"One dollar is {float(currency.per_usd):,.6g} {currency.code}, as you gave it for {currency.on}."]


def _energy(goodput: Goodput, power: Power | None) -> Fields:
    """Joules per token, and their price where there is a tariff."""
    joules, basis = _joules(goodput, power)
    return {
        "joules_per_token": float(joules) if joules is not None else None,
        "joules_basis": basis,
        "energy_usd_per_mtok": (
            formulas.energy_usd_per_mtok(joules, power.usd_per_kwh, power.pue)
            if power is not None and joules is not None
            else None
        ),
    }


def _joules(goodput: Goodput, power: Power | None) -> tuple[Decimal | None, Basis | None]:
    """Joules per token: of the power stated or measured; without a tariff what the bench read; else unknown."""
    if power is not None:
        return formulas.joules_per_token(power.watts, goodput.tok_s), power.basis
    if goodput.energy is not None:
        return Decimal(str(goodput.energy.joules_per_token)), "measured"
    return None, None


def alternative(quote: Quote, hosting: Hosting, input_share: Decimal, tokens_per_day: int | None) -> Alternative:
    """One API at the same mix of tokens, and the volumes at which self-hosting beats it."""
    usd = quote.usd_per_mtok(input_share)
    found = break_even(hosting, usd)
    price = quote.price
    return Alternative(
        name=price.name,
        provider=price.provider,
        matched_model=price.model,
        price_date=price.price_date,
        usd_per_mtok=usd,
        usd_per_month=usd * formulas.mtok_per_month(tokens_per_day) if tokens_per_day else None,
        self_host_wins_tokens_per_day=found.wins,
        utilisation_needed=None if found.utilisation_needed is None else float(found.utilisation_needed),
        usd_per_mtok_input=price.usd_per_mtok_input,
        usd_per_mtok_output=price.usd_per_mtok_output,
        usd_per_mtok_cached=price.usd_per_mtok_cached,
        usd_per_mtok_cache_write=price.usd_per_mtok_cache_write,
        terms=price.terms,
        deprecated=price.deprecated,
        retires=price.retires,
        note=price.note,
    )


def _month(hosting: Hosting, load: Load) -> Month | None:
    if load.tokens_per_day is None:
        return None
    needed = formulas.replicas(hosting, load.tokens_per_day)
    if needed - hosting.spare > MAX_REPLICAS:
        raise InputError(
            f"{load.tokens_per_day:,} tokens a day need {needed:,} replicas at "
            f"{hosting.goodput_tok_s:,.4g} tokens/s each",
            f"Check the volume and the speed; beyond {MAX_REPLICAS:,} replicas no figure here holds.",
        )
    month = formulas.month(hosting, load.tokens_per_day, load.replicas)
    if month.utilisation > 1:
        raise DeclinedError(
            f"{load.replicas:,} replicas of {hosting.goodput_tok_s:,.4g} tokens/s cannot serve "
            f"{load.tokens_per_day:,} tokens a day",
            f"It takes {needed:,} replicas at the stated peak.",
        )
    return month
