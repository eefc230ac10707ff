"""`selfhost gpus`: the devices we know, their rates and what they rent for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.cli import options as o

if TYPE_CHECKING:
    from toolkit.types import Gpu

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

CLASSES = ("datacenter", "workstation", "consumer", "apple", "cpu")
COLUMNS = ("GPU", ">GiB", ">GB/s", ">TFLOPS", ">$/h", "class", ">FP8 TFLOPS", ">W")


@app.command()
def gpus(
    name: Annotated[str | None, typer.Argument(help="Show one device in full, by any of its names.")] = None,
    text: Annotated[str | None, typer.Option("--filter", "-f", help="Only devices that mention this.")] = None,
    as_json: o.Json = False,
) -> None:
    """Browse the GPU profiles."""
    from toolkit import profiles
    from toolkit.cli.listing import one_way
    from toolkit.cli.output import emit
    from toolkit.types import GpuList

    one_way(name, text)
    found = [profiles.gpu(name)] if name else _sorted(text)
    if as_json:
        emit(GpuList(gpus=tuple(found)))
    elif name:
        _page(found[0])
    else:
        _table(found)


def _sorted(text: str | None) -> list[Gpu]:
    """The devices that mention the text, by class, else as they stand in the files."""
    from toolkit import profiles
    from toolkit.cli.listing import holds

    found = [g for g in profiles.gpus().values() if holds(text, (g.name, *g.aliases, g.vendor, g.arch, g.device_class))]
    return sorted(found, key=lambda g: CLASSES.index(g.device_class))


def _table(found: list[Gpu]) -> None:
    from toolkit.cli.listing import draw_rows
    from toolkit.cli.listing import figure as f

    rows = [
        (
            gpu.name,
            f(gpu.vram_gib),
            f(gpu.mem_bw_gbs),
            f(gpu.fp16_tflops),
            _rent(gpu),
            gpu.device_class,
            f(gpu.fp8_tflops),
            f(gpu.tdp_w),
        )
        for gpu in found
    ]
    footer = (
        f"{len(rows)} devices. TFLOPS: FP16, dense; $/h: on demand. `selfhost gpus NAME` shows one with its source."
    )
    draw_rows(COLUMNS, rows, footer)


def _rent(gpu: Gpu) -> str:
    """The span of on-demand prices on record."""
    from toolkit import profiles

    prices = [p.usd_per_hour for p in profiles.gpu_prices_for(gpu.name) if p.kind == "on_demand"]
    if not prices:
        return ""
    low, high = f"{min(prices):.2f}", f"{max(prices):.2f}"
    return low if low == high else f"{low}–{high}"


def _page(gpu: Gpu) -> None:
    from toolkit import profiles
    from toolkit.cli.listing import draw_record, draw_rows
    from toolkit.cli.listing import figure as f

    visible = gpu.visible_gib and f"{f(gpu.visible_gib, 'GiB')} ({gpu.visible_source})"
    fp16 = gpu.fp16_tflops and f"{f(gpu.fp16_tflops, 'TFLOPS')} ({gpu.fp16_basis})"
    bought = gpu.purchase_usd and f"${gpu.purchase_usd:,} ({gpu.purchase_source})"
    facts = (
        ("also called", ", ".join(gpu.aliases)),
        ("maker", f"{gpu.vendor}, {gpu.arch}, {gpu.device_class}"),
        ("memory", f(gpu.vram_gib, "GiB")),
        ("seen by engines", visible),
        ("bandwidth", f(gpu.mem_bw_gbs, "GB/s")),
        ("FP16 dense", fp16),
        ("FP8 dense", f(gpu.fp8_tflops, "TFLOPS")),
        ("INT8 dense", f(gpu.int8_tops, "TOPS")),
        ("FP4 dense", f(gpu.fp4_tflops, "TFLOPS")),
        ("power", f(gpu.tdp_w, "W")),
        ("interconnect", gpu.interconnect),
        ("interconnect rate", f(gpu.interconnect_gbs_bidir, "GB/s both ways")),
        ("PCIe", gpu.pcie),
        ("compute capability", gpu.compute_capability),
        ("to buy", bought),
        ("notes", gpu.notes),
        ("source", gpu.source),
        ("checked", gpu.checked.isoformat()),
    )
    draw_record(gpu.name, facts)
    prices = profiles.gpu_prices_for(gpu.name)
    if prices:
        print()
        rows = [
            (
                p.provider,
                f(float(p.usd_per_hour)),
                p.kind.replace("_", " "),
                p.instance_type or "",
                p.note or "",
                p.source,
            )
            for p in prices
        ]
        draw_rows(("provider", ">$/GPU-hour", "contract", "machine", "note", "source"), rows)
