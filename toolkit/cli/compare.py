"""`selfhost compare`: two benches, load by load: faster, slower, or no difference that can be told from chance."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.cli import options as o

if TYPE_CHECKING:
    from toolkit.load.compare import Side
    from toolkit.load.limits import Limit
    from toolkit.types import Comparison, Difference, RunRef

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def compare(
    a: Annotated[str, typer.Argument(help="The bench before: its result.json, its folder, or a run's id or label.")],
    b: Annotated[str, typer.Argument(help="The bench after.")],
    fail_on: Annotated[
        str | None, typer.Option(help="Changes of B against A that fail: ttft_p95>+10%,output_tok_s<-5%.")
    ] = None,
    allow_different: Annotated[
        bool, typer.Option("--allow-different", help="Compare unlike environments too.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Write the comparison into this file: a page if it ends in .html, else Markdown."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the resampling.")] = 0,
    as_json: o.Json = False,
) -> None:
    """Compare two benches: is one faster, or is it chance.

    Exit status 1 when a limit is broken, or could be judged at no load.
    """
    from toolkit.cli.output import emit
    from toolkit.load import history
    from toolkit.load.likeness import differences
    from toolkit.load.limits import parse_limits

    limits = parse_limits(fail_on) if fail_on is not None else ()
    (card_a, side_a), (card_b, side_b) = history.side(a), history.side(b)
    differ = differences(side_a.result, side_b.result)
    if not allow_different:
        _refuse_unlike(differ)
    found = _compare((card_a, side_a), (card_b, side_b), differ, limits, seed)
    if out is not None:
        _write(out, found)
    if as_json:
        emit(found)
    else:
        _show(found)
    raise typer.Exit(1 if found.passed is False else 0)


def _refuse_unlike(differ: tuple[Difference, ...]) -> None:
    from toolkit.errors import InputError

    unlike = [f"{d.what} ({d.a} and {d.b})" for d in differ if d.unlike]
    if unlike:
        raise InputError(
            f"these benches are not alike in {'; '.join(unlike)}",
            "Bench both the same way, or say --allow-different to compare them all the same.",
        )


def _compare(
    a: tuple[RunRef, Side], b: tuple[RunRef, Side], differ: tuple[Difference, ...], limits: tuple[Limit, ...], seed: int
) -> Comparison:
    from toolkit.load.bootstrap import RESAMPLES
    from toolkit.load.compare import CONFIDENCE, compare, judge_limits, passed
    from toolkit.types import Comparison

    found = compare(a[1], b[1], seed, [limit.metric for limit in limits])
    outcomes = judge_limits(found.levels, limits)
    return Comparison(
        a=a[0],
        b=b[0],
        confidence=CONFIDENCE,
        intervals=found.intervals,
        resamples=RESAMPLES,
        seed=seed,
        differences=differ,
        levels=found.levels,
        only_a=found.only_a,
        only_b=found.only_b,
        fail_on=",".join(limit.text for limit in limits) or None,
        limits=outcomes,
        passed=passed(outcomes, limits) if limits else None,
    )


def _show(found: Comparison) -> None:
    from toolkit.cli.listing import draw_rows
    from toolkit.report import comparison

    for line in comparison.sides(found):
        print(line)
    for line in comparison.remarks(found):
        print(f"- {line}")
    table = comparison.table(found)
    if table.rows:
        print()
        heads = ["", ">A", ">B", ">change", ">interval", "finding"]
        rows: list[tuple[str, ...]] = []
        for i, row in enumerate(table.rows):
            if i in table.groups:
                rows += [("",) * len(heads)] * bool(rows) + [(table.groups[i], *[""] * (len(heads) - 1))]
            rows.append(row)
        draw_rows(heads, rows, table.caption)
    print(f"\n{comparison.sentence(found)}")
    for line in comparison.limit_lines(found):
        print(line)


def _write(out: Path, found: Comparison) -> None:
    from toolkit.errors import EnvironmentFailedError
    from toolkit.report.comparison import to_markdown
    from toolkit.report.comparison_page import comparison_page

    text = comparison_page(found) if out.suffix.lower() in (".html", ".htm") else to_markdown(found)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise EnvironmentFailedError(f"cannot write {out}: {error.strerror or error}") from error
