"""The proxy that questions to the target take, chosen as everybody chooses it: HTTP_PROXY, HTTPS_PROXY, NO_PROXY.

Loopback is never proxied. The load processes choose alike (`bench/proxy.py`), each from its own environment: a proxy's
password is in no spec, no result and no report.
"""

from __future__ import annotations

import base64
import http.client
import ipaddress
import ssl
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit
from urllib.request import (  # type: ignore[attr-defined]  # the second is in CPython and not in typeshed
    getproxies_environment,
    proxy_bypass_environment,
)

from toolkit.errors import InputError
from toolkit.load.spec import Endpoint

PORT = 80


@dataclass(frozen=True)
class Proxy:
    """An HTTP proxy; ``headers`` carry its user and password, where it has any."""

    host: str
    port: int
    headers: dict[str, str]

    @property
    def address(self) -> str:
        """``host:port``, which is all that may be told of it."""
        return f"{self.host}:{self.port}"


def proxy_for(endpoint: Endpoint) -> Proxy | None:
    """The proxy on the way to that server, None for the straight way. InputError: one that we cannot speak to."""
    host = endpoint.host
    url = getproxies_environment().get(endpoint.scheme)
    if (
        not url
        or _is_loopback(host)
        or proxy_bypass_environment(f"{host}:{endpoint.port}" if ":" not in host else host)
    ):
        return None
    hint = f"Set {endpoint.scheme.upper()}_PROXY to http://HOST:PORT, or name {host} in NO_PROXY."
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port or PORT
    except ValueError:
        raise InputError("the proxy of the environment is not a URL", hint) from None
    if parts.scheme != "http" or not parts.hostname:
        raise InputError(f"the proxy of the environment is not an HTTP proxy: {parts.scheme}://…", hint)
    headers = {}
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Proxy-Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return Proxy(parts.hostname, port, headers)


class Way:
    """A connection to a server, straight or by its proxy, and what a request on it has to look like."""

    def __init__(self, endpoint: Endpoint, timeout_s: float) -> None:
        """Opens nothing yet. Raises InputError for a proxy that we cannot speak to."""
        self.proxy = proxy = proxy_for(endpoint)
        host, port = (proxy.host, proxy.port) if proxy else (endpoint.host, endpoint.port)
        self.connection: http.client.HTTPConnection
        self._before = ""
        self.headers: dict[str, str] = {}
        if endpoint.scheme == "https":
            context = ssl.create_default_context()
            self.connection = http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context)
            if proxy:
                self.connection.set_tunnel(endpoint.host, endpoint.port, headers=proxy.headers)
            return
        self.connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
        if proxy:
            self._before, self.headers = f"http://{endpoint.authority}", {"Host": endpoint.authority, **proxy.headers}

    def target(self, path: str) -> str:
        """What stands in the request line."""
        return self._before + path


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
