"""How the browsing commands draw: a table of many records, a page for one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDE = 240
"""Columns of a page that is not a terminal: nothing is cut for a file or a pipe."""

GAP = 2
READABLE = 24
"""Columns below which wrapped text is a list of words."""


def draw_rows(columns: Sequence[str], rows: Sequence[Sequence[str]], footer: str = "") -> None:
    """A table on stdout, the columns in order of importance: the last ones are left out where they do not fit.

    A column whose head starts with ``>`` holds figures and is set to the right; they are never cut.
    """
    page = _page()
    kept = _fitting(columns, rows, page.width)
    table = _bare(show_header=True)
    for place, head in enumerate(columns[:kept], 1):
        right = head.startswith(">")
        table.add_column(head.removeprefix(">"), justify="right" if right else "left", no_wrap=place < kept or right)
    for row in rows:
        table.add_row(*row[:kept])
    page.print(table)
    if footer:
        page.print(f"\n{footer}", markup=False)


def _fitting(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> int:
    """How many columns fit. The last one may wrap, if it is text and gets enough room for that."""
    widths = [max(len(c) for c in cells) + GAP for cells in zip(columns, *rows, strict=True)]
    kept = len(columns)
    while kept > 1 and sum(widths[:kept]) > width + GAP:
        if not columns[kept - 1].startswith(">") and width - sum(widths[: kept - 1]) >= READABLE:
            break
        kept -= 1
    return kept


def draw_record(title: str, facts: Iterable[tuple[str, object]]) -> None:
    """One record on stdout: its name, then each fact that is known."""
    table = _bare(show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        if value is not None and value != "":
            table.add_row(name, str(value))
    page = _page()
    page.print(title, style="bold", markup=False)
    page.print(table)


def one_way(name: str | None, text: str | None) -> None:
    """Refuse a name beside a filter: one shows a record, the other picks from the list."""
    from toolkit.errors import InputError

    if name and text:
        raise InputError("both a name and a filter were given", "give one of them.")


def figure(value: float | None, unit: str = "") -> str:
    """A figure as short as it is exact, with thousands marked; empty when unknown."""
    if value is None:
        return ""
    text = f"{value:,.6f}".rstrip("0").rstrip(".")
    return f"{text} {unit}" if unit else text


def holds(wanted: str | None, texts: Iterable[str | None]) -> bool:
    """Whether any of the texts holds the wanted one, in any spelling; everything holds nothing wanted."""
    from toolkit.errors import fold

    return not wanted or any(fold(wanted) in fold(text) for text in texts if text)


def _bare(show_header: bool) -> Table:
    from rich.table import Table

    return Table(box=None, show_header=show_header, header_style="bold", pad_edge=False, padding=(0, GAP, 0, 0))


def _page() -> Console:
    from toolkit.cli.output import console

    page = console()
    if not page.is_terminal:
        page.width = WIDE
    return page
