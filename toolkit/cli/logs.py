"""`selfhost logs`: what an engine has printed."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import typer

from toolkit.cli.complete import served_names

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

POLL_S = 0.2
BLOCK_BYTES = 65536


@app.command()
def logs(
    name: str = typer.Argument(help="The server.", autocompletion=served_names),
    follow: bool = typer.Option(False, "--follow", "-f", help="Go on printing until interrupted."),
    lines: int = typer.Option(50, "--lines", "-n", min=0, help="How many of the last lines."),
) -> None:
    """Show a served model's log."""
    from toolkit.supervise import api

    api.status(name)
    path = api.log_path(name)
    offset = _last_lines(path, lines)
    while follow:
        time.sleep(POLL_S)
        offset = _new(path, offset)


def _last_lines(path: Path, lines: int) -> int:
    """Print the last lines, reading from the end; the offset behind them."""
    try:
        with path.open("rb") as file:
            end = at = file.seek(0, 2)
            tail = b""
            while at > 0 and tail.count(b"\n") <= lines:
                step = min(BLOCK_BYTES, at)
                at -= step
                file.seek(at)
                tail = file.read(step) + tail
    except FileNotFoundError:
        return 0
    if lines:
        _out(b"".join(tail.splitlines(keepends=True)[-lines:]))
    return end


def _new(path: Path, offset: int) -> int:
    """Print what was added; from the start again when the file was rotated."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0 if size < offset else offset)
            while block := file.read(BLOCK_BYTES):
                _out(block)
            return file.tell()
    except FileNotFoundError:
        return 0


def _out(data: bytes) -> None:
    sys.stdout.write(data.decode(errors="replace"))
    sys.stdout.flush()
