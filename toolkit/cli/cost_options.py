"""What a user can say to `selfhost cost`: its options, by what they are about."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

# What was measured, and the machine
Results = Annotated[
    list[Path] | None,
    typer.Argument(
        help="A result.json or its folder. Several of one shape: an interval; four or more shapes: cost per kind "
        "of token. Also a folder that deploy wrote: its replicas and its hardware."
    ),
]
Goodput = Annotated[float | None, typer.Option(help="Tokens/s of one replica, instead of a measured one.")]
GpuPrice = Annotated[
    str | None, typer.Option(help="What one device costs: 1.39/h, 900/month. Default: by the machine measured.")
]
Gpu = Annotated[str | None, typer.Option(help="A device as NAME or NAME:COUNT, at its dated median rent.")]
Gpus = Annotated[int | None, typer.Option(help="Devices of one replica. Default: all of the machine's.")]

# Spot
Spot = Annotated[bool, typer.Option("--spot", help="Rent as spot, at the dated median of the device named.")]
SpotPrice = Annotated[str | None, typer.Option(help="What one device costs as spot: 0.45/h.")]
SpotShare = Annotated[
    float | None, typer.Option(help="Share of the hours that are spot, the rest on demand. Default: 1.")
]
Interruptions = Annotated[float | None, typer.Option(help="Spot interruptions of a replica per month.")]
RestartMinutes = Annotated[float | None, typer.Option(help="Minutes to restart after one.")]
RedoMinutes = Annotated[float | None, typer.Option(help="Minutes of work each one wastes. Default: 0.")]

# Bought, not rented
Buy = Annotated[
    str | None,
    typer.Option(help="Bought, not rented: dollars per device; list takes the profile's price of --gpu."),
]
Residual = Annotated[float | None, typer.Option(help="Share of that it is sold for at the end. Default: 0.")]
Years = Annotated[float | None, typer.Option(help="Years it is written off over. Default: 3.")]

# When it runs
Schedule = Annotated[str | None, typer.Option(help="Opening hours: 'mon-fri 8-20, sat 9-14'. Default: all the time.")]
HoursPerMonth = Annotated[float | None, typer.Option(help="Hours a month it runs, for scale to zero. Default: 730.")]
Starts = Annotated[float | None, typer.Option(help="Starts from zero per month.")]
ColdStartMinutes = Annotated[float | None, typer.Option(help="Minutes until the first answer of a start.")]

# The load
TokensPerDay = Annotated[str | None, typer.Option(help="Volume to serve, input + output: 250k, 10M, 1.5B.")]
InputShare = Annotated[float | None, typer.Option(help="Share of input tokens. Default: measured, else 0.75.")]
PeakRatio = Annotated[float | None, typer.Option(help="Peak load over mean load. Default: 3, assumed.")]
RequestLog = Annotated[
    Path | None,
    typer.Option(help="A CSV or JSONL log of requests with times: the peak ratio and the lengths are read from it."),
]
Spare = Annotated[int, typer.Option(help="Replicas that stand by.")]

# People and other money
SetupHours = Annotated[float, typer.Option(help="People's hours to set it up.")]
HorizonMonths = Annotated[float, typer.Option(help="Months over which the set-up is spread.")]
UpkeepHours = Annotated[float, typer.Option(help="People's hours every month.")]
PeopleRate = Annotated[float | None, typer.Option(help="Dollars per hour of people's time.")]
OnCall = Annotated[float | None, typer.Option(help="Dollars a month for being on call.")]
Other = Annotated[
    list[str] | None,
    typer.Option(help="Other money, repeated: storage=500*0.08, licence=375, 'egress=0.02 per mtok' (or replica)."),
]

# The APIs beside it
Compare = Annotated[
    str | None,
    typer.Option(help="APIs to stand beside it, with commas; NAME@batch, @flex…; none for no API. Default: three."),
]
CachedShare = Annotated[
    float | None, typer.Option(help="Share of the input that APIs read from their cache. Default: 0.")
]
CacheWriteShare = Annotated[
    float | None, typer.Option(help="Share of the input that APIs write to their cache. Default: 0.")
]
Batch = Annotated[bool, typer.Option("--batch", help="Batch prices of every API that has them.")]
Retries = Annotated[float | None, typer.Option(help="Share of API requests sent and paid twice. Default: 0.")]
Requests = Annotated[
    str | None, typer.Option(help="Classes of requests, input/output tokens: 600/200x7,9000/400x3. Default: one.")
]
Prices = Annotated[
    Path | None, typer.Option(help="Your own API prices: TOML of [[api_model]] tables, or LiteLLM's price JSON.")
]
Quality = Annotated[
    Path | None, typer.Option(help="How good the answers are, as TOML: cost per good answer. See docs/cost.md.")
]

# Money, electricity, draws and files
Currency = Annotated[str | None, typer.Option(help="A second currency: INR=93 or INR=93@2026-06-24.")]
Watts = Annotated[float | None, typer.Option(help="Power of one replica, when electricity is not in the price.")]
UsdPerKwh = Annotated[float | None, typer.Option(help="Dollars per kilowatt-hour.")]
Pue = Annotated[float | None, typer.Option(help="What the building adds to the power, at least 1. Default: 1.")]
Draws = Annotated[int, typer.Option(help="Monte Carlo draws behind the intervals, 100 to 100,000.")]
Seed = Annotated[int, typer.Option(help="Seed of the draws: the same seed, the same intervals.")]
AllowInvalid = Annotated[bool, typer.Option("--allow-invalid", help="Use a bench that is not valid.")]
Out = Annotated[Path | None, typer.Option(help="Folder for cost.json, cost.csv and the report with this cost.")]
