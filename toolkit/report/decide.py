"""A verdict as text: the answer, why, what was ruled out, what would change it, and when to look again."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.report import words
from toolkit.types import ArticleQuestion, Verdict

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
        parts.append(_list("The article's six questions", [_question(q) for q in verdict.article.questions]))
    parts += [
        _list("Why", verdict.reasons),
        _list("Ruled out", [f"{r.option}, by the gate {r.gate}: {r.reason}." for r in verdict.rejected]),
        _list("It would be", verdict.flips),
        _list("Conflicts", verdict.conflicts),
        _list("Assumed, for you did not say", [f"{key}: {value}" for key, value in verdict.assumed.items()]),
    ]
    if verdict.p_cheaper is not None:
        parts.append(f"Self-hosting is cheaper with a probability of {words.percent(verdict.p_cheaper)}.")
    parts.append(f"Look again on {verdict.review_date}.")
    return "\n\n".join(part for part in parts if part)


def _question(asked: ArticleQuestion) -> str:
    leads = f", so {asked.leads_to}" if asked.leads_to else ""
    return f"{asked.number}. {asked.question} {'Yes' if asked.yes else 'No'}{leads}."


def _list(title: str, items: Sequence[str]) -> str:
    return f"{title}:\n" + "\n".join(f"- {item}" for item in items) if items else ""
