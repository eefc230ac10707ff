"""A real little forward proxy: CONNECT for https, absolute targets for http, Basic authentication, a log.

``python forward_proxy.py TO LOG [--user NAME:PASSWORD] [--refuse STATUS --after N]`` prints ``listening PORT``. Every
name that it is asked for is the server on port TO of 127.0.0.1; each request line is appended to LOG. After N requests
it answers STATUS (0: hangs up).
"""

from __future__ import annotations

import argparse
import base64
import itertools
import os
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path


class Proxy:
    """One thread a connection and a direction."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._count = itertools.count(1)
        self._wanted = base64.b64encode(options.user.encode()).decode() if options.user else None

    def serve(self, client: socket.socket) -> None:
        """One client connection, request after request."""
        upstream = None
        with suppress(OSError, ValueError), client:
            incoming = b""
            while True:
                while b"\r\n\r\n" not in incoming:
                    data = client.recv(1 << 16)
                    if not data:
                        return
                    incoming += data
                head, incoming = incoming.split(b"\r\n\r\n", 1)
                first, *headers = head.decode("latin-1").split("\r\n")
                if not self._admit(client, first, headers):
                    return
                upstream = upstream or self._upstream(client, tunnels=first.startswith("CONNECT "))
                if first.startswith("CONNECT "):
                    pump(client, upstream)
                    return
                length = next((int(h[15:]) for h in headers if h.lower().startswith("content-length:")), 0)
                while len(incoming) < length:
                    incoming += client.recv(1 << 16)
                upstream.sendall(forwarded(first, headers) + incoming[:length])
                incoming = incoming[length:]

    def _admit(self, client: socket.socket, first: str, headers: list[str]) -> bool:
        with Path(self._options.log).open("a") as log:
            log.write(first + "\n")
        asked = next((h.split()[-1] for h in headers if h.lower().startswith("proxy-authorization:")), None)
        status = 407 if self._wanted is not None and asked != self._wanted else None
        if status is None and next(self._count) > self._options.after:
            status = self._options.refuse
        if status:
            client.sendall(f"HTTP/1.1 {status} Not by this proxy\r\nContent-Length: 0\r\n\r\n".encode())
        return status is None

    def _upstream(self, client: socket.socket, *, tunnels: bool) -> socket.socket:
        upstream = socket.create_connection(("127.0.0.1", self._options.to))
        if tunnels:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        threading.Thread(target=pump, args=(upstream, client), daemon=True).start()
        return upstream


def forwarded(first: str, headers: list[str]) -> bytes:
    """The request as its server wants it. Raises ValueError for a target that is not absolute."""
    method, target, version = first.split(" ")
    if not target.startswith("http://"):
        raise ValueError(target)
    path = "/" + target.removeprefix("http://").partition("/")[2]
    kept = [h for h in headers if not h.lower().startswith("proxy-")]
    return "\r\n".join([f"{method} {path} {version}", *kept, "", ""]).encode("latin-1")


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Copy bytes until the source ends."""
    with suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def follow(parent: int) -> None:
    """Never outlive the test."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


if __name__ == "__main__":
    words = argparse.ArgumentParser()
    words.add_argument("to", type=int)
    words.add_argument("log")
    words.add_argument("--user")
    words.add_argument("--refuse", type=int)
    words.add_argument("--after", type=int, default=1 << 60)
    proxy = Proxy(words.parse_args())
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=follow, args=(os.getppid(),), daemon=True).start()
    print(f"listening {listener.getsockname()[1]}", flush=True)
    while True:
        sock, _address = listener.accept()
        threading.Thread(target=proxy.serve, args=(sock,), daemon=True).start()
