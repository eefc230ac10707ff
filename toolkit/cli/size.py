"""`selfhost size`: the memory plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from toolkit.cli import complete
from toolkit.cli import options as o

if TYPE_CHECKING:
    from toolkit.types import MemoryPlan

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def size(
    model: str = typer.Argument(
        help="Profile name, Hugging Face id, .gguf file, or folder with config.json.",
        autocompletion=complete.model_names,
    ),
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
    gpu_memory_utilization: o.Utilization = None,
    max_num_seqs: o.MaxNumSeqs = None,
    max_num_batched_tokens: o.MaxNumBatchedTokens = None,
    ubatch: o.Ubatch = None,
    parallel: o.Parallel = None,
    flash_attn: o.FlashAttnOption = None,
    gpu_layers: o.GpuLayers = None,
    eager: o.Eager = False,
    block_size: o.BlockSize = None,
    prefix_caching: o.PrefixCaching = None,
    expert_parallel: o.ExpertParallel = False,
    dcp: o.Dcp = None,
    max_lora_rank: o.MaxLoraRank = None,
    max_loras: o.MaxLoras = None,
    draft: o.Draft = None,
    num_speculative_tokens: o.NumSpeculativeTokens = None,
    exact: bool = typer.Option(False, "--exact", help="llama.cpp: ask the engine's own planner (this machine)."),
    every_gpu: bool = typer.Option(False, "--every-gpu", help="The fewest devices of every known GPU that hold it."),
    vs: str | None = typer.Option(None, help="A second model under the same conditions, side by side."),
    markdown: bool = typer.Option(False, "--markdown", help="Print Markdown instead of plain text."),
    as_json: o.Json = False,
) -> None:
    """How much memory a model needs, whether it fits, and what to change.

    Exit status 1 when the asked context and concurrency do not fit.
    """
    from toolkit.cli.output import emit
    from toolkit.cli.pipeline import memory_plan_for
    from toolkit.errors import InputError

    if every_gpu and (gpu or vram_gib is not None or tp or pp or exact):
        raise InputError("every GPU was asked for, and a device or its split was named too", "leave one of them out.")

    def of(name: str) -> MemoryPlan:
        return memory_plan_for(
            name,
            gpu=gpu,
            vram_gib=vram_gib,
            engine=engine,
            quant=quant,
            engine_version=engine_version,
            kv_dtype=kv_dtype,
            context=context,
            concurrency=concurrency,
            tp=tp,
            pp=pp,
            gpu_memory_utilization=gpu_memory_utilization,
            max_num_seqs=max_num_seqs,
            max_num_batched_tokens=max_num_batched_tokens,
            ubatch=ubatch,
            parallel=parallel,
            flash_attn=flash_attn,
            gpu_layers=gpu_layers,
            eager=eager,
            block_size=block_size,
            prefix_caching=prefix_caching,
            expert_parallel=expert_parallel,
            dcp=dcp,
            max_lora_rank=max_lora_rank,
            max_loras=max_loras,
            draft=draft,
            num_speculative_tokens=num_speculative_tokens,
            exact=exact,
            every_gpu=every_gpu,
        )

    plan = of(model)
    if vs is not None:
        plan = plan.model_copy(update={"versus": of(vs)})
    if as_json:
        emit(plan)
    else:
        from toolkit.report import memory

        print(memory.markdown(plan) if markdown else memory.render(plan))
    raise typer.Exit(0 if plan.fits else 1)
