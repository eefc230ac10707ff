"""`selfhost size`: the memory plan."""

from __future__ import annotations

import typer

from toolkit.cli import options as o

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def size(
    model: str = typer.Argument(help="Profile name, a .gguf file, or a folder with config.json."),
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
    exact: bool = typer.Option(False, "--exact", help="llama.cpp: ask the engine's own planner (this machine)."),
    as_json: o.Json = False,
) -> None:
    """How much memory a model needs, whether it fits, and what to change.

    Exit status 1 when the asked context and concurrency do not fit.
    """
    from toolkit.cli.output import emit
    from toolkit.cli.pipeline import memory_plan_for

    plan = memory_plan_for(
        model,
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
        exact=exact,
    )
    if as_json:
        emit(plan)
    else:
        from toolkit.report.memory import render

        print(render(plan))
    raise typer.Exit(0 if plan.fits else 1)
