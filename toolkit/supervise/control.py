"""One JSON line there, one back, over a Unix socket in a folder of the user's own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from toolkit.supervise import shim

LINE_BYTES = 2**20
SUPERVISOR = "control.sock"
"""Where a supervisor answers, in its folder."""


def ask(folder: Path, name: str, request: dict[str, Any], timeout_s: float) -> dict[str, Any] | None:
    """The answer of whoever listens on ``folder/name``; None when nobody does, or not in time."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout_s)
            connection.connect(f"/proc/self/fd/{fd}/{name}")
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as stream:
                answer = json.loads(stream.readline(LINE_BYTES))
    except (OSError, ValueError):
        return None
    finally:
        os.close(fd)
    return answer if isinstance(answer, dict) else None


class Server:
    """Answers requests with one async function until closed."""

    def __init__(self, folder: Path, name: str, answer: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]) -> None:
        self._folder = folder
        self._name = name
        self._answer = answer
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Start listening."""
        listener = shim.listen(self._folder, self._name)
        listener.setblocking(False)
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=LINE_BYTES)

    async def close(self) -> None:
        """Stop listening and remove the socket."""
        if self._server:
            self._server.close()
            with contextlib.suppress(FileNotFoundError):
                (self._folder / self._name).unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, TimeoutError):
            request = json.loads(await asyncio.wait_for(reader.readline(), 5))
            if isinstance(request, dict):
                writer.write(json.dumps(await self._answer(request)).encode() + b"\n")
                await asyncio.wait_for(writer.drain(), 5)
        writer.close()
