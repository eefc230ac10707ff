"""What the events of an OpenAI stream mean: tokens, the answer's first one, usage, the end. Pure.

A token event is a chunk whose first choice carries text: reasoning, a tool call or content (`/v1/completions`:
text). The role chunk, comments, usage and the finish chunk are not tokens.
"""

from __future__ import annotations

from typing import Any

import orjson

from bench.wire import BrokenReplyError

_ANSWER = ("content", "tool_calls", "function_call", "refusal")
ROOM, LONG_TOKEN = 64 * 1024, 64
"""Characters of text kept for the next turn: so many, and so many more for each token that was asked."""
_THOUGHT = ("reasoning_content", "reasoning")


class Answer:
    """The answer to one request that asked for ``asked`` tokens. Stamps are nanoseconds."""

    __slots__ = (
        "_limit",
        "_room",
        "_words",
        "asked",
        "done",
        "finish",
        "first_answer",
        "reply_id",
        "shared",
        "tokens",
        "usage",
    )

    def __init__(self, asked: int) -> None:
        self.asked = asked
        self._limit = 2 * asked + 64
        self.tokens: list[int] = []
        self.first_answer: int | None = None
        self.shared = 0
        self.finish: str | None = None
        self.done = False
        self.reply_id: str | None = None
        self.usage: dict[str, Any] | None = None
        self._words: list[str] | None = None
        self._room = ROOM + LONG_TOKEN * asked

    def keep_words(self) -> None:
        """Keep the answer's text: the next turn of its conversation needs it."""
        self._words = []

    def words(self) -> str:
        """The answer's text, reasoning left out."""
        return "".join(self._words or ())

    def event(self, name: bytes, data: bytes, stamp: int) -> None:
        """Take one event. Raises BrokenReplyError for an error event, nonsense, or far more tokens than asked."""
        if data == b"[DONE]":
            self.done = True
            return
        try:
            chunk = orjson.loads(data)
            if name == b"error" or chunk.get("error") or chunk.get("object") == "error":
                raise BrokenReplyError("error_event", _words(chunk))
            self._chunk(chunk, stamp)
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            shown = data[:80].decode("utf-8", "replace")
            broken = "error_event" if name == b"error" else "bad_json"
            raise BrokenReplyError(broken, f"{shown} ({error})"[:200]) from error

    def _chunk(self, chunk: dict[str, Any], stamp: int) -> None:
        if self.reply_id is None:
            self.reply_id = str(chunk.get("id") or "")[:80]
        usage = chunk.get("usage")
        if usage:
            self.usage = usage
        choices = chunk.get("choices")
        if not choices:
            return
        choice = choices[0]
        delta = choice.get("delta")
        if delta:
            if delta.get("content") or any(map(delta.get, _ANSWER)):
                self._token(stamp, answer=True)
                if self._words is not None:
                    self._keep(delta.get("content") or "")
            elif any(map(delta.get, _THOUGHT)):
                self._token(stamp, answer=False)
        elif choice.get("text"):
            self._token(stamp, answer=True)
        finish = choice.get("finish_reason")
        if finish:
            self.finish = str(finish)[:80]

    def _keep(self, text: str) -> None:
        self._room -= len(text)
        if self._room < 0:
            raise BrokenReplyError("too_large", f"far more text than {self.asked} tokens have")
        self._words.append(text)

    def _token(self, stamp: int, *, answer: bool) -> None:
        tokens = self.tokens
        if tokens and tokens[-1] == stamp:
            self.shared += 1
        tokens.append(stamp)
        if answer and self.first_answer is None:
            self.first_answer = stamp
        if len(tokens) > self._limit:
            raise BrokenReplyError("too_many_tokens", f"{len(tokens)} token events where {self.asked} were asked")

    def check(self) -> None:
        """Raise BrokenReplyError unless this is a whole answer."""
        if self.finish is None and not self.done:
            raise BrokenReplyError("no_finish", f"stream ended after {len(self.tokens)} token events")
        if self.finish in ("abort", "error"):
            raise BrokenReplyError("aborted", f"finish reason {self.finish}")
        if not self.tokens:
            raise BrokenReplyError("empty", f"no token, finish reason {self.finish}")

    def counts(self) -> tuple[int | None, int, str]:
        """Input tokens, output tokens and where the counts came from.

        The server's `usage`, unless it is absurd: not a whole number, or an output beyond four times what was
        asked. Then the counted events, with the input unknown.
        """
        usage = self.usage
        if isinstance(usage, dict):
            given, made = usage.get("prompt_tokens"), usage.get("completion_tokens")
            if (
                type(given) is int
                and type(made) is int
                and 0 <= given < 100_000_000
                and 0 < made <= 4 * self.asked + 64
            ):
                return given, made, "usage"
        return None, len(self.tokens), "events"


def _words(chunk: Any) -> str:
    error = chunk.get("error", chunk) if isinstance(chunk, dict) else chunk
    message = error.get("message", error) if isinstance(error, dict) else error
    return " ".join(str(message).split())[:200]
