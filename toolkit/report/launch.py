"""A launch plan in the terminal."""

from __future__ import annotations

import shlex

from toolkit.types import LaunchPlan


def render(plan: LaunchPlan) -> str:
    """Backend, command, reasons and rejections as plain text."""
    version = f" {plan.engine_version}" if plan.engine_version else ""
    lines = [f"{plan.served_name} on {plan.backend}{version}", ""]
    env = [f"{k}={shlex.quote(v)}" for k, v in plan.env.items()]
    lines += [f"  {' '.join([*env, shlex.join(plan.argv)])}", "", "why:"]
    lines += [f"  - {reason}" for reason in plan.reasons]
    if plan.rejected:
        lines += ["", "not chosen:"]
        lines += [f"  - {r.backend}: {r.reason}" for r in plan.rejected]
    if plan.memory:
        lines += ["", f"memory: {plan.memory.certainty} ({'fits' if plan.memory.fits else 'does not fit'})"]
    return "\n".join(lines)
