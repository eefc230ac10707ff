"""A memory plan in the terminal: one stacked bar per device, then the answers in words."""

from __future__ import annotations

from toolkit.types import GIB, MIB, Advice, DevicePlan, MemoryPlan, MinimumGpus

WIDTH = 60
MARKS = {
    "weights": "█",
    "kv_cache": "▓",
    "activations": "▒",
    "cuda_graphs": "░",
    "runtime": "·",
    "state": "▓",
    "vision": "█",
    "draft": "█",
    "lora": "█",
}
VERDICT = {
    "sure": "it fits",
    "likely": "it fits, probably",
    "close": "too close to call",
    "no": "it does not fit",
}


def render(plan: MemoryPlan) -> str:
    """The whole answer as plain text; two models side by side when there are two."""
    if plan.versus is not None:
        return _side_by_side(plan, plan.versus)
    parts = [f"{_head(plan)} · {plan.context:,} tokens × {plan.concurrency} at once", ""]
    for device, count in _grouped(plan.devices):
        parts += [*_device(device, count), ""]
    parts += _answers(plan)
    if plan.grid:
        parts += ["", "users and context at once:"]
        parts += ["  " + "  ".join(f"{_short(row.context):>6}" for row in plan.grid) + "  tokens"]
        parts += ["  " + "  ".join(f"{row.max_concurrency:>6,}" for row in plan.grid) + "  users"]
    parts += [f"! {w}" for w in plan.warnings]
    if plan.advice:
        parts += ["", "what would change it:"]
        parts += [f"  {'+' if a.fits_then else '-'} {_advice(a)}" for a in plan.advice]
    if plan.minimum_gpus:
        parts += ["", "the fewest of each GPU (of 1, 2, 4, 8), and users at this context:"]
        parts += [f"  {_minimum(m)}" for m in _by_count(plan)]
    return "\n".join(parts)


def markdown(plan: MemoryPlan) -> str:
    """The same as Markdown, for a wiki or an issue; a second model follows the first."""
    lines = [
        f"## {_head(plan)}",
        "",
        f"{plan.context:,} tokens × {plan.concurrency} at once: **{VERDICT[plan.certainty]}**",
    ]
    for device, count in _grouped(plan.devices):
        lines += ["", f"### {_name(device, count)}, {amount(device.usable_bytes)} usable", ""]
        lines += ["| what | bytes | basis | how |", "|---|---:|---|---|"]
        lines += [f"| {x.what} | {amount(x.bytes)} | {x.basis} | {x.how} |" for x in device.lines]
        lines += [f"| **total** | **{amount(device.total_bytes)}** | | ± {amount(device.error_bytes)} |"]
    lines += ["", *(f"- {text}" for text in _answers(plan))]
    if plan.grid:
        lines += ["", "| context | users |", "|---:|---:|"]
        lines += [f"| {row.context:,} | {row.max_concurrency:,} |" for row in plan.grid]
    lines += [f"- {w}" for w in plan.warnings]
    lines += [f"- {_advice(a)}" for a in plan.advice]
    lines += [f"- {_minimum(m)}" for m in _by_count(plan)]
    return "\n".join(lines) + (f"\n\n{markdown(plan.versus)}" if plan.versus is not None else "")


def _head(plan: MemoryPlan) -> str:
    version = f" {plan.engine_version}" if plan.engine_version else ""
    return f"{plan.model} · {plan.quant} · {plan.engine}{version}"


def _short(tokens: int) -> str:
    return f"{tokens // 1024}k" if tokens % 1024 == 0 else f"{tokens:,}"


def _advice(a: Advice) -> str:
    return f"{a.change}: saves {amount(a.saves_bytes)}, " + ("fits then" if a.fits_then else "still does not fit")


def _by_count(plan: MemoryPlan) -> list[MinimumGpus]:
    return sorted(plan.minimum_gpus, key=lambda m: (m.count or 99, m.gpu))


def _minimum(m: MinimumGpus) -> str:
    if m.count is None:
        return f"{m.gpu}: not even eight"
    return f"{m.count} × {m.gpu}: {m.certainty}, {m.max_concurrency:,} users"


