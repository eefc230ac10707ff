"""The proxy between the load and its target, chosen as everybody chooses it: HTTP_PROXY, HTTPS_PROXY, NO_PROXY.

Read from this machine's environment and from nowhere else, so that its password is in no spec and on no other machine.
Loopback is never proxied. `toolkit.load.proxy` chooses alike for the questions before the load.
"""

from __future__ import annotations

import base64
import ipaddress
from dataclasses import dataclass
from time import perf_counter
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment

from bench.wire import BrokenReplyError

PORT = 80
MAX_HEAD = 64 * 1024


@dataclass(frozen=True)
class Proxy:
    """An HTTP proxy; ``secret`` is its header line, empty when it wants none."""

    host: str
    port: int
    secret: bytes = b""


def choose(host: str, port: int, *, tls: bool) -> Proxy | None:
    """The proxy on the way to that server, None for the straight way."""
    url = getproxies_environment().get("https" if tls else "http")
    if not url or is_loopback(host) or proxy_bypass_environment(f"{host}:{port}" if ":" not in host else host):
        return None
    parts = urlsplit(url if "://" in url else f"http://{url}")
    secret = b""
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        secret = b"Proxy-Authorization: Basic %b\r\n" % base64.b64encode(pair.encode())
    return Proxy(parts.hostname or "", parts.port or PORT, secret)


def is_loopback(host: str) -> bool:
    """Whether that name or address is this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def tunnel(sock: Any, proxy: Proxy, authority: str, seconds: float) -> None:
    """Ask the proxy for a way through to ``host:port``. Raises BrokenReplyError named after what it said."""
    name = authority.encode()
    sock.sendall(b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (name, name, proxy.secret))
    limit, head = perf_counter() + seconds, b""
    while b"\r\n\r\n" not in head:
        left_s = limit - perf_counter()
        if left_s <= 0:
            raise BrokenReplyError("proxy_timeout", "no answer to CONNECT")
        sock.settimeout(left_s)
        data = sock.recv(4096)
        head += data
        if not data or len(head) > MAX_HEAD:
            raise BrokenReplyError("proxy_bad_reply", "closed during CONNECT" if not data else "headers over 64 KiB")
    first = head.partition(b"\r\n")[0]
    version, _, after = first.partition(b" ")
    if not version.startswith(b"HTTP/1.") or not after[:3].isdigit():
        raise BrokenReplyError("proxy_bad_reply", f"status line {first[:60]!r}")
    if not after.startswith(b"2"):
        raise BrokenReplyError(f"proxy_{after[:3].decode()}", first[:150].decode("latin-1"))
