"""Options that several commands share, and the JSON switch. Declared once so that a name means one thing."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from toolkit.cli.complete import gpu_names

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else there.")]
Engine = Literal["vllm", "llama.cpp"]

Gpu = Annotated[
    list[str] | None,
    typer.Option(
        "--gpu",
        help="Device as NAME or NAME:COUNT; repeat, or commas, for unlike ones. Default: what this machine has.",
        autocompletion=gpu_names,
    ),
]
VramGib = Annotated[float | None, typer.Option(help="Memory of each device in GiB, instead of its data sheet.")]
EngineOption = Annotated[Engine | None, typer.Option("--engine", help="Default: llama.cpp for GGUF, else vLLM.")]
EngineVersion = Annotated[str | None, typer.Option(help="Engine release, e.g. 0.19; memory differs by release.")]
Quant = Annotated[
    str | None, typer.Option(help="Weight format to imagine: fp8, awq, gptq, …; or a GGUF type such as Q4_K_M.")
]
KvDtype = Annotated[
    str | None, typer.Option(help="KV cache type: fp8 (vLLM); q8_0, q4_0, …, or of keys/values: q8_0/f16 (llama.cpp).")
]
Context = Annotated[int | None, typer.Option(help="Tokens per request, prompt + answer. Default: the model's maximum.")]
Concurrency = Annotated[int, typer.Option(help="Requests at the same time.")]
Tp = Annotated[int | None, typer.Option(help="Tensor-parallel ranks. Default: all devices.")]
Pp = Annotated[int | None, typer.Option(help="Pipeline stages.")]
GpuLayers = Annotated[int | None, typer.Option(help="llama.cpp: layers on the GPU. Default: all.")]
