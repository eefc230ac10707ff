"""A memory plan in the terminal: one stacked bar per device, then the answers in words."""

from __future__ import annotations

from toolkit.types import GIB, MIB, DevicePlan, MemoryPlan

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
    "sure": "fits",
    "likely": "fits, probably",
    "close": "too close to call",
    "no": "does not fit",
}


def render(plan: MemoryPlan) -> str:
    """The whole answer as plain text, at most 100 columns."""
    head = f"{plan.model} · {plan.quant} · {plan.engine}"
    head += f" {plan.engine_version}" if plan.engine_version else ""
    parts = [f"{head} · {plan.context:,} tokens × {plan.concurrency} at once", ""]
    for device, count in _grouped(plan.devices):
        parts += [*_device(device, count), ""]
    parts += _answers(plan)
    parts += [f"! {w}" for w in plan.warnings]
    if plan.advice:
        parts += ["", "what would change it:"]
        parts += [
            f"  {'+' if a.fits_then else '-'} {a.change}: saves {amount(a.saves_bytes)}, "
            + ("fits then" if a.fits_then else "still does not fit")
            for a in plan.advice
        ]
    return "\n".join(parts)


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


def _device(device: DevicePlan, count: int) -> list[str]:
    bar = _bar(device)
    free = f"{amount(device.free_bytes)} free" if device.free_bytes >= 0 else f"{amount(-device.free_bytes)} too much"
    name = f"{count} × {device.name}, each" if count > 1 else device.name
    rows = [f"{name}  {amount(device.usable_bytes)} usable", f"  [{bar}] {free}"]
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
    lines = [f"{mark}: it {VERDICT[plan.certainty]} ({plan.certainty})"]
    lines.append(
        f"KV cache: {plan.kv_bytes_per_token:,} bytes a token; reserved {amount(plan.reserved_bytes)} a device"
    )
    if plan.engine == "vllm":
        lines.append(f"vLLM's KV pool: {amount(plan.kv_pool_bytes)} a device = {plan.kv_pool_tokens:,} tokens")
    lines.append(f"longest context at {plan.concurrency} at once: {plan.max_context:,} tokens")
    lines.append(f"most at once at {plan.context:,} tokens: {plan.max_concurrency:,}")
    return lines