def _side_by_side(a: MemoryPlan, b: MemoryPlan) -> str:
    """Two models under the same conditions, a row a figure."""

    def device(plan: MemoryPlan) -> DevicePlan:
        return plan.devices[0]

    def line(plan: MemoryPlan, what: str) -> str:
        return amount(sum(x.bytes for x in device(plan).lines if x.what == what))

    rows: list[tuple[str, str, str]] = [("", a.model, b.model)]
    rows.append(("format", f"{a.quant}, {a.engine}", f"{b.quant}, {b.engine}"))
    rows.append(("verdict", f"{a.certainty}", f"{b.certainty}"))
    named = dict.fromkeys(x.what for plan in (a, b) for x in device(plan).lines)
    rows += [(what, line(a, what), line(b, what)) for what in named]
    rows.append(("total, a device", amount(device(a).total_bytes), amount(device(b).total_bytes)))
    rows.append(("free, a device", amount(device(a).free_bytes), amount(device(b).free_bytes)))
    rows.append(("KV bytes a token", f"{a.kv_bytes_per_token:,}", f"{b.kv_bytes_per_token:,}"))
    rows.append(("longest context", f"{a.max_context:,}", f"{b.max_context:,}"))
    rows.append(("most users", f"{a.max_concurrency:,}", f"{b.max_concurrency:,}"))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    head = f"{a.context:,} tokens × {a.concurrency} at once on {_name(device(a), len(a.devices))}"
    if b.context != a.context:
        head += f" ({b.model}: {b.context:,} tokens)"
    body = [f"  {r[0]:<{widths[0]}}  {r[1]:>{widths[1]}}  {r[2]:>{widths[2]}}" for r in rows]
    return "\n".join([head, "", *body])


def amount(count: int) -> str:
    """Bytes as MiB or GiB, three digits that matter."""
    return f"{count / GIB:,.2f} GiB" if abs(count) >= GIB else f"{count / MIB:,.1f} MiB"


def _grouped(devices: tuple[DevicePlan, ...]) -> list[tuple[DevicePlan, int]]:
    """Like devices once, with their number."""
    found: list[tuple[DevicePlan, int]] = []
    for device in devices:
        if found and found[-1][0] == device:
            found[-1] = (device, found[-1][1] + 1)
        else:
            found.append((device, 1))
    return found


def _name(device: DevicePlan, count: int) -> str:
    return f"{count} × {device.name}, each" if count > 1 else device.name


def _device(device: DevicePlan, count: int) -> list[str]:
    bar = _bar(device)
    free = f"{amount(device.free_bytes)} free" if device.free_bytes >= 0 else f"{amount(-device.free_bytes)} too much"
    rows = [f"{_name(device, count)}  {amount(device.usable_bytes)} usable", f"  [{bar}] {free}"]
    for line in device.lines:
        rows.append(f"   {MARKS[line.what]} {line.what:<12} {amount(line.bytes):>12}  {line.basis:<9} {line.how}")
    total = f"{amount(device.total_bytes):>12}  ± {amount(device.error_bytes)}"
    return [*rows, f"     {'total':<12} {total}"]


def _bar(device: DevicePlan) -> str:
    """The device's memory as one bar; a plan that uses little of it is drawn four times its size."""
    scale = max(device.total_bytes, min(device.usable_bytes, 4 * device.total_bytes), 1)
    bar = "".join(MARKS[line.what] * round(line.bytes / scale * WIDTH) for line in device.lines)
    end = "…" if scale < device.usable_bytes else " "
    return bar[:WIDTH].ljust(WIDTH - 1) + (end if len(bar) < WIDTH else "")


def _answers(plan: MemoryPlan) -> list[str]:
    mark = "yes" if plan.fits else "no"
    lines = [f"{mark}: {VERDICT[plan.certainty]} ({plan.certainty})"]
    lines.append(
        f"KV cache: {plan.kv_bytes_per_token:,} bytes a token; reserved {amount(plan.reserved_bytes)} a device"
    )
    if plan.engine == "vllm":
        lines.append(f"vLLM's KV pool: {amount(plan.kv_pool_bytes)} a device = {plan.kv_pool_tokens:,} tokens")
    lines.append(f"longest context at {plan.concurrency} at once: {plan.max_context:,} tokens")
    lines.append(f"most at once at {plan.context:,} tokens: {plan.max_concurrency:,}")
    return lines
