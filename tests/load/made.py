"""Rows made by hand."""

from __future__ import annotations

from typing import Any

from toolkit.load.rows import Row


def row(sent: float, tokens: tuple[float, ...], **changes: Any) -> Row:
    """A completed request: sent then, tokens at these moments, one token an event; ``changes`` are fields."""
    fields: dict[str, Any] = {
        "id": f"{sent}",
        "level": 0,
        "warmup": False,
        "worker": 0,
        "prompt_id": 0,
        "scheduled_s": sent,
        "sent_s": sent,
        "first_byte_s": tokens[0] if tokens else None,
        "first_token_s": tokens[0] if tokens else None,
        "first_answer_s": tokens[0] if tokens else None,
        "token_s": tokens,
        "end_s": tokens[-1] if tokens else sent,
        "lag_s": 0.0001,
        "shared": 0,
        "stamps": "kernel",
        "input_tokens": 100,
        "output_tokens": len(tokens),
        "asked_output_tokens": len(tokens),
        "token_source": "usage",
        "events": len(tokens),
        "status": 200,
        "error": None,
        "detail": None,
        "finish_reason": "length",
        "reply_id": None,
    }
    return Row(**{**fields, **changes})


def failed(sent: float, end: float, name: str, **changes: Any) -> Row:
    """A request that broke then, under that name."""
    return row(sent, (), end_s=end, error=name, input_tokens=None, token_source="events", **changes)
