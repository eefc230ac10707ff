"""Is an answer an answer? A pure test against an engine that is up but broken."""

from __future__ import annotations

QUESTION = "What is the capital of France?"
MAX_TOKENS = 16
MIN_REPEATED_CHARS = 12
"""Shorter answers are too short to call a repetition."""
MAX_PERIOD_CHARS = 6


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
    return None


def _repeats(answer: str) -> bool:
    """Whether the text is one piece of up to six characters, or one word, repeated to the end."""
    words = answer.split()
    if len(words) >= 4 and len(set(words)) == 1:
        return True
    return any(answer[p:] == answer[:-p] for p in range(1, MAX_PERIOD_CHARS + 1))
