"""A verdict as text: the answer, why, what was ruled out, what would change it, and when to look again."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.report import words
from toolkit.types import Verdict

NAMES = {
    "closed": "a closed model's API",
    "hosted-open": "an open model on a shared host",
    "dedicated": "a dedicated endpoint at a host",
    "rented": "an open model on a rented GPU",
    "owned": "an open model on your own hardware",
    "on-device": "an open model on each device",
    "hybrid": "two or more, by task",
}


def render(verdict: Verdict) -> str:
    """Every part that has something to say."""
    parts = [f"Verdict: {verdict.verdict} ({NAMES[verdict.verdict]})."]
    if verdict.order == "article" and verdict.article is not None:
        said = verdict.article
        which = f"question {said.question}" if said.question else "its default"
        parts.append(f"By the article's six questions, {which}: {said.answer}.")
        parts.append("The gates agree." if said.agrees else f"The gates disagree: {said.why}.")
    parts += [
        _list("Why" if verdict.order == "gates" else "What the gates say", verdict.reasons),
        _list("Ruled out", [f"{r.option}, by the gate {r.gate}: {r.reason}." for r in verdict.rejected]),
        _list("It would be", verdict.flips),
        _list("Conflicts", verdict.conflicts),
        _list("Assumed, for you did not say", [f"{key}: {value}" for key, value in verdict.assumed.items()]),
    ]
    if verdict.p_cheaper is not None:
        parts.append(f"Self-hosting is cheaper with a probability of {words.percent(verdict.p_cheaper)}.")
    parts.append(f"Look again on {verdict.review_date}.")
    return "\n\n".join(part for part in parts if part)


def _list(title: str, items: Sequence[str]) -> str:
    return f"{title}:\n" + "\n".join(f"- {item}" for item in items) if items else ""
