"""What one user has said and heard: the messages of a conversation, as JSON, growing turn by turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from bench.payload import Prompt

MAX_BYTES = 8 << 20
"""Beyond this a conversation is not continued: no server has such a context."""


class Conversation:
    """Begins with one prompt; each further turn adds the answer that came and another prompt's words."""

    def __init__(self, number: int, first: Prompt, nonce: bytes) -> None:
        self.number = number
        self.turn = 0
        self.first = first
        self.nonce = nonce
        self.added: list[bytes] = []

    def go_on(self, answer: str, following: Prompt) -> bool:
        """Take the answer and what the user says next; False when the conversation became too long."""
        heard, said = {"role": "assistant", "content": answer}, {"role": "user", "content": following.say}
        self.added.append(b", " + orjson.dumps(heard) + b", " + orjson.dumps(said))
        self.turn += 1
        return sum(map(len, self.added)) < MAX_BYTES
