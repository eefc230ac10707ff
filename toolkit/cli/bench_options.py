"""What a user can say to `selfhost bench`: its options, by what they are about."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from toolkit.cli import complete
from toolkit.cli.bench_load import DEFAULT_CONCURRENCY

# What is loaded
Target = Annotated[
    str | None,
    typer.Argument(
        help="A served name, the URL of an OpenAI-compatible server, or a folder of `deploy`.",
        autocompletion=complete.served_names,
    ),
]
Model = Annotated[str | None, typer.Option(help="Model to ask for. Default: the first the server lists.")]
Endpoint = Annotated[Literal["chat", "completions", "embeddings"], typer.Option(help="What is asked of the server.")]

# What users send
Workload = Annotated[str, typer.Option(help="What users send; see `selfhost workloads`.")]
InputLen = Annotated[
    str | None,
    typer.Option(help="Prompt tokens instead of the workload's: 200, uniform:100:300, normal:200:50, lognormal:…"),
]
OutputLen = Annotated[str | None, typer.Option(help="Answer tokens, written like --input-len.")]
Lengths = Annotated[
    Path | None, typer.Option(help="JSONL or CSV with input_tokens and output_tokens to draw lengths from.")
]
Prompts = Annotated[
    Path | None, typer.Option(help="Own prompts, JSONL: a prompt or messages on each line, perhaps max_tokens.")
]
SharedPrefix = Annotated[
    float | None, typer.Option(help="Per cent of each prompt that is the same for all, instead of the workload's.")
]
CacheBust = Annotated[
    bool | None,
    typer.Option(help="Begin each request differently, so that no cache helps. Default: not with --prompts."),
]
Turns = Annotated[int, typer.Option(help="Requests in one conversation; each sends all that was said before.")]
Think = Annotated[str, typer.Option(help="Between an answer and what the same user sends next.")]

# The load
Concurrency = Annotated[
    str | None, typer.Option(help=f"Users at the same time, one level each. Default: {DEFAULT_CONCURRENCY}.")
]
Rate = Annotated[str | None, typer.Option(help="Requests per second, one level each, instead of users.")]
Arrival = Annotated[Literal["constant", "poisson"], typer.Option(help="With --rate: how they come.")]
Sweep = Annotated[bool, typer.Option("--sweep", help="Double the users until throughput stops rising or --slo breaks.")]
FindMax = Annotated[
    bool,
    typer.Option("--find-max", help="Search the highest rate at which --slo holds; with --concurrency, users."),
]
Ramp = Annotated[str | None, typer.Option(help="FROM:TO:SECONDS: requests per second that rise evenly, as 1:20:60.")]
Trace = Annotated[
    Path | None,
    typer.Option(help="JSONL or CSV with a timestamp, perhaps input_tokens and output_tokens: sent again as it was."),
]
TraceSpeed = Annotated[float, typer.Option(help="With --trace: 2 is twice as fast as it happened.")]
SearchTime = Annotated[str, typer.Option(help="With --sweep and --find-max: at most so long.")]
MaxInFlight = Annotated[int, typer.Option(help="With --rate: requests running at once at most.")]
Duration = Annotated[
    str | None, typer.Option(help="Of each level, warm-up not counted: 30s, 2m. Default: 30s, or the whole trace.")
]
Warmup = Annotated[str | None, typer.Option(help="Before each level, not measured. Default: 5s; of a trace nothing.")]
MaxRequests = Annotated[int | None, typer.Option(help="End a level after so many requests.")]

# What must hold
Slo = Annotated[str | None, typer.Option(help="What must hold, e.g. ttft_p95<500ms,itl_p95<50ms.")]
MaxFailed = Annotated[float, typer.Option(help="Share of failed requests that is still fine.")]
Timeout = Annotated[
    str | None, typer.Option(help="Longest time for one request. Default: 300s; 30s or more while none had a token.")
]
Stall = Annotated[str, typer.Option(help="Longest silence between tokens.")]

# What is asked of the engine
IgnoreEos = Annotated[bool | None, typer.Option(help="Force the asked answer length. Default: where the engine can.")]
PromptCache = Annotated[bool | None, typer.Option(help="llama-server: switch its prompt cache. Default: as it is.")]
ApiKeyEnv = Annotated[str | None, typer.Option(help="Environment variable that holds the API key.")]

# Where load is made
Processes = Annotated[int, typer.Option(help="Load processes.")]
Workers = Annotated[int | None, typer.Option(help="Load workers of other machines that join, instead.")]
Listen = Annotated[
    str | None, typer.Option(help="With --workers: HOST:PORT of this machine to join at. Default: 127.0.0.1:5557.")
]
WorkerOf = Annotated[str | None, typer.Option(help="Only make load, for the bench that listens at that HOST:PORT.")]
SelfCheck = Annotated[
    bool, typer.Option("--self-check", help="First measure the load generator's own error on this machine.")
]

# What is kept of it
Out = Annotated[Path | None, typer.Option(help="Folder for the results. Default: selfhost-bench/<time>.")]
Export = Annotated[
    Literal["svg", "png"] | None, typer.Option(help="Write the report's plots as files too; PNG needs Chromium.")
]
Prediction = Annotated[
    Path | None, typer.Option(help="Output of `selfhost predict --json`, to stand beside what is measured.")
]
Label = Annotated[str | None, typer.Option(help="A name for `selfhost runs` and `selfhost compare`.")]
Seed = Annotated[int, typer.Option(help="Same seed, same prompts and arrivals.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no table.")]
