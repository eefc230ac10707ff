"""`selfhost cost`: a measured speed and a machine's price → dollars per million tokens, beside APIs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli import options as o

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def cost(
    results: Annotated[
        list[Path] | None,
        typer.Argument(
            help="A result.json or its folder. Several of one shape: an interval; four or more shapes: cost per kind "
            "of token. Also a folder that deploy wrote: its replicas and its hardware."
        ),
    ] = None,
    goodput: Annotated[float | None, typer.Option(help="Tokens/s of one replica, instead of a measured one.")] = None,
    gpu_price: Annotated[
        str | None, typer.Option(help="What one device costs: 1.39/h, 900/month. Default: by the machine measured.")
    ] = None,
    gpu: Annotated[str | None, typer.Option(help="A device as NAME or NAME:COUNT, at its dated median rent.")] = None,
    gpus: Annotated[int | None, typer.Option(help="Devices of one replica. Default: all of the machine's.")] = None,
    spot: Annotated[
        bool, typer.Option("--spot", help="Rent as spot, at the dated median of the device named.")
    ] = False,
    spot_price: Annotated[str | None, typer.Option(help="What one device costs as spot: 0.45/h.")] = None,
    spot_share: Annotated[
        float | None, typer.Option(help="Share of the hours that are spot, the rest on demand. Default: 1.")
    ] = None,
    interruptions: Annotated[float | None, typer.Option(help="Spot interruptions of a replica per month.")] = None,
    restart_minutes: Annotated[float | None, typer.Option(help="Minutes to restart after one.")] = None,
    redo_minutes: Annotated[float | None, typer.Option(help="Minutes of work each one wastes. Default: 0.")] = None,
    buy: Annotated[
        str | None,
        typer.Option(help="Bought, not rented: dollars per device; list takes the profile's price of --gpu."),
    ] = None,
    residual: Annotated[float | None, typer.Option(help="Share of that it is sold for at the end. Default: 0.")] = None,
    years: Annotated[float | None, typer.Option(help="Years it is written off over. Default: 3.")] = None,
    schedule: Annotated[
        str | None, typer.Option(help="Opening hours: 'mon-fri 8-20, sat 9-14'. Default: all the time.")
    ] = None,
    hours_per_month: Annotated[
        float | None, typer.Option(help="Hours a month it runs, for scale to zero. Default: 730.")
    ] = None,
    starts: Annotated[float | None, typer.Option(help="Starts from zero per month.")] = None,
    cold_start_minutes: Annotated[float | None, typer.Option(help="Minutes until the first answer of a start.")] = None,
    tokens_per_day: Annotated[
        str | None, typer.Option(help="Volume to serve, input + output: 250k, 10M, 1.5B.")
    ] = None,
    input_share: Annotated[
        float | None, typer.Option(help="Share of input tokens. Default: measured, else 0.75.")
    ] = None,
    peak_ratio: Annotated[float | None, typer.Option(help="Peak load over mean load. Default: 3, assumed.")] = None,
    request_log: Annotated[
        Path | None,
        typer.Option(
            help="A CSV or JSONL log of requests with times: the peak ratio and the lengths are read from it."
        ),
    ] = None,
    spare: Annotated[int, typer.Option(help="Replicas that stand by.")] = 0,
    setup_hours: Annotated[float, typer.Option(help="People's hours to set it up.")] = 0,
    horizon_months: Annotated[float, typer.Option(help="Months over which the set-up is spread.")] = 24,
    upkeep_hours: Annotated[float, typer.Option(help="People's hours every month.")] = 0,
    people_rate: Annotated[float | None, typer.Option(help="Dollars per hour of people's time.")] = None,
    on_call: Annotated[float | None, typer.Option(help="Dollars a month for being on call.")] = None,
    other: Annotated[
        list[str] | None,
        typer.Option(help="Other money, repeated: storage=500*0.08, licence=375, 'egress=0.02 per mtok' (or replica)."),
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option(help="APIs to stand beside it, with commas; NAME@batch, @flex…; none for no API. Default: three."),
    ] = None,
    cached_share: Annotated[
        float | None, typer.Option(help="Share of the input that APIs read from their cache. Default: 0.")
    ] = None,
    cache_write_share: Annotated[
        float | None, typer.Option(help="Share of the input that APIs write to their cache. Default: 0.")
    ] = None,
    batch: Annotated[bool, typer.Option("--batch", help="Batch prices of every API that has them.")] = False,
    retries: Annotated[
        float | None, typer.Option(help="Share of API requests sent and paid twice. Default: 0.")
    ] = None,
    requests: Annotated[
        str | None, typer.Option(help="Classes of requests, input/output tokens: 600/200x7,9000/400x3. Default: one.")
    ] = None,
    prices: Annotated[
        Path | None, typer.Option(help="Your own API prices: TOML of [[api_model]] tables, or LiteLLM's price JSON.")
    ] = None,
    quality: Annotated[
        Path | None, typer.Option(help="How good the answers are, as TOML: cost per good answer. See docs/cost.md.")
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

    from toolkit.cli import cost_inputs as inputs
    from toolkit.cli import cost_speed as speeds
    from toolkit.cli import cost_view as view
    from toolkit.cli.output import emit, note
    from toolkit.cost import sources
    from toolkit.cost.good_answer import with_good_answers
    from toolkit.cost.quantities import parse_currency
    from toolkit.cost.report import cost_report
    from toolkit.cost.scenario import Scenario
    from toolkit.cost.traffic import mean_request

    today = date.today()
    log = inputs.read_log(request_log) if request_log else None
    judged = inputs.quality_of(quality)
    classes, share = inputs.classes_of(requests, log, inputs.ratio("the input share", input_share))
    about, benches = speeds.deployed(results or [])
    if about is not None:
        gpu, gpus = gpu or about.gpu, gpus or (about.gpus_per_replica if about.gpu else None)
        spot = spot or (about.spot and about.gpu is not None)
    measured = speeds.read_results(benches)
    split = None if goodput is not None else speeds.split_of(measured, allow_invalid)
    speed = speeds.speed_of(measured, goodput, share, allow_invalid, split)
    running = inputs.running_of(
        schedule, hours_per_month, starts, cold_start_minutes, interruptions, restart_minutes, redo_minutes
    )
    price = inputs.machine_of(
        measured, gpu, gpus, gpu_price, spot, spot_price, spot_share, (buy, residual, years), running.paid_hours
    )
    report = cost_report(
        speed,
        price,
        sources.quotes(
            inputs.names_of(compare),
            classes or (speed.request,),
            today,
            inputs.terms_of(cached_share, cache_write_share, batch, retries),
            inputs.book_of(prices),
        ),
        Scenario(
            load=inputs.load_of(tokens_per_day, peak_ratio, log, spare, about.replicas if about else None),
            running=running,
            people=inputs.people_of(setup_hours, horizon_months, upkeep_hours, people_rate, on_call),
            power=inputs.power_of(watts, usd_per_kwh, pue, speed.energy),
            others=inputs.others_of(other or ()),
        ),
        currency=parse_currency(currency, today) if currency else None,
        split_usd_per_mtok=split.usd_per_mtok(price.usd_per_gpu_hour * price.gpus) if split else None,
        draws=inputs.draws_of(draws),
        seed=seed,
    )
    if judged is not None:
        report = with_good_answers(report, judged, mean_request(classes or (speed.request,)).tokens)
    written = view.write(out, report, benches, measured) if out else None
    if as_json:
        emit(report)
    else:
        view.show(report)
    if written:
        note(f"written: {written}")
