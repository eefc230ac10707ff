"""Puts the stage together: a goodput, a machine price and API quotes become one CostReport."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from toolkit.cost import formulas
from toolkit.cost.api_prices import Quote
from toolkit.cost.breakeven import MAX_REPLICAS, break_even, search_limit
from toolkit.cost.formulas import Hosting, Month
from toolkit.cost.goodput import Goodput
from toolkit.cost.machine_price import MachinePrice
from toolkit.cost.uncertainty import DRAWS, factors, simulate
from toolkit.errors import InputError
from toolkit.types import Alternative, Basis, CostReport, Currency, MonthlyUsd

DEFAULT_COMPARE = ("gpt-4o", "claude-sonnet-4-5", "together:llama-3.3-70b")
"""Two closed models and one hosted open one, when nothing else is asked for."""
PEAK_RATIO = Decimal(3)
"""Peak over mean load when no log tells: office-hours traffic; an assumption."""


@dataclass(frozen=True)
class Load:
    """The volume to serve, input + output tokens per day, and how uneven the day is."""

    tokens_per_day: int | None = None
    peak_ratio: Decimal = PEAK_RATIO
    peak_ratio_basis: Basis = "assumed"
    spare: int = 0


@dataclass(frozen=True)
class People:
    """Hours people spend, and what an hour costs. Zero hours are said in the report, not hidden."""

    setup_hours: Decimal = Decimal(0)
    horizon_months: Decimal = Decimal(24)
    upkeep_hours: Decimal = Decimal(0)
    usd_per_hour: Decimal = Decimal(0)

    @property
    def usd_per_month(self) -> Decimal:
        """Set-up spread over the horizon plus upkeep."""
        return formulas.people_usd_per_month(
            self.setup_hours, self.horizon_months, self.upkeep_hours, self.usd_per_hour
        )


@dataclass(frozen=True)
class Power:
    """Electricity that is not in the machine's price: watts of one replica at the wall, $/kWh, PUE (≥ 1)."""

    watts: Decimal
    usd_per_kwh: Decimal
    pue: Decimal = Decimal(1)


