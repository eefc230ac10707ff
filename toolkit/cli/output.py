"""How commands speak: one JSON document on stdout, everything else on stderr, one red line for an error."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn, TextIO

if TYPE_CHECKING:
    from rich.console import Console

    from toolkit.types import Document


PIPE_WIDTH = 120
"""Columns of tables that go into a file or a pipe."""


def emit(document: Document) -> None:
    """Print a stage's document as the only thing on stdout."""
    print(document.model_dump_json(by_alias=True, indent=1))


def color(stream: TextIO) -> bool:
    """Whether ANSI colours belong on that stream: a terminal, and neither NO_COLOR nor TERM=dumb."""
    return stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def note(text: str) -> None:
    """A line of progress or a hint, on stderr."""
    print(text, file=sys.stderr, flush=True)


def console(stderr: bool = False) -> Console:
    """A rich console for tables and progress; plain when not a terminal, and then wide enough for our tables."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH
    return Console(stderr=stderr, highlight=False, soft_wrap=False, width=width)


def fail(error: BaseException) -> NoReturn:
    """Print one line that says what is wrong (and one that says what to do), then exit with its status.

    ``--debug`` (or SELFHOST_DEBUG) re-raises instead.
    """
    if os.environ.get("SELFHOST_DEBUG"):
        raise error
    from toolkit.errors import SelfhostError

    if isinstance(error, SelfhostError):
        message, hint, status = error.message, error.hint, error.exit_status
    else:
        message = f"internal error: {type(error).__name__}: {error}"
        hint, status = "run again with `selfhost --debug …` and report the traceback.", 3
    red, off = ("\x1b[31m", "\x1b[0m") if color(sys.stderr) else ("", "")
    print(f"{red}error: {' '.join(message.split())}{off}", file=sys.stderr)
    if hint:
        print(f"  {hint}", file=sys.stderr)
    sys.exit(status)
