"""How a cost is shown on a terminal, and written as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolkit.types import BenchResult, CostReport


def write(out: Path, report: CostReport, paths: list[Path], measured: list[BenchResult]) -> Path:
    """cost.json, cost.csv, and the report: the bench's own with this cost in it, or one of cost alone.

    The CSV begins with a byte-order mark: without it Excel reads UTF-8 as the machine's old code page.
    """
    from toolkit.errors import EnvironmentFailedError
    from toolkit.load.rows import read_rows
    from toolkit.report.cost_csv import cost_csv
    from toolkit.report.write import write_bench_report, write_cost_report

    rows_file = (paths[0] if paths[0].is_dir() else paths[0].parent) / "requests.jsonl" if paths else None
    if len(measured) == 1 and rows_file is not None and rows_file.is_file():
        page = write_bench_report(out, measured[0], list(read_rows(rows_file)), report, rows_file.parent)
    else:
        page = write_cost_report(out, report)
    try:
        (out / "cost.json").write_text(report.model_dump_json(by_alias=True, indent=1) + "\n", encoding="utf-8")
        (out / "cost.csv").write_text(cost_csv(report), encoding="utf-8-sig")
    except OSError as error:
        raise EnvironmentFailedError(f"cannot write the cost to {out}: {error.strerror}") from error
    return page


def show(report: CostReport) -> None:
    """The sentences, the tables that have rows, and the notes, on stdout."""
    from toolkit.cli.listing import draw_rows
    from toolkit.report import monthly, tables, tornado
    from toolkit.report.headline import cost_sentences

    for sentence in cost_sentences(report):
        print(sentence)
    for table in (
        tables.of_alternatives(report),
        tables.of_cost(report),
        monthly.table(report),
        tornado.table(report),
        tables.of_good_answers(report),
    ):
        if table.rows:
            print(f"\n{table.caption}")
            heads = [h if i == 0 or i >= table.words_from else f">{h}" for i, h in enumerate(table.columns)]
            named = [(*row[0].partition("\n")[::2], row[1:]) for row in table.rows]
            remarks = any(remark for _, remark, _ in named)
            draw_rows(
                [*heads, "price of"] if remarks else heads,
                [[name, *cells, remark] if remarks else [name, *cells] for name, remark, cells in named],
            )
    print()
    for line in report.notes:
        print(f"- {line}")
