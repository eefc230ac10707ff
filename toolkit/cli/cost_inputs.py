"""From what a user says on the command line to the pieces of a cost: load, hours, machine, people, power, APIs."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.errors import InputError

if TYPE_CHECKING:
    from toolkit.cost.energy import Measured
    from toolkit.cost.good_answer import Quality
    from toolkit.cost.machine_price import MachinePrice
    from toolkit.cost.request_log import Log
    from toolkit.cost.running import Running
    from toolkit.cost.scenario import Load, Other, People, Power
    from toolkit.cost.traffic import Request, Terms
    from toolkit.types import ApiModel, BenchResult

HORIZON_MONTHS = 24
YEARS = 3
"""Over how long bought hardware is written off unless said otherwise: the usual term; said in the report."""


LEAST = Decimal("1e-6")
"""The least of what must be above zero: below it is a slip of the keyboard."""
MONTH_MIN = 730 * 60


def amount(what: str, value: float | None, most: int, least: int = 0, above_zero: bool = False) -> Decimal | None:
    """A number in its range as an exact decimal; outside is what nobody means, NaN and infinity among it."""
    if value is None:
        return None
    number = Decimal(str(value))
    if not number.is_finite() or not (LEAST if above_zero else least) <= number <= most:
        span = f"above 0 and at most {most:,}" if above_zero else f"from {least} to {most:,}"
        raise InputError(f"{what} is {value}; it must be {span}")
    return number


def ratio(what: str, value: float | None) -> Decimal | None:
    """A share 0…1."""
    return amount(what, value, 1)


def load_of(
    tokens_per_day: str | None, peak_ratio: float | None, log: Log | None, spare: int, replicas: int | None
) -> Load:
    """The volume and how uneven it is; a log tells the peak where there is one."""
    from toolkit.cost.quantities import parse_volume
    from toolkit.cost.scenario import PEAK_RATIO, Load

    if not 0 <= spare <= 100:
        raise InputError(f"{spare} spare replicas is not a number from 0 to 100")
    volume = parse_volume(tokens_per_day) if tokens_per_day is not None else None
    if log is not None:
        if peak_ratio is not None:
            raise InputError("a peak ratio and a log to read it from were both given", "Give one of them.")
        return Load(volume, log.peak, "measured", spare, replicas)
    given = amount("the peak ratio", peak_ratio, 1000, 1)
    return Load(volume, PEAK_RATIO if given is None else given, "assumed", spare, replicas)


def read_log(path: Path) -> Log:
    """A request log, told on stderr.

    Raises:
        InputError: it cannot be read, or is no log.
    """
    from toolkit.cli.output import note
    from toolkit.cost.request_log import read

    try:
        with path.open(encoding="utf-8", newline="") as lines:
            found = read(lines)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text") from None
    note(
        f"peak ratio {found.peak:.3g}: busiest of {found.hours:,} hours, by {found.by} ({found.requests:,} in the log)"
    )
    if found.classes:
        classes = "one class" if len(found.classes) == 1 else f"{len(found.classes)} classes"
        note(f"{classes} of requests by the length of their input")
    return found


def running_of(
    schedule: str | None,
    hours_per_month: float | None,
    starts: float | None,
    cold_start_minutes: float | None,
    interruptions: float | None,
    restart_minutes: float | None,
    redo_minutes: float | None,
) -> Running:
    """When the machine runs: always, by opening hours, or for so many hours a month."""
    from toolkit.cost import running
    from toolkit.cost.formulas import HOURS_PER_MONTH

    hours = amount("the hours per month", hours_per_month, 730, above_zero=True)
    begun = amount("the starts per month", starts, MONTH_MIN)
    cold = amount("the cold start in minutes", cold_start_minutes, MONTH_MIN)
    if schedule is not None and (hours is not None or begun is not None):
        raise InputError("opening hours already say how long it runs and how often it starts", "Give one of them.")
    if schedule is not None:
        hours, begun = running.schedule(schedule)
    if cold is not None and not begun:
        raise InputError("a cold start was given, and the machine never starts", "Say how often, or its opening hours.")
    if schedule is None and begun and cold is None:
        raise InputError("starts were given without the minutes that one takes", "Give the cold start in minutes.")
    if begun and hours is None:
        raise InputError("starts were given without the hours it runs", "Say how many hours a month it is open.")
    stops, lost = _interruptions(interruptions, restart_minutes, redo_minutes)
    return running.checked(
        running.Running(
            open_hours=HOURS_PER_MONTH if hours is None else hours,
            starts=begun or Decimal(0),
            cold_start_hours=(cold or Decimal(0)) / 60,
            interruptions=stops,
            lost_hours=lost,
        )
    )


def _interruptions(times: float | None, restart: float | None, redo: float | None) -> tuple[Decimal, Decimal]:
    stops = amount("the interruptions per month", times, 10_000)
    minutes = [
        amount("the restart in minutes", restart, MONTH_MIN),
        amount("the work to redo in minutes", redo, MONTH_MIN),
    ]
    if stops and minutes[0] is None:
        raise InputError("interruptions were given without what one costs", "Give the minutes of a restart.")
    if stops is None and any(m is not None for m in minutes):
        raise InputError("minutes of an interruption were given, and not how many there are")
    return stops or Decimal(0), sum((m or Decimal(0) for m in minutes), Decimal(0)) / 60


def machine_of(
    measured: Sequence[BenchResult],
    gpu: str | None,
    gpus: int | None,
    gpu_price: str | None,
    spot: bool,
    spot_price: str | None,
    spot_share: float | None,
    bought: tuple[str | None, float | None, float | None],
    paid_hours: Decimal,
) -> MachinePrice:
    """What an hour costs: bought, stated, or by dated rents; on demand, spot or a mix."""
    from toolkit.cost import machine_price, sources
    from toolkit.cost.quantities import parse_usd_per_hour

    if gpus is not None and not 1 <= gpus <= 1024:
        raise InputError(f"{gpus} devices cannot serve", "A replica has at least one, and at most 1,024.")
    name, counted = _device(gpu)
    if counted is not None and gpus is not None:
        raise InputError("the number of devices was given twice", "Give it once.")
    gpus = counted if counted is not None else gpus
    share = amount("the spot share", spot_share, 1, above_zero=True)
    wants_spot = spot or spot_price is not None or share is not None
    if bought[0] is not None:
        if gpu_price is not None or wants_spot:
            raise InputError("hardware is either bought or rented", "Give its price or its rent.")
        return _bought(bought, name, gpus or 1, paid_hours)
    if bought[1] is not None or bought[2] is not None:
        raise InputError("a residual value or years were given, and nothing is bought", "Give the price of a device.")
    if not wants_spot:
        return _on_demand(measured, name, gpus, gpu_price)
    if spot_price is not None:
        cheap = machine_price.given(parse_usd_per_hour(spot_price), gpus)
    elif name is not None:
        cheap = sources.rent(name, gpus or 1, "spot")
    else:
        raise InputError("a spot price is needed: neither it nor the device is known", machine_price.GIVE_IT)
    known = gpu_price is not None or name is not None or (share is not None and share < 1)
    dear = _on_demand(measured, name, gpus, gpu_price) if known else None
    return machine_price.spot_mix(cheap, dear, Decimal(1) if share is None else share)


def _device(gpu: str | None) -> tuple[str | None, int | None]:
    """Canonical name and count of ``NAME`` or ``NAME:COUNT``; no count is None."""
    if gpu is None:
        return None, None
    from toolkit import profiles
    from toolkit.cli.devices import split

    name, count = split(gpu)
    return profiles.gpu(name).name, count if ":" in gpu else None


def _on_demand(
    measured: Sequence[BenchResult], name: str | None, gpus: int | None, gpu_price: str | None
) -> MachinePrice:
    from toolkit.cost import machine_price, sources
    from toolkit.cost.quantities import parse_usd_per_hour

    if gpu_price is not None:
        return machine_price.given(parse_usd_per_hour(gpu_price), gpus)
    if name is not None:
        return sources.rent(name, gpus or 1)
    if not measured:
        raise InputError("a stated speed says nothing about the machine's price", machine_price.GIVE_IT)
    return sources.price_of_machine(measured[0], gpus)


def _bought(
    bought: tuple[str | None, float | None, float | None], name: str | None, gpus: int, paid_hours: Decimal
) -> MachinePrice:
    """``list`` takes the dated purchase price of the device named."""
    from toolkit import profiles
    from toolkit.cost import machine_price
    from toolkit.cost.quantities import parse_usd

    price, residual, years = bought
    left = amount("the residual value", residual, 1) or Decimal(0)
    term = amount("the years of use", years, 20, above_zero=True) or Decimal(YEARS)
    if left == 1:
        raise InputError("hardware that keeps its whole value costs nothing", "Give the share it is sold for, below 1.")
    if price == "list":
        record = profiles.gpu(name) if name else None
        if record is None or record.purchase_usd is None:
            raise InputError(
                f"no dated purchase price is known for {name or 'a device without a name'}",
                "Name a device that has one (`selfhost gpus` shows it), or give the price in dollars.",
            )
        return machine_price.owned(record.purchase_usd, left, term, paid_hours, gpus)
    return machine_price.owned(parse_usd(price or ""), left, term, paid_hours, gpus)


def people_of(
    setup_hours: float, horizon_months: float, upkeep_hours: float, rate: float | None, on_call: float | None
) -> People:
    """Hours and their price; one without the other is a mistake."""
    from toolkit.cost.scenario import People

    setup, upkeep = amount("set-up hours", setup_hours, 10**6), amount("upkeep hours", upkeep_hours, 10**6)
    horizon = amount("the horizon in months", horizon_months, 1200, above_zero=True)
    usd = amount("the people's rate", rate, 10**5, above_zero=True)
    if (setup or upkeep) and usd is None:
        raise InputError("hours of people's time were given without their price", "Add --people-rate USD_PER_HOUR.")
    if usd is not None and not (setup or upkeep):
        raise InputError("a people's rate was given without hours", "Add --setup-hours or --upkeep-hours.")
    return People(
        setup or Decimal(0),
        horizon or Decimal(HORIZON_MONTHS),
        upkeep or Decimal(0),
        usd or Decimal(0),
        amount("on-call pay a month", on_call, 10**9) or Decimal(0),
    )


def power_of(
    watts: float | None, usd_per_kwh: float | None, pue: float | None, measured: Measured | None
) -> Power | None:
    """Stated watts, else those that a bench measured; either needs the price of a kilowatt-hour."""
    from toolkit.cost.scenario import Power

    drawn = amount("the power in watts", watts, 10**7, above_zero=True)
    tariff = amount("the price of a kilowatt-hour", usd_per_kwh, 1000, above_zero=True)
    factor = amount("the PUE", pue, 5, 1)
    if drawn is None and tariff is None and factor is None:
        return None
    if tariff is None or (drawn is None and measured is None):
        raise InputError(
            "electricity needs both its power and its price",
            "Give --watts and --usd-per-kwh; a bench of a GPU on this machine measures the power.",
        )
    if drawn is None and measured is not None:
        return Power(measured.watts, tariff, factor or Decimal(1), "measured", measured.how)
    return Power(drawn or Decimal(0), tariff, factor or Decimal(1))


def others_of(said: Sequence[str]) -> tuple[Other, ...]:
    """Each ``NAME=DOLLARS``, ``NAME=DOLLARS per replica`` or ``… per mtok``; dollars may be arithmetic."""
    from toolkit.cost.arithmetic import evaluate
    from toolkit.cost.scenario import Other

    found = []
    for text in said:
        what, equals, rest = (part.strip() for part in text.partition("="))
        usd, _, per = (part.strip() for part in rest.partition(" per "))
        if not (what and equals and usd) or per not in ("", "month", "replica", "mtok"):
            raise InputError(
                f"{text!r} is not other money",
                "Write it like storage=500*0.08, licence=375, 'cache=40*0.1 per replica' or 'egress=0.02 per mtok'.",
            )
        value = evaluate(usd)
        if not 0 <= value < 10**9:
            raise InputError(f"{what} comes to {value:,.2f} dollars; it must be from 0 to a thousand million")
        found.append(Other(what, value, "replica" if per == "replica" else "mtok" if per == "mtok" else "month"))
    return tuple(found)


def terms_of(cached_share: float | None, written_share: float | None, batch: bool, retries: float | None) -> Terms:
    """On which terms the APIs are used."""
    from toolkit.cost.traffic import Terms

    cached = ratio("the cached share", cached_share) or Decimal(0)
    written = ratio("the share written to the cache", written_share) or Decimal(0)
    if cached + written > 1:
        raise InputError(
            f"{cached:g} of the input read from the cache and {written:g} written to it are more than all of it",
            "The two and what is neither add up to 1.",
        )
    return Terms(cached, batch, ratio("the share of retried requests", retries) or Decimal(0), written)


def names_of(compare: str | None) -> list[str]:
    """The APIs to compare with; ``none`` is none."""
    from toolkit.cost.report import DEFAULT_COMPARE

    if compare is None:
        return list(DEFAULT_COMPARE)
    names = [name.strip() for name in compare.split(",") if name.strip()]
    if not names:
        raise InputError("no API was named to compare with", "Name some, like gpt-4o,claude-sonnet-4-5, or say none.")
    return [] if names == ["none"] else names


def classes_of(
    requests: str | None, log: Log | None, share: Decimal | None
) -> tuple[tuple[Request, ...], Decimal | None]:
    """Classes of requests, stated or from a log, and the share of input that follows; empty where nobody tells."""
    from toolkit.cost.traffic import input_share, parse_requests

    classes = parse_requests(requests) if requests is not None else log.classes if log else ()
    if requests is not None and share is not None:
        raise InputError("classes of requests already say the share of input", "Give one of them.")
    return classes, input_share(classes) if classes and share is None else share


def book_of(path: Path | None) -> dict[str, ApiModel]:
    """The user's own API prices; none without a file."""
    from toolkit.cost.price_files import read_api_prices

    return read_api_prices(path) if path is not None else {}


def quality_of(path: Path | None) -> Quality | None:
    """How good the answers are, from a TOML file; None without one."""
    from toolkit.cli.toml import read_toml
    from toolkit.cost.good_answer import read_quality

    return read_quality(read_toml(path)) if path is not None else None


def draws_of(draws: int) -> int:
    """A number of Monte Carlo draws that means something and ends."""
    if not 100 <= draws <= 100_000:
        raise InputError(f"{draws:,} draws is not from 100 to 100,000", "10,000 give two digits of a probability.")
    return draws
