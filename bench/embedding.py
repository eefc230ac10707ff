"""The reply to an embeddings request: one JSON document, no stream, no tokens of output. Pure."""

from __future__ import annotations

from typing import Any

import orjson

from bench.wire import BrokenReplyError


class Embedding:
    """Stands where `bench.answer.Answer` does for what generates."""

    __slots__ = ("asked", "done", "finish", "first_answer", "reply_id", "shared", "tokens", "usage")

    def __init__(self, _asked: int) -> None:
        self.asked = 0
        self.tokens: list[int] = []
        self.first_answer: int | None = None
        self.shared = 0
        self.finish: str | None = None
        self.done = False
        self.reply_id: str | None = None
        self.usage: Any = None

    def event(self, _name: bytes, data: bytes, _stamp: int) -> None:
        """An event stream is no embedding."""
        raise BrokenReplyError("not_json", data[:80].decode("utf-8", "replace"))

    def body(self, data: bytes) -> None:
        """Take the whole reply. Raises BrokenReplyError for anything without a vector."""
        try:
            document = orjson.loads(data)
            if document.get("error"):
                raise BrokenReplyError("error_event", str(document["error"])[:200])
            vector = document["data"][0]["embedding"]
            self.usage = document.get("usage")
            self.reply_id = str(document.get("id") or "")[:80] or None
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            shown = data[:80].decode("utf-8", "replace")
            raise BrokenReplyError("bad_json", f"{shown} ({error})"[:200]) from error
        self.done = bool(vector)

    def check(self) -> None:
        """Raise BrokenReplyError unless there is a vector."""
        if not self.done:
            raise BrokenReplyError("empty", "no vector")

    def counts(self) -> tuple[int | None, int, str]:
        """Input tokens by the server's `usage`, no output."""
        given = self.usage.get("prompt_tokens") if isinstance(self.usage, dict) else None
        if type(given) is int and 0 < given < 100_000_000:
            return given, 0, "usage"
        return None, 0, "events"