def cost_report(
    goodput: Goodput,
    price: MachinePrice,
    quotes: Sequence[Quote] = (),
    *,
    load: Load | None = None,
    people: People | None = None,
    power: Power | None = None,
    currency: Currency | None = None,
    split_usd_per_mtok: tuple[Decimal, Decimal] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> CostReport:
    """The document of `cost`. With a volume, ``draws`` seeded draws say how sure it is.

    Raises:
        InputError: the volume needs more replicas than anyone should plan from one measurement.
    """
    load, people = load or Load(), people or People()
    hosting = hosting_of(goodput, price, load, people, power)
    month = _month(hosting, load.tokens_per_day)
    alternatives = tuple(alternative(q, hosting, goodput.input_share, load.tokens_per_day) for q in quotes)
    sure = None
    if load.tokens_per_day is not None:
        uncertain = factors(goodput, price, load.peak_ratio_basis)
        prices = [a.usd_per_mtok for a in alternatives]
        sure, cheaper = simulate(hosting, load.tokens_per_day, uncertain, prices, draws, seed)
        alternatives = tuple(
            a.model_copy(update={"p_self_host_cheaper": p}) for a, p in zip(alternatives, cheaper, strict=True)
        )
    joules = formulas.joules_per_token(power.watts, goodput.tok_s) if power else None
    return CostReport(
        goodput_tok_s=float(goodput.tok_s),
        goodput_basis=goodput.basis,
        goodput_how=goodput.how,
        gpus=price.gpus,
        usd_per_gpu_hour=price.usd_per_gpu_hour,
        price_basis=price.basis,
        price_how=price.how,
        usage_usd_per_mtok=formulas.usage_usd_per_mtok(price.gpus, price.usd_per_gpu_hour, goodput.tok_s),
        allocation_usd_per_mtok=month.allocation_usd_per_mtok if month else None,
        utilisation=float(month.utilisation) if month else None,
        replicas=month.replicas if month else None,
        tokens_per_day=load.tokens_per_day,
        input_share=float(goodput.input_share),
        input_share_basis=goodput.input_share_basis,
        monthly_usd=_monthly(month) if month else None,
        usd_per_mtok_input=split_usd_per_mtok[0] if split_usd_per_mtok else None,
        usd_per_mtok_output=split_usd_per_mtok[1] if split_usd_per_mtok else None,
        alternatives=alternatives,
        notes=tuple(_notes(goodput, load, people)),
        model=goodput.model,
        level=goodput.level,
        peak_ratio=float(load.peak_ratio),
        peak_ratio_basis=load.peak_ratio_basis,
        spare=load.spare,
        capacity_tokens_per_day=int(hosting.capacity_tokens_per_day),
        fixed_usd_per_month=hosting.people_usd_per_month,
        usd_per_replica_month=hosting.usd_per_replica_month,
        searched_up_to_tokens_per_day=search_limit(hosting),
        joules_per_token=float(joules) if joules is not None else None,
        energy_usd_per_mtok=(
            formulas.energy_usd_per_mtok(joules, power.usd_per_kwh, power.pue) if power and joules is not None else None
        ),
        currency=currency,
        uncertainty=sure,
    )


def hosting_of(goodput: Goodput, price: MachinePrice, load: Load, people: People, power: Power | None) -> Hosting:
    """The pieces as one thing that formulas and break-even take."""
    return Hosting(
        goodput_tok_s=goodput.tok_s,
        gpus=price.gpus,
        usd_per_gpu_hour=price.usd_per_gpu_hour,
        peak_ratio=load.peak_ratio,
        spare=load.spare,
        people_usd_per_month=people.usd_per_month,
        power_usd_per_replica_month=(
            formulas.power_usd_per_month(power.watts, power.usd_per_kwh, power.pue) if power else Decimal(0)
        ),
    )


def alternative(quote: Quote, hosting: Hosting, input_share: Decimal, tokens_per_day: int | None) -> Alternative:
    """One API at the same mix of tokens, and the volumes at which self-hosting beats it."""
    usd = quote.usd_per_mtok(input_share)
    found = break_even(hosting, usd)
    return Alternative(
        name=quote.price.name,
        provider=quote.price.provider,
        matched_model=quote.price.model,
        price_date=quote.price.price_date,
        usd_per_mtok=usd,
        usd_per_month=usd * formulas.mtok_per_month(tokens_per_day) if tokens_per_day else None,
        self_host_wins_tokens_per_day=found.wins,
        utilisation_needed=None if found.utilisation_needed is None else float(found.utilisation_needed),
        usd_per_mtok_input=quote.price.usd_per_mtok_input,
        usd_per_mtok_output=quote.price.usd_per_mtok_output,
        deprecated=quote.price.deprecated,
        note=quote.price.note,
    )


def _month(hosting: Hosting, tokens_per_day: int | None) -> Month | None:
    if tokens_per_day is None:
        return None
    month = formulas.month(hosting, tokens_per_day)
    if month.replicas - hosting.spare > MAX_REPLICAS:
        raise InputError(
            f"{tokens_per_day:,} tokens a day need {month.replicas:,} replicas at "
            f"{hosting.goodput_tok_s:,.4g} tokens/s each",
            f"Check the volume and the speed; beyond {MAX_REPLICAS:,} replicas no figure here holds.",
        )
    return month


def _monthly(month: Month) -> MonthlyUsd:
    return MonthlyUsd(compute=month.compute_usd, people=month.people_usd, other=month.other_usd, total=month.total_usd)


def _notes(goodput: Goodput, load: Load, people: People) -> list[str]:
    notes = list(goodput.notes)
    if people.usd_per_month == 0:
        notes.append("No people's time is counted: neither setting up nor upkeep.")
    if load.tokens_per_day is None:
        notes.append("Without a volume only the usage price is known: what the machine could do when busy all day.")
    notes.append("API prices are for other models: compare the quality of their answers too.")
    return notes
