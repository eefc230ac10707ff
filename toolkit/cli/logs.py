"""`selfhost logs`: what an engine has printed."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import BinaryIO

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
    followed = _and_new_one(path, [])
    for file in followed:
        _last_lines(file, lines)
    while follow:
        time.sleep(POLL_S)
        followed = _and_new_one(path, followed)
        for file in followed:
            _new(file)


def _and_new_one(path: Path, followed: list[BinaryIO]) -> list[BinaryIO]:
    """The files to follow: the log as it is now, and the one before, which may still get its last lines.

    The log is another file after a rotation, and after a swap, when another engine serves.
    """
    try:
        fresh = path.open("rb")
    except FileNotFoundError:
        return followed
    if followed and os.path.sameopenfile(fresh.fileno(), followed[-1].fileno()):
        fresh.close()
        return followed
    for file in followed[:-1]:
        file.close()
    return [*followed[-1:], fresh]


def _last_lines(file: BinaryIO, lines: int) -> None:
    """Print the last lines, reading from the end; what is added later comes behind them."""
    end = at = file.seek(0, os.SEEK_END)
    tail = b""
    while at > 0 and tail.count(b"\n") <= lines:
        step = min(BLOCK_BYTES, at)
        at -= step
        file.seek(at)
        tail = file.read(step) + tail
    if lines:
        _out(b"".join(tail.splitlines(keepends=True)[-lines:]))
    file.seek(end)


def _new(file: BinaryIO) -> None:
    """Print what was added; from the start again when the file was emptied."""
    if os.fstat(file.fileno()).st_size < file.tell():
        file.seek(0)
    while block := file.read(BLOCK_BYTES):
        _out(block)


def _out(data: bytes) -> None:
    sys.stdout.write(data.decode(errors="replace"))
    sys.stdout.flush()
