"""`selfhost recommend`: which hardware serves a load for the fewest dollars per million tokens."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from toolkit.cli import options as o

if TYPE_CHECKING:
    from toolkit.types import Recommendation

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

Class = Literal["datacenter", "workstation", "consumer", "apple", "cpu"]


@app.command()
def recommend(
    model: str = typer.Argument(help="Profile name, a .gguf file, a folder with config.json, or a folder of `deploy`."),
    context: int | None = typer.Option(None, min=2, help="Tokens per request, prompt + answer. Default: 8192."),
    users: int | None = typer.Option(None, min=1, max=100_000, help="Requests at the same time."),
    tokens_per_day: str | None = typer.Option(None, help="Volume, like 10M or 1.5B, input + output; peak is 3 × mean."),
    input_share: float = typer.Option(0.75, min=0.01, max=0.99, help="Share of a request's tokens that is prompt."),
    slo: str | None = typer.Option(None, help="Expected times to keep, e.g. ttft_p50<1s,tpot_p50<50ms."),
    quants: str | None = typer.Option(None, help="Weight formats to compare, e.g. bf16,fp8,awq. Default: the model's."),
    max_usd_per_hour: float | None = typer.Option(None, help="Leave out what costs more per hour in all."),
    only: Class | None = typer.Option(None, help="One class of device."),
    gpu: str | None = typer.Option(
        None,
        help="One device; NAME:COUNT sets the devices of a replica. With four numbers and a price, one of your own.",
    ),
    bandwidth_gbs: float | None = typer.Option(None, help="Described device: memory bandwidth, GB/s."),
    fp16_tflops: float | None = typer.Option(None, help="Described device: dense FP16 TFLOPS."),
    vram_gib: float | None = typer.Option(None, help="Described device: memory, GiB."),
    link_gbs: float | None = typer.Option(None, help="Described device: link between devices, GB/s both ways."),
    gpu_price: str | None = typer.Option(
        None, help="What the named device costs, like 1.39/h, instead of list prices."
    ),
    here: bool = typer.Option(
        False, "--here", help="Rank this machine's own devices too; its memory is read for a moment."
    ),
    own_price: str | None = typer.Option(
        None, help="What a device of this machine costs, like 0.12/h. Default: nothing, as it is yours."
    ),
    plot: str | None = typer.Option(
        None, help="Price against speed: a .svg or .html file to write, or - to draw it here."
    ),
    as_json: o.Json = False,
) -> None:
    """Which hardware to rent, ranked by dollars per million tokens under your load.

    Exit status 1 when nothing fits or no hardware keeps the service level.
    """
    from decimal import Decimal

    from toolkit.cli.deployed import deployment, memory_settings
    from toolkit.cli.fitting import Deployed, Load
    from toolkit.cli.own_machine import own_machine, told
    from toolkit.cli.ranking import rank
    from toolkit.cli.speed import FOUR_NUMBERS, device
    from toolkit.cost.quantities import parse_usd_per_hour, parse_volume
    from toolkit.errors import DeclinedError, InputError
    from toolkit.load.slo import parse

    there = deployment(model)
    if there:
        model, gpu = there.model, gpu or there.gpu
        context, quants = context or there.context, quants or there.quant
        if users is None and tokens_per_day is None and there.concurrency:
            users = there.concurrency * there.replicas
    if (users is None) == (tokens_per_day is None):
        raise InputError("the load is not stated, or stated twice", "give the users, or the tokens per day.")
    if max_usd_per_hour is not None and not 0 < max_usd_per_hour < 1e9:
        raise InputError(f"a budget of {max_usd_per_hour:g} dollars per hour makes no sense")
    described = any(n is not None for n in (bandwidth_gbs, fp16_tflops, vram_gib, link_gbs))
    if gpu_price and not (gpu or described):
        raise InputError("a price needs the device that it is for", "name the device.")
    if described and not gpu_price:
        raise InputError("a described device has no list price", "give what it costs: --gpu-price 1.39/h.")
    if there and not (gpu or described):
        raise DeclinedError(
            f"{there.name} runs on a CPU, and the speed of that one is not on record",
            f"measure it (`selfhost bench`) and price the result (`selfhost cost`), or {FOUR_NUMBERS}",
        )
    if own_price and not here:
        raise InputError("a price of this machine's devices, which are not asked for", "rank them too: --here.")
    if here and there:
        raise InputError(f"{there.name} says what it runs on", "name the model itself to compare it with this machine.")
    one, count = device(gpu, bandwidth_gbs, fp16_tflops, vram_gib, link_gbs) if gpu or described else (None, 1)
    stated = bool(gpu and ":" in gpu)
    if there and stated:
        raise InputError(f"{there.name} says how many devices a replica has", "name the device alone.")
    if one and only and one.device_class != only:
        raise InputError(f"{one.name} is {one.device_class}, not {only}", "name a device or a class, not both.")
    load = Load(
        context=context or 8192,
        users=users,
        tokens_per_day=parse_volume(tokens_per_day) if tokens_per_day else None,
        input_share=input_share,
        slo=parse(slo) if slo else None,
        count=count if stated else None,
        max_usd_per_hour=None if max_usd_per_hour is None else Decimal(str(max_usd_per_hour)),
        there=Deployed(max(1, there.gpus_per_replica), there.replicas, there.spot, memory_settings(there))
        if there
        else None,
    )
    formats = _formats(quants)
    mine, unknown = own_machine(own_price, only) if here else ([], [])
    result = rank(model, load, formats, only, one, parse_usd_per_hour(gpu_price) if gpu_price else None, mine)
    result = told(result, mine, unknown)
    _show(result, plot, as_json=as_json)


def _formats(text: str | None) -> list[str | None]:
    """The weight formats to compare; None is the model's own.

    Raises:
        InputError: a list that names none.
    """
    from toolkit.errors import InputError

    if text is None:
        return [None]
    named: list[str | None] = [q.strip() for q in text.split(",") if q.strip()]
    if not named:
        raise InputError(f"{text!r} names no weight format", "write them like bf16,fp8.")
    return named


def _show(result: Recommendation, plot: str | None, *, as_json: bool) -> None:
    """The ranking, and its plot as a file or in characters."""
    from toolkit.cli.output import emit
    from toolkit.report.predict import render_recommendation
    from toolkit.report.price_speed import in_terminal, write_price_speed

    if plot is not None and plot != "-":
        write_price_speed(Path(plot), result)
    if as_json:
        emit(result)
        return
    print(render_recommendation(result))
    if plot == "-":
        print("\n" + in_terminal(result))
