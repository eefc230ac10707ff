"""The report as Markdown: the same words and tables, for a pull request or a wiki."""

from __future__ import annotations

import re
from collections.abc import Sequence

from toolkit.report import definitions, expected, facts, headline, monthly, tables, tornado
from toolkit.report.tables import Table
from toolkit.types import BenchResult, CostReport

SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~#&])")


def bench_markdown(result: BenchResult, cost: CostReport | None = None) -> str:
    """A load test as Markdown; every foreign text is escaped."""
    parts = [
        f"# {text(facts.model_name(result.model))}: load test",
        f"**{text(headline.headline(result, cost))}**",
        _trust(result),
        text(result.search.statement) if result.search else "",
        "## Every load",
        table(tables.of_levels(result)),
        bullets(headline.remarks(result)),
        *_expected(result),
    ]
    parts += _cost_parts(cost, headline.cost_headline(cost)) if cost else []
    parts += [
        _definitions(definitions.used(result, cost)),
        "## To repeat this",
        _code(result.environment.command),
        bullets([f"{name}: {value}" for name, value in facts.environment(result)]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def cost_markdown(cost: CostReport) -> str:
    """A cost report alone as Markdown."""
    head = f"# {text(facts.model_name(cost.model or 'Self-hosting'))}: what a million tokens costs"
    parts = [
        head,
        f"**{text(headline.cost_headline(cost))}**",
        *_cost_parts(cost),
        _definitions(definitions.used(None, cost)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def text(value: str) -> str:
    """Foreign text as Markdown that shows exactly these characters, on one line."""
    return SPECIAL.sub(r"\\\1", " ".join(value.split()))


def table(data: Table) -> str:
    """A pipe table; group headings become rows of their own."""
    heads = [text(c) or " " for c in data.columns]
    heads = [f"{h} ({data.marks[i]})" if i in data.marks else h for i, h in enumerate(heads)]
    rule = [":--" if i == 0 or i >= data.words_from else "--:" for i in range(len(heads))]
    lines = [heads, rule]
    for i, row in enumerate(data.rows):
        if i in data.groups:
            lines.append([f"**{text(data.groups[i])}**", *[""] * (len(heads) - 1)])
        lines.append([text(cell) for cell in row])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cost_parts(cost: CostReport, lead: str = "") -> list[str]:
    parts = ["## What a million tokens costs", text(lead), table(tables.of_cost(cost))]
    if cost.alternatives:
        parts += [text(tables.of_alternatives(cost).caption), table(tables.of_alternatives(cost))]
    month = monthly.table(cost)
    if month.rows:
        parts += [text(month.caption), table(month)]
    moved = tornado.table(cost)
    if moved.rows:
        parts += [text(moved.caption), table(moved)]
    if cost.good_answers:
        parts += [text(tables.of_good_answers(cost).caption), table(tables.of_good_answers(cost))]
    return [*parts, bullets(cost.notes)]


def _expected(result: BenchResult) -> list[str]:
    data = expected.table(result)
    return ["## Measured against predicted", table(data)] if data is not None else []


def _trust(result: BenchResult) -> str:
    reasons = headline.verdicts(result)
    return "Not valid in full:\n\n" + bullets(reasons) if reasons else "Valid: every check of the tester passed."


def _definitions(items: Sequence[definitions.Definition]) -> str:
    lines = [f"- **{text(term)}** = `{formula}`. {text(words)}" for term, formula, words in items]
    return "## What the words mean\n\n" + "\n".join(lines)


def bullets(items: Sequence[str]) -> str:
    """A list, a foreign text an item."""
    return "\n".join(f"- {text(item)}" for item in items)


def _code(command: str) -> str:
    """A fenced block whose fence is longer than any run of backticks inside."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", command)), default=0))
    return f"{fence}\n{command}\n{fence}"
