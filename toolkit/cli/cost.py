"""`selfhost cost`: a measured speed and a machine's price → dollars per million tokens, beside APIs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.cli import options as o

if TYPE_CHECKING:
    from decimal import Decimal

    from toolkit.cost.goodput import Goodput
    from toolkit.cost.machine_price import MachinePrice
    from toolkit.cost.report import Load, People, Power
    from toolkit.cost.split import Split
    from toolkit.types import BenchResult, CostReport

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

HORIZON_MONTHS = 24


@app.command()
def cost(
    results: Annotated[
        list[Path] | None,
        typer.Argument(help="A result.json or its folder. Four or more of different shapes: cost per kind of token."),
    ] = None,
    goodput: Annotated[float | None, typer.Option(help="Tokens/s of one replica, instead of a measured one.")] = None,
    gpu_price: Annotated[
        str | None, typer.Option(help="What one device costs: 1.39/h, 900/month. Default: by the machine measured.")
    ] = None,
    gpus: Annotated[int | None, typer.Option(help="Devices of one replica. Default: all of the machine's.")] = None,
    tokens_per_day: Annotated[
        str | None, typer.Option(help="Volume to serve, input + output: 250k, 10M, 1.5B.")
    ] = None,
    input_share: Annotated[
        float | None, typer.Option(help="Share of input tokens. Default: measured, else 0.75.")
    ] = None,
    peak_ratio: Annotated[float | None, typer.Option(help="Peak load over mean load. Default: 3, assumed.")] = None,
    request_log: Annotated[
        Path | None, typer.Option(help="A CSV or JSONL log of requests with times: the peak ratio is read from it.")
    ] = None,
    spare: Annotated[int, typer.Option(help="Replicas that stand by.")] = 0,
    setup_hours: Annotated[float, typer.Option(help="People's hours to set it up.")] = 0,
    horizon_months: Annotated[float, typer.Option(help="Months over which the set-up is spread.")] = HORIZON_MONTHS,
    upkeep_hours: Annotated[float, typer.Option(help="People's hours every month.")] = 0,
    people_rate: Annotated[float | None, typer.Option(help="Dollars per hour of people's time.")] = None,
    compare: Annotated[
        str | None, typer.Option(help="APIs to stand beside it, with commas; none for no API. Default: three.")
    ] = None,
    currency: Annotated[str | None, typer.Option(help="A second currency: INR=93 or INR=93@2026-06-24.")] = None,
    watts: Annotated[
        float | None, typer.Option(help="Power of one replica, when electricity is not in the price.")
    ] = None,
    usd_per_kwh: Annotated[float | None, typer.Option(help="Dollars per kilowatt-hour.")] = None,
    pue: Annotated[
        float | None, typer.Option(help="What the building adds to the power, at least 1. Default: 1.")
    ] = None,
    draws: Annotated[int, typer.Option(help="Monte Carlo draws behind the intervals, 100 to 100,000.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Seed of the draws: the same seed, the same intervals.")] = 0,
    allow_invalid: Annotated[bool, typer.Option("--allow-invalid", help="Use a bench that is not valid.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for cost.json, cost.csv and the report with this cost.")
    ] = None,
    as_json: o.Json = False,
) -> None:
    """Real dollars per million tokens, beside API prices."""
    from datetime import date

    from toolkit.cli.output import emit
    from toolkit.cost import sources
    from toolkit.cost.quantities import parse_currency
    from toolkit.cost.report import cost_report

    today = date.today()
    share = _ratio("the input share", input_share)
    measured = [_result(path) for path in results or []]
    split = None if goodput is not None else _split(measured, allow_invalid)
    speed = _goodput(measured, goodput, share, allow_invalid, split)
    price = _price(measured, gpu_price, gpus)
    report = cost_report(
        speed,
        price,
        sources.quotes(_names(compare), speed.request, today),
        load=_load(tokens_per_day, peak_ratio, request_log, spare),
        people=_people(setup_hours, horizon_months, upkeep_hours, people_rate),
        power=_power(watts, usd_per_kwh, pue),
        currency=parse_currency(currency, today) if currency else None,
        split_usd_per_mtok=split.usd_per_mtok(price.usd_per_gpu_hour * price.gpus) if split else None,
        draws=_draws(draws),
        seed=seed,
    )
    written = _write(out, report, results or [], measured) if out else None
    if as_json:
        emit(report)
    else:
        _show(report)
    if written:
        from toolkit.cli.output import note

        note(f"written: {written}")


def _result(path: Path) -> BenchResult:
    from toolkit.cli.pipeline import read_document
    from toolkit.types import BenchResult

    found: BenchResult = read_document(path / "result.json" if path.is_dir() else path, BenchResult)
    return found


def _split(measured: list[BenchResult], allow_invalid: bool) -> Split | None:
    """Cost per kind of token, when several results were given."""
    from decimal import Decimal

    from toolkit.cost.goodput import chosen_level
    from toolkit.cost.split import Run, fit
    from toolkit.errors import InputError

    if len(measured) < 2:
        return None
    models = {result.model for result in measured}
    if len(models) > 1:
        raise InputError(
            f"these results are of different models: {', '.join(sorted(models))}", "Give those of one model."
        )
    levels = [chosen_level(result, allow_invalid) for result in measured]
    return fit([Run(Decimal(str(lv.input_tok_s)), Decimal(str(lv.output_tok_s))) for lv in levels])


def _goodput(
    measured: list[BenchResult],
    goodput: float | None,
    share: Decimal | None,
    allow_invalid: bool,
    split: Split | None,
) -> Goodput:
    from toolkit.cost import goodput as speeds
    from toolkit.errors import InputError

    if goodput is not None:
        return speeds.stated(measured[0], goodput, share) if measured else speeds.assumed(goodput, share)
    if not measured:
        raise InputError(
            "there is no speed to price",
            "Give the result of `selfhost bench` (its folder or result.json), or --goodput TOKENS_PER_SECOND.",
        )
    if split is None:
        return speeds.measured(measured[0], share, allow_invalid)
    return speeds.fitted([speeds.measured(result, None, allow_invalid) for result in measured], split, share)


def _price(measured: list[BenchResult], gpu_price: str | None, gpus: int | None) -> MachinePrice:
    from toolkit.cost import machine_price, sources
    from toolkit.cost.quantities import parse_usd_per_hour
    from toolkit.errors import InputError

    if gpus is not None and gpus < 1:
        raise InputError(f"{gpus} devices cannot serve", "A replica has at least one.")
    if gpu_price is not None:
        return machine_price.given(parse_usd_per_hour(gpu_price), gpus)
    if not measured:
        raise InputError("a stated speed says nothing about the machine's price", machine_price.GIVE_IT)
    return sources.price_of_machine(measured[0], gpus)


def _names(compare: str | None) -> list[str]:
    from toolkit.cost.report import DEFAULT_COMPARE
    from toolkit.errors import InputError

    if compare is None:
        return list(DEFAULT_COMPARE)
    names = [name.strip() for name in compare.split(",") if name.strip()]
    if not names:
        raise InputError("no API was named to compare with", "Name some, like gpt-4o,claude-sonnet-4-5, or say none.")
    return [] if names == ["none"] else names


def _load(tokens_per_day: str | None, peak_ratio: float | None, log: Path | None, spare: int) -> Load:
    from decimal import Decimal

    from toolkit.cost.quantities import parse_volume
    from toolkit.cost.report import PEAK_RATIO, Load
    from toolkit.errors import InputError

    if not 0 <= spare <= 100:
        raise InputError(f"{spare} spare replicas is not a number from 0 to 100")
    volume = parse_volume(tokens_per_day) if tokens_per_day is not None else None
    if log is not None:
        if peak_ratio is not None:
            raise InputError("a peak ratio and a log to read it from were both given", "Give one of them.")
        return Load(volume, _peak(log), "measured", spare)
    ratio = _amount("the peak ratio", peak_ratio, least=Decimal(1), most=Decimal(1000))
    return Load(volume, PEAK_RATIO if ratio is None else ratio, "assumed", spare)


def _peak(log: Path) -> Decimal:
    """Busiest hour over mean hour of a log, told on stderr."""
    from toolkit.cli.output import note
    from toolkit.cost.request_log import peak_of
    from toolkit.errors import InputError

    try:
        with log.open(encoding="utf-8", newline="") as lines:
            found = peak_of(lines)
    except OSError as error:
        raise InputError(f"cannot read {log}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{log} is not UTF-8 text") from None
    note(
        f"peak ratio {found.ratio:.3g}: busiest of {found.hours:,} hours, by {found.by} ({found.requests:,} in the log)"
    )
    return found.ratio


def _people(setup_hours: float, horizon_months: float, upkeep_hours: float, rate: float | None) -> People:
    from decimal import Decimal

    from toolkit.cost.report import People
    from toolkit.errors import InputError

    setup, upkeep = _amount("set-up hours", setup_hours), _amount("upkeep hours", upkeep_hours)
    horizon = _amount("the horizon in months", horizon_months, above_zero=True)
    usd = _amount("the people's rate", rate, above_zero=True)
    if (setup or upkeep) and usd is None:
        raise InputError("hours of people's time were given without their price", "Add --people-rate USD_PER_HOUR.")
    if usd is not None and not (setup or upkeep):
        raise InputError("a people's rate was given without hours", "Add --setup-hours or --upkeep-hours.")
    return People(setup or Decimal(0), horizon or Decimal(HORIZON_MONTHS), upkeep or Decimal(0), usd or Decimal(0))


def _power(watts: float | None, usd_per_kwh: float | None, pue: float | None) -> Power | None:
    from decimal import Decimal

    from toolkit.cost.report import Power
    from toolkit.errors import InputError

    drawn = _amount("the power in watts", watts, above_zero=True)
    tariff = _amount("the price of a kilowatt-hour", usd_per_kwh, above_zero=True)
    factor = _amount("the PUE", pue, least=Decimal(1), most=Decimal(5))
    if drawn is None and tariff is None and factor is None:
        return None
    if drawn is None or tariff is None:
        raise InputError("electricity needs both its power and its price", "Give --watts and --usd-per-kwh.")
    return Power(drawn, tariff, factor or Decimal(1))


def _draws(draws: int) -> int:
    from toolkit.errors import InputError

    if not 100 <= draws <= 100_000:
        raise InputError(f"{draws:,} draws is not from 100 to 100,000", "10,000 give two digits of a probability.")
    return draws


def _ratio(what: str, value: float | None) -> Decimal | None:
    from decimal import Decimal

    return _amount(what, value, most=Decimal(1))


def _amount(
    what: str,
    value: float | None,
    least: Decimal | None = None,
    most: Decimal | None = None,
    above_zero: bool = False,
) -> Decimal | None:
    """A finite number in its range as an exact decimal; not below zero unless told otherwise."""
    from decimal import Decimal

    from toolkit.errors import InputError

    if value is None:
        return None
    number = Decimal(str(value))
    low = Decimal(0) if least is None else least
    if not number.is_finite() or number < low or (most is not None and number > most) or (above_zero and number == 0):
        span = f"above {low}" if above_zero else f"from {low} to {most}" if most is not None else f"at least {low}"
        raise InputError(f"{what} is {value}; it must be {span}")
    return number


def _write(out: Path, report: CostReport, paths: list[Path], measured: list[BenchResult]) -> Path:
    """cost.json, cost.csv, and the report: the bench's own with this cost in it, or one of cost alone."""
    from toolkit.errors import EnvironmentFailedError
    from toolkit.load.rows import read_rows
    from toolkit.report.cost_csv import cost_csv
    from toolkit.report.write import write_bench_report, write_cost_report

    rows_file = (paths[0] if paths[0].is_dir() else paths[0].parent) / "requests.jsonl" if paths else None
    if len(measured) == 1 and rows_file is not None and rows_file.is_file():
        page = write_bench_report(out, measured[0], list(read_rows(rows_file)), report)
    else:
        page = write_cost_report(out, report)
    try:
        (out / "cost.json").write_text(report.model_dump_json(by_alias=True, indent=1) + "\n", encoding="utf-8")
        (out / "cost.csv").write_text(cost_csv(report), encoding="utf-8")
    except OSError as error:
        raise EnvironmentFailedError(f"cannot write the cost to {out}: {error.strerror}") from error
    return page


def _show(report: CostReport) -> None:
    from toolkit.cli.listing import draw_rows
    from toolkit.report import tables, tornado
    from toolkit.report.headline import cost_sentences

    for sentence in cost_sentences(report):
        print(sentence)
    for table in (tables.of_alternatives(report), tables.of_cost(report), tornado.table(report)):
        if table.rows:
            print(f"\n{table.caption}")
            heads = [h if i == 0 or i >= table.words_from else f">{h}" for i, h in enumerate(table.columns)]
            named = [(*row[0].partition("\n")[::2], row[1:]) for row in table.rows]
            remarks = any(remark for _, remark, _ in named)
            draw_rows(
                [*heads, "price of"] if remarks else heads,
                [[name, *cells, remark] if remarks else [name, *cells] for name, remark, cells in named],
            )
    print()
    for line in report.notes:
        print(f"- {line}")
