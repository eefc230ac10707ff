"""A server that never stops talking: each POST gets a beginning, then one piece over and over, as fast as it is read.

``python flood.py`` prints ``listening PORT``. The kind of flood is the last part of the base path: ``/tokens/v1``.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
TOKEN = b'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n'
FINISH = b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"%s"}]}\n\n'
FLOODS = {
    "tokens": (STREAM, TOKEN % b"a"),
    "long_tokens": (STREAM, TOKEN % (b"long " * 20_000)),
    "comments": (STREAM, b": ping\n\n"),
    "line": (STREAM + b"data: ", b"a" * 4096),
    "event": (STREAM, b"data: " + b"a" * 60_000 + b"\n"),
    "finishes": (STREAM, FINISH % (b"length" * 10_000)),
    "head": (b"HTTP/1.1 200 OK\r\n", b"X-More: " + b"a" * 4000 + b"\r\n"),
    "body": (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", b'{"data": "' + b"a" * 60_000),
    "error_body": (b"HTTP/1.1 500 Oh\r\nContent-Type: text/html\r\n\r\n", b"<p>" + b"a" * 60_000),
    "chunk": (STREAM[:-2] + b"Transfer-Encoding: chunked\r\n\r\n", b"f" * 4096),
}


def serve(client: socket.socket) -> None:
    """One connection, one request."""
    with suppress(OSError), client:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(1 << 16)
        target = head.split(b" ", 2)[1].decode()
        if not head.startswith(b"POST"):
            client.sendall(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        beginning, piece = FLOODS[target.split("/")[1]]
        client.sendall(beginning)
        block = piece * max(1, 65_536 // len(piece))
        while True:
            client.sendall(block)


def follow(parent: int) -> None:
    """Never outlive the test."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    threading.Thread(target=follow, args=(os.getppid(),), daemon=True).start()
    print(f"listening {listener.getsockname()[1]}", flush=True)
    while True:
        sock, _address = listener.accept()
        threading.Thread(target=serve, args=(sock,), daemon=True).start()
