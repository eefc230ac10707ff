"""`selfhost plan`: which backend, with which words, and why."""

from __future__ import annotations

import typer

from toolkit.cli import complete
from toolkit.cli import options as o

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def plan(
    model: str = typer.Argument(
        help="Profile name, a .gguf file, a folder, or a memory_plan file.", autocompletion=complete.model_names
    ),
    backend: str = typer.Option("auto", help="auto, or one backend by name."),
    name: str | None = typer.Option(None, help="Served name. Default: from the model's name."),
    gpu: o.Gpu = None,
    vram_gib: o.VramGib = None,
    engine: o.EngineOption = None,
    engine_version: o.EngineVersion = None,
    quant: o.Quant = None,
    kv_dtype: o.KvDtype = None,
    context: o.Context = None,
    concurrency: o.Concurrency = 4,
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
    elsewhere: bool = typer.Option(
        False, "--elsewhere", help="For another machine, to be deployed: engines need not be installed here."
    ),
    as_json: o.Json = False,
) -> None:
    """Pick the backend and the exact launch settings, with reasons."""
    from toolkit.cli.output import emit
    from toolkit.cli.pipeline import launch_plan_for

    chosen = launch_plan_for(
        model,
        backend=backend,
        served_name=name,
        elsewhere=elsewhere,
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
    )
    if as_json:
        emit(chosen)
    else:
        from toolkit.report.launch import render

        print(render(chosen))
