"""The edge of the report: writes the files of a finished bench or cost into a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from toolkit.errors import EnvironmentFailedError
from toolkit.load.observer import read_looks
from toolkit.load.rows import Row
from toolkit.report.html import bench_page, cost_page
from toolkit.report.markdown import bench_markdown, cost_markdown
from toolkit.types import BenchResult, CostReport


def write_bench_report(
    out: Path, result: BenchResult, rows: Sequence[Row], cost: CostReport | None = None, looks: Path | None = None
) -> Path:
    """Write ``report.html`` and ``report.md`` into ``out`` (made if missing); the path of the HTML comes back.

    ``looks`` is the folder of the bench, when that is not ``out``.
    """
    _write(out / "report.md", bench_markdown(result, cost))
    return _write(out / "report.html", bench_page(result, rows, cost, read_looks(looks or out)))


def write_cost_report(out: Path, cost: CostReport) -> Path:
    """Write ``cost.html`` and ``cost.md`` into ``out`` (made if missing); the path of the HTML comes back."""
    _write(out / "cost.md", cost_markdown(cost))
    return _write(out / "cost.html", cost_page(cost))


def _write(file: Path, content: str) -> Path:
    """Replace the file in one step, so that a reader never sees half of it."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f".{file.name}.part")
        part.write_text(content, encoding="utf-8", errors="replace")
        part.replace(file)
    except OSError as error:
        raise EnvironmentFailedError(f"cannot write {file}: {error.strerror or error}") from error
    return file
