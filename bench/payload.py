"""Requests as bytes, prepared as far as can be before the load begins."""

from __future__ import annotations

from typing import Any

import orjson

EVENTS = "text/event-stream"
ACCEPT = {"embeddings": "application/json"}


class Prompt:
    """A request body with a gap for the nonce."""

    def __init__(self, line: bytes) -> None:
        record = orjson.loads(line)
        self.id: int = record["id"]
        self.asked: int = record["asked_output_tokens"]
        self._before = record["before"].encode()
        self._after = record["after"].encode()

    def payload(self, head: bytes, key: str | None, nonce: bytes) -> bytes:
        """The whole request, ready to send."""
        size = len(self._before) + len(nonce) + len(self._after)
        secret = b"Authorization: Bearer %b\r\n" % key.encode() if key else b""
        return b"%b%bContent-Length: %d\r\n\r\n%b%b%b" % (
            head,
            secret,
            size,
            self._before,
            nonce,
            self._after,
        )


def head(spec: dict[str, Any]) -> bytes:
    """Request line and headers, up to what differs from request to request."""
    lines = [f"POST {spec['path']} HTTP/1.1", f"Host: {spec['host_header']}"]
    lines += [
        "Content-Type: application/json",
        f"Accept: {ACCEPT.get(spec.get('endpoint'), EVENTS)}",
        "User-Agent: selfhost-bench",
    ]
    return ("\r\n".join(lines) + "\r\n").encode()
