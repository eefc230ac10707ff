"""An audit as text: the verdict first, then the reason, then the arithmetic."""

from __future__ import annotations

from toolkit.report import words
from toolkit.types import Audit

MARKS = {"holds": "holds      ", "depends": "depends    ", "cannot_hold": "cannot hold"}


def render(audit: Audit) -> str:
    """Every claim with its verdict and its arithmetic, and the count of each at the end."""
    lines = [f"Claims: {audit.source}", ""]
    for claim in audit.claims:
        lines += [f"{MARKS[claim.verdict]}  {claim.claim}", f"             {claim.because}"]
        lines += [f"             · {step}" for step in claim.arithmetic]
        lines.append("")
    counted = [(sum(c.verdict == verdict for c in audit.claims), name.strip()) for verdict, name in MARKS.items()]
    total = words.count(len(audit.claims), "claim")
    return "\n".join([*lines, f"{total}: " + ", ".join(f"{n} {name}" for n, name in counted if n) + "."])
