"""`selfhost cost`: a measured speed and a machine's price → dollars per million tokens, beside APIs."""

from __future__ import annotations

import typer

from toolkit.cli import cost_options as c
from toolkit.cli import options as o

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def cost(
    results: c.Results = None,
    goodput: c.Goodput = None,
    gpu_price: c.GpuPrice = None,
    gpu: c.Gpu = None,
    gpus: c.Gpus = None,
    spot: c.Spot = False,
    spot_price: c.SpotPrice = None,
    spot_share: c.SpotShare = None,
    interruptions: c.Interruptions = None,
    restart_minutes: c.RestartMinutes = None,
    redo_minutes: c.RedoMinutes = None,
    buy: c.Buy = None,
    residual: c.Residual = None,
    years: c.Years = None,
    schedule: c.Schedule = None,
    hours_per_month: c.HoursPerMonth = None,
    starts: c.Starts = None,
    cold_start_minutes: c.ColdStartMinutes = None,
    tokens_per_day: c.TokensPerDay = None,
    input_share: c.InputShare = None,
    peak_ratio: c.PeakRatio = None,
    request_log: c.RequestLog = None,
    spare: c.Spare = 0,
    setup_hours: c.SetupHours = 0,
    horizon_months: c.HorizonMonths = 24,
    upkeep_hours: c.UpkeepHours = 0,
    people_rate: c.PeopleRate = None,
    on_call: c.OnCall = None,
    other: c.Other = None,
    compare: c.Compare = None,
    cached_share: c.CachedShare = None,
    cache_write_share: c.CacheWriteShare = None,
    batch: c.Batch = False,
    retries: c.Retries = None,
    requests: c.Requests = None,
    prices: c.Prices = None,
    quality: c.Quality = None,
    currency: c.Currency = None,
    watts: c.Watts = None,
    usd_per_kwh: c.UsdPerKwh = None,
    pue: c.Pue = None,
    draws: c.Draws = 10_000,
    seed: c.Seed = 0,
    allow_invalid: c.AllowInvalid = False,
    out: c.Out = None,
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
