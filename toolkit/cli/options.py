"""Options that several commands share, and the JSON switch. Declared once so that a name means one thing."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from toolkit.cli.complete import gpu_names

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else there.")]
Engine = Literal["vllm", "llama.cpp"]
FlashAttn = Literal["on", "off", "auto"]

Gpu = Annotated[
    list[str] | None,
    typer.Option(
        "--gpu",
        help="Device as NAME or NAME:COUNT; repeat for unlike ones. Default: what this machine has.",
        autocompletion=gpu_names,
    ),
]
VramGib = Annotated[float | None, typer.Option(help="Memory of each device in GiB, instead of its data sheet.")]
EngineOption = Annotated[Engine | None, typer.Option("--engine", help="Default: llama.cpp for GGUF, else vLLM.")]
EngineVersion = Annotated[str | None, typer.Option(help="Engine release, e.g. 0.19; memory differs by release.")]
Quant = Annotated[
    str | None, typer.Option(help="Weight format to imagine: fp8, awq, gptq, …; or a GGUF type such as Q4_K_M.")
]
KvDtype = Annotated[str | None, typer.Option(help="KV cache type: fp8 (vLLM); q8_0, q4_0, … (llama.cpp).")]
Context = Annotated[int | None, typer.Option(help="Tokens per request, prompt + answer. Default: the model's maximum.")]
Concurrency = Annotated[int, typer.Option(help="Requests at the same time.")]
Tp = Annotated[int | None, typer.Option(help="Tensor-parallel ranks. Default: all devices.")]
Pp = Annotated[int | None, typer.Option(help="Pipeline stages.")]
Utilization = Annotated[float | None, typer.Option(help="vLLM's share of the device, above 0 to 1.")]
MaxNumSeqs = Annotated[int | None, typer.Option(help="vLLM: sequences per step.")]
MaxNumBatchedTokens = Annotated[int | None, typer.Option(help="vLLM: tokens per step.")]
Ubatch = Annotated[int | None, typer.Option(help="llama.cpp: physical batch size.")]
Parallel = Annotated[int | None, typer.Option(help="llama.cpp: slots. Default: the concurrency.")]
FlashAttnOption = Annotated[FlashAttn | None, typer.Option("--flash-attn", help="llama.cpp: flash attention.")]
GpuLayers = Annotated[int | None, typer.Option(help="llama.cpp: layers on the GPU. Default: all.")]
Eager = Annotated[bool, typer.Option("--eager", "--enforce-eager", help="vLLM: without CUDA graphs.")]
BlockSize = Annotated[int | None, typer.Option(help="vLLM: tokens per block of the KV cache.")]
PrefixCaching = Annotated[
    bool | None,
    typer.Option("--prefix-caching/--no-prefix-caching", help="vLLM: keep the cache of common beginnings."),
]
ExpertParallel = Annotated[
    bool, typer.Option("--expert-parallel", help="vLLM: whole experts on each rank, not a slice of each.")
]
Dcp = Annotated[int | None, typer.Option(help="vLLM: decode-context-parallel ranks among the tensor-parallel ones.")]
MaxLoraRank = Annotated[int | None, typer.Option(help="vLLM: room for LoRA adapters of this rank.")]
MaxLoras = Annotated[int | None, typer.Option(help="vLLM: room for so many LoRA adapters at once.")]
Draft = Annotated[
    str | None, typer.Option(help="Model that guesses tokens ahead; vLLM: mtp for the model's own prediction layers.")
]
NumSpeculativeTokens = Annotated[int | None, typer.Option(help="vLLM: tokens guessed ahead in one step.")]
