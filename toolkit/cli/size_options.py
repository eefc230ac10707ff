"""What a user can say about a model's memory: the options that `size` and `plan` share, listed once.

A command that takes them is marked with `with_settings` and gets them as ``**settings``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

import typer

from toolkit.cli import options as o

Command = TypeVar("Command", bound=Callable[..., None])

# vLLM
Utilization = Annotated[float | None, typer.Option(help="vLLM's share of the device, above 0 to 1.")]
MaxNumSeqs = Annotated[int | None, typer.Option(help="vLLM: sequences per step.")]
MaxNumBatchedTokens = Annotated[int | None, typer.Option(help="vLLM: tokens per step.")]
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
NumSpeculativeTokens = Annotated[int | None, typer.Option(help="vLLM: tokens guessed ahead in one step.")]

# llama.cpp
FlashAttn = Literal["on", "off", "auto"]
Ubatch = Annotated[int | None, typer.Option(help="llama.cpp: physical batch size.")]
Parallel = Annotated[int | None, typer.Option(help="llama.cpp: slots. Default: the concurrency.")]
FlashAttnOption = Annotated[FlashAttn | None, typer.Option("--flash-attn", help="llama.cpp: flash attention.")]
KvUnified = Annotated[bool, typer.Option("--kv-unified", help="llama.cpp: one cache that all slots share.")]
SwaFull = Annotated[bool, typer.Option("--swa-full", help="llama.cpp: sliding layers keep the whole context.")]
NCpuMoe = Annotated[
    int | None, typer.Option("--n-cpu-moe", help="llama.cpp: experts of the first N layers stay in host memory.")
]
OverrideTensor = Annotated[
    list[str] | None,
    typer.Option(
        "--override-tensor",
        help="llama.cpp: tensors whose name matches go there: PATTERN=CPU, PATTERN=CUDA1; repeat, or part by commas.",
    ),
]
TensorSplit = Annotated[str | None, typer.Option(help="llama.cpp: shares of the layers for each GPU, e.g. 3,1.")]
SplitMode = Annotated[
    Literal["layer", "none"] | None, typer.Option(help="llama.cpp: layers dealt out over the GPUs, or one GPU only.")
]
MainGpu = Annotated[int | None, typer.Option(help="llama.cpp: the one GPU when nothing is split, counted from 0.")]
Lora = Annotated[list[str] | None, typer.Option("--lora", help="llama.cpp: a LoRA adapter (GGUF file); repeat.")]
RamGib = Annotated[
    float | None, typer.Option(help="llama.cpp: host memory in GiB. Default: what this machine has available.")
]

# Both
Draft = Annotated[
    str | None, typer.Option(help="Model that guesses tokens ahead; mtp for the model's own prediction layers.")
]


def _settings(
    gpu: o.Gpu = None,
    vram_gib: o.VramGib = None,
    engine: o.EngineOption = None,
    engine_version: o.EngineVersion = None,
    quant: o.Quant = None,
    kv_dtype: o.KvDtype = None,
    context: o.Context = None,
    concurrency: o.Concurrency = 1,
    tp: o.Tp = None,
    pp: o.Pp = None,
    gpu_memory_utilization: Utilization = None,
    max_num_seqs: MaxNumSeqs = None,
    max_num_batched_tokens: MaxNumBatchedTokens = None,
    eager: Eager = False,
    block_size: BlockSize = None,
    prefix_caching: PrefixCaching = None,
    expert_parallel: ExpertParallel = False,
    dcp: Dcp = None,
    max_lora_rank: MaxLoraRank = None,
    max_loras: MaxLoras = None,
    draft: Draft = None,
    num_speculative_tokens: NumSpeculativeTokens = None,
    ubatch: Ubatch = None,
    parallel: Parallel = None,
    flash_attn: FlashAttnOption = None,
    gpu_layers: o.GpuLayers = None,
    kv_unified: KvUnified = False,
    swa_full: SwaFull = False,
    n_cpu_moe: NCpuMoe = None,
    override_tensor: OverrideTensor = None,
    tensor_split: TensorSplit = None,
    split_mode: SplitMode = None,
    main_gpu: MainGpu = None,
    lora: Lora = None,
    ram_gib: RamGib = None,
) -> None:
    """The list; `cli.pipeline.memory_plan_for` says what is done with each."""


def with_settings(**defaults: Any) -> Callable[[Command], Command]:
    """Give a command with ``**settings`` these options in its place; ``defaults`` where its own differ."""

    def mark(command: Command) -> Command:
        own = inspect.signature(command, eval_str=True).parameters.values()
        shared = inspect.signature(_settings, eval_str=True).parameters.values()
        listed = [p.replace(default=defaults.get(p.name, p.default), kind=p.KEYWORD_ONLY) for p in shared]
        first = [p for p in own if p.kind is p.POSITIONAL_OR_KEYWORD]
        last = [p for p in own if p.kind is p.KEYWORD_ONLY]
        command.__signature__ = inspect.Signature([*first, *listed, *last])  # type: ignore[attr-defined]  # read by typer
        return command

    return mark
