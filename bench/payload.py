"""Requests as bytes, prepared as far as can be before the load begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from bench.proxy import Proxy

EVENTS = "text/event-stream"
ACCEPT = {"embeddings": "application/json"}


class Prompt:
    """A request body with a gap for the nonce, and one for the turns that follow in a conversation."""

    def __init__(self, line: bytes) -> None:
        record = orjson.loads(line)
        self.id: int = record["id"]
        self.asked: int = record["asked_output_tokens"]
        self.say: str = record.get("say", "")
        """What the user says when this comes later in a conversation."""
        self._gap: bool = record.get("gap", True)
        self._before = record["before"].encode()
        self._after = record["after"].encode()
        self._rest = record.get("rest", "").encode()
        self._limit = b'"max_tokens": %d' % self.asked

    def payload(
        self, head: bytes, key: str | None, nonce: bytes, asked: int | None = None, added: Sequence[bytes] = ()
    ) -> bytes:
        """The whole request, ready to send: ``asked`` output tokens instead of its own, ``added`` messages last."""
        rest = self._rest
        if asked is not None and asked != self.asked:
            rest = rest.replace(self._limit, b'"max_tokens": %d' % asked)
        body = b"".join((self._before, nonce if self._gap else b"", self._after, *added, rest))
        secret = b"Authorization: Bearer %b\r\n" % key.encode() if key else b""
        return b"%b%bContent-Length: %d\r\n\r\n%b" % (head, secret, len(body), body)


def head(spec: dict[str, Any], proxy: Proxy | None = None) -> bytes:
    """Request line and headers, up to what differs from request to request; by a proxy in the form that it reads."""
    relayed = proxy is not None and not spec["tls"]
    target = f"http://{spec['host_header']}{spec['path']}" if relayed else spec["path"]
    lines = [f"POST {target} HTTP/1.1", f"Host: {spec['host_header']}"]
    lines += [
        "Content-Type: application/json",
        f"Accept: {ACCEPT.get(spec.get('endpoint'), EVENTS)}",
        "User-Agent: selfhost-bench",
    ]
    return ("\r\n".join(lines) + "\r\n").encode() + (proxy.secret if proxy is not None and relayed else b"")
