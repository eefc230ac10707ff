"""One HTTP GET, bounded in time and size: the seam between the hub and the network.

A transport follows no redirect, keeps no cookie and decides nothing: who may see a token is `hub_client`'s business.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

CONNECT_S = 5.0
SILENCE_S = 15.0
"""Longest wait for the next bytes of a reply, seconds."""

CHUNK = 64 * 1024
ERROR_BODY = 4096
"""Bytes read of a reply that is no success."""

RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)$")


@dataclass(frozen=True)
class Response:
    """What a server said. ``headers`` have lower-case names; ``body`` begins at the byte that was asked for."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    total: int | None = None
    """Bytes of the whole file, where the server says."""


class Transport(Protocol):
    """Whatever can fetch bytes of a URL."""

    def get(self, url: str, headers: Mapping[str, str], start: int | None, end: int) -> Response:
        """Bytes ``start`` up to, not including, ``end`` of what ``url`` names; fewer where it is shorter.

        ``start`` None asks for the whole and takes at most ``end`` bytes of it.

        Raises:
            OSError: the server cannot be reached, is too slow, or breaks off.
        """
        ...


class HttpTransport:
    """The standard library's HTTP client, with proxies from the environment. Safe to use from several threads.

    ``deadline`` (`time.monotonic`) ends every request, also one whose server sends a byte now and then.
    """

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self._context: ssl.SSLContext | None = None
        self._lock = threading.Lock()

    def get(self, url: str, headers: Mapping[str, str], start: int | None, end: int) -> Response:
        """As `Transport.get`. A server that ignores ranges is read from its first byte."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("out of time")
        connection, target, extra = self._connection(url, min(CONNECT_S, left))
        watchdog = threading.Timer(left, _hang_up, (connection,))
        watchdog.daemon = True
        watchdog.start()
        try:
            sent = {"Accept-Encoding": "identity", "User-Agent": "selfhost", "Connection": "close", **extra, **headers}
            if start is not None:
                sent["Range"] = f"bytes={start}-{end - 1}"
            connection.connect()
            connection.sock.settimeout(SILENCE_S)
            connection.request("GET", target, headers=sent)
            return _reply(connection.getresponse(), start, end)
        except http.client.HTTPException as error:
            raise ConnectionError(f"no proper HTTP reply ({type(error).__name__})") from None
        finally:
            watchdog.cancel()
            connection.close()
            if time.monotonic() >= self.deadline:
                raise TimeoutError("out of time")

    def _connection(self, url: str, timeout: float) -> tuple[http.client.HTTPConnection, str, dict[str, str]]:
        """A connection that is not open yet, what to ask it for, and headers that a plain proxy needs."""
        parts = urlsplit(url)
        host, secure = parts.hostname or "", parts.scheme == "https"
        path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        proxy = urllib.request.getproxies().get(parts.scheme)
        if not proxy or urllib.request.proxy_bypass(host):
            return self._open(secure, host, parts.port, timeout), path, {}
        via = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        login = _proxy_login(via.username, via.password)
        connection = self._open(secure, via.hostname or "", via.port or 80, timeout)
        if secure:
            connection.set_tunnel(host, parts.port or 443, headers=login)
            return connection, path, {}
        return connection, url, login

    def _open(self, secure: bool, host: str, port: int | None, timeout: float) -> http.client.HTTPConnection:
        if secure:
            return http.client.HTTPSConnection(host, port, timeout=timeout, context=self._tls())
        return http.client.HTTPConnection(host, port, timeout=timeout)

    def _tls(self) -> ssl.SSLContext:
        """The machine's trusted certificates, read once: that takes as long as a request."""
        with self._lock:
            if self._context is None:
                self._context = ssl.create_default_context()
            return self._context


def _reply(reply: http.client.HTTPResponse, start: int | None, end: int) -> Response:
    headers = {name.lower(): value for name, value in reply.getheaders()}
    if reply.status not in (200, 206):
        return Response(reply.status, headers, _body(reply, ERROR_BODY))
    skip, total = start or 0, _length(headers)
    if reply.status == 206:
        match = RANGE.match(headers.get("content-range", ""))
        if match is None or int(match[1]) != (start or 0):
            raise ConnectionError("the server answered another range than the one asked for")
        skip, total = 0, int(match[3])
    want = end if reply.status == 200 else end - (start or 0)
    body = _body(reply, want)
    promised = _length(headers)
    if promised is not None and len(body) < min(promised, want):
        raise ConnectionError(f"the reply broke off after {len(body):,} of {promised:,} bytes")
    return Response(reply.status, headers, body[skip:], total)


def _length(headers: Mapping[str, str]) -> int | None:
    said = headers.get("content-length", "")
    return int(said) if said.isascii() and said.isdigit() and len(said) < 20 else None


def _body(reply: http.client.HTTPResponse, most: int) -> bytes:
    parts, left = [], most
    while left > 0 and (chunk := reply.read(min(CHUNK, left))):
        parts.append(chunk)
        left -= len(chunk)
    return b"".join(parts)


def _proxy_login(user: str | None, password: str | None) -> dict[str, str]:
    if not user:
        return {}
    from base64 import b64encode
    from urllib.parse import unquote

    pair = f"{unquote(user)}:{unquote(password or '')}".encode()
    return {"Proxy-Authorization": f"Basic {b64encode(pair).decode()}"}


def _hang_up(connection: http.client.HTTPConnection) -> None:
    """End a request from another thread; its reader sees the end of the stream."""
    if connection.sock is not None:
        with suppress(OSError):
            socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)
