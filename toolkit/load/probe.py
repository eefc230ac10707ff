"""Small questions to the target before the load: which model, which engine, how many tokens is this text.

Plain `http.client`, bounded in time and size, redirects not followed. The load itself never goes through here.
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from toolkit.errors import EnvironmentFailedError
from toolkit.load.proxy import Way
from toolkit.load.spec import Endpoint

MAX_BYTES = 4 * 2**20
PROXY_REFUSES = 407
_HINT = "Check that the server runs and that the address is right."


@dataclass(frozen=True)
class Answer:
    """Status, JSON document (None when the body is none) and headers (lower case) of one reply."""

    status: int
    document: Any
    headers: dict[str, str]

    @property
    def message(self) -> str:
        """The server's own words about an error, at most 200 characters."""
        error = self.document.get("error", self.document) if isinstance(self.document, dict) else self.document
        words = error.get("message", error) if isinstance(error, dict) else error
        return " ".join(str(words or "").split())[:200]


class Probe:
    """One keep-alive connection to the target."""

    def __init__(self, endpoint: Endpoint, key: str | None, timeout_s: float) -> None:
        self._endpoint = endpoint
        self._timeout_s = timeout_s
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._way = Way(endpoint, timeout_s)
        self._connection = self._way.connection
        self._sock: socket.socket | None = None
        self._late = False
        """Whether the running question was ended by its time limit."""

    def get(self, path: str) -> Answer:
        """GET below the base path. Raises EnvironmentFailedError when nothing answers."""
        return self._ask("GET", path, None)

    def post(self, path: str, body: dict[str, Any]) -> Answer:
        """POST JSON below the base path. Raises EnvironmentFailedError when nothing answers."""
        return self._ask("POST", path, json.dumps(body).encode())

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _ask(self, method: str, path: str, body: bytes | None) -> Answer:
        self._late = False
        watchdog = threading.Timer(self._timeout_s, self._abort)
        watchdog.start()
        try:
            try:
                answer = self._once(method, path, body)
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                self._connection.close()  # the kept-alive connection was closed meanwhile
                if self._late:
                    raise
                answer = self._once(method, path, body)
            if self._late:  # cut in its headers, a reply looks whole
                raise TimeoutError(f"not whole within {self._timeout_s:g} s")
            return answer
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            why = f"{type(error).__name__}: {error}" if isinstance(error, http.client.HTTPException) else error
            by = f" by way of the proxy {self._way.proxy.address}" if self._way.proxy else ""
            raise EnvironmentFailedError(f"no answer from {self._endpoint.url}{by}: {why}", _HINT) from error
        finally:
            watchdog.cancel()

    def _abort(self) -> None:
        """End a reply that drips: socket timeouts are per read, this one is for the whole."""
        self._late = True
        sock = self._sock
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _once(self, method: str, path: str, body: bytes | None) -> Answer:
        headers = {"Accept": "application/json", **self._way.headers, **self._headers}
        if body is not None:
            headers["Content-Type"] = "application/json"
        self._connection.request(method, self._way.target(self._endpoint.base_path + path), body=body, headers=headers)
        self._sock = self._connection.sock  # http.client forgets it when the reply says close
        response = self._connection.getresponse()
        if response.status == PROXY_REFUSES and self._way.proxy is not None:
            raise OSError(f"{response.status} {response.reason}")
        streams = (response.getheader("Content-Type") or "").lower().startswith("text/event-stream")
        text = b"" if streams else response.read(MAX_BYTES)  # a stream was not asked for, and may never end
        if not response.isclosed():
            self._connection.close()  # more than anyone should say
        try:
            document = json.loads(text)
        except ValueError:
            document = None
        return Answer(response.status, document, {k.lower(): v for k, v in response.getheaders()})
