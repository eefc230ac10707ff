"""Is an answer an answer? A pure test against an engine that is up but broken."""

from __future__ import annotations

import re

QUESTION = "What is the capital of France?"
MAX_TOKENS = 16
MIN_REPEATED_CHARS = 12
"""Shorter answers are too short to call a repetition."""
SHORT_PIECE_CHARS = 6
MIN_TIMES = 3
"""A piece longer than that counts as repeated when the answer holds it so often."""


def why_nonsense(text: str) -> str | None:
    """What is wrong with the answer, in words; None when it could be one.

    Broken weights, a wrong chat template or NaN in the logits show as nothing, as one token over and over, or
    as signs without a letter or digit.
    """
    answer = text.strip()
    if not answer:
        return "the answer is empty"
    if not any(c.isalnum() for c in answer):
        return "the answer has no letter or digit"
    if len(answer) >= MIN_REPEATED_CHARS and _repeats(answer):
        return "the answer is one piece over and over"
    if "\ufffd" * 2 in answer:
        return "the answer is not text"
    if set(re.findall(r"\w+", answer.lower())) == {"nan"}:
        return "the answer is not a number"
    return None


def _repeats(answer: str) -> bool:
    """Whether the text is one piece, a token or a word, repeated to the end (where it may be cut)."""
    answer = " ".join(answer.split())
    longest = max(SHORT_PIECE_CHARS, len(answer) // MIN_TIMES)
    return any(answer[p:] == answer[:-p] for p in range(1, longest + 1))
