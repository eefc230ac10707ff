"""The end of `quickstart` in plain words."""

from __future__ import annotations

from toolkit.types import CostReport, QuickstartResult


def summary(done: QuickstartResult, cost: CostReport) -> str:
    """What was found, in a few sentences a newcomer understands."""
    ttft = (
        f"the first word after {done.ttft_p95_s * 1000:,.0f} ms (95 of 100 times)" if done.ttft_p95_s else "no answer"
    )
    lines = [
        "",
        f"{done.model} on {done.backend}: measured on this machine in {done.seconds:.0f} s",
        f"  {done.users} users at once get {ttft} and {done.output_tok_s:,.0f} tokens per second together.",
        f"  A million tokens (in and out) cost ${done.usd_per_mtok:,.2f} at ${done.usd_per_hour:,.2f} an hour",
        f"  ({done.price_how}), when the machine is always busy.",
    ]
    for a in cost.alternatives:
        lines.append(f"    {a.name} ({a.provider}, list price of {a.price_date}): ${a.usd_per_mtok:,.2f}")
    lines += [
        "  These are different models: a price is no comparison of quality.",
        f"  Report: {done.report}",
        f"  Next: selfhost size YOUR-MODEL --gpu L4, selfhost models, selfhost cost {done.folder} --gpu-price 0.50/h",
    ]
    return "\n".join(lines)
