"""The user's own prompts, one JSON object a line: ``{"messages": […]}`` or ``{"prompt": "…"}``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from toolkit.errors import InputError
from toolkit.load.lengths import MAX_TOKENS, OUTPUT_NAMES
from toolkit.load.table import number_of, read_table
from toolkit.types import Frozen

MOST_PROMPTS = 50_000
_HINT = 'Write one object a line, like {"prompt": "Hello"} or {"messages": [{"role": "user", "content": "Hello"}]}.'


class OwnPrompt(Frozen):
    """One prompt as the user wrote it. ``max_tokens`` None: drawn from the workload."""

    messages: tuple[dict[str, Any], ...] = Field(min_length=1)
    max_tokens: int | None = None

    @property
    def text(self) -> str:
        """Everything said in it, for an endpoint that takes text."""
        return "\n\n".join(said for message in self.messages if (said := _said(message)))


def read_own_prompts(file: Path) -> tuple[OwnPrompt, ...]:
    """Read a file of prompts. Raises InputError."""
    return tuple(_own(row, f"{file}, prompt {i}") for i, row in enumerate(read_table(file, MOST_PROMPTS), 1))


def _own(row: dict[str, Any], where: str) -> OwnPrompt:
    messages = row.get("messages", row.get("conversation"))
    if messages is None:
        prompt = row.get("prompt", row.get("text"))
        if not isinstance(prompt, str) or not prompt:
            raise InputError(f"{where} has neither a prompt nor messages", _HINT)
        messages = [{"role": "user", "content": prompt}]
    if not isinstance(messages, list) or not messages:
        raise InputError(f"{where}: messages is not a list of messages", _HINT)
    for message in messages:
        if not isinstance(message, dict) or "role" not in message or "content" not in message:
            raise InputError(f"{where}: a message needs a role and a content", _HINT)
    return OwnPrompt(messages=tuple(messages), max_tokens=_limit(row, where))


def _limit(row: dict[str, Any], where: str) -> int | None:
    name = next((name for name in ("max_tokens", *OUTPUT_NAMES) if row.get(name) not in (None, "")), None)
    if name is None:
        return None
    value = number_of(row[name])
    if value is None or value % 1 or not 1 <= value <= MAX_TOKENS:
        raise InputError(f"{where}: {name} {row[name]!r} is not a number of tokens")
    return int(value)


def _said(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(str(part.get("text", "")) for part in parts if isinstance(part, dict) and part.get("text"))
