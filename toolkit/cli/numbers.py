"""Whole numbers as users type them."""

from __future__ import annotations

import re


def whole(text: str, most: int) -> int | None:
    """The number from 1 to ``most`` that the text writes in plain digits; None for anything else.

    `str.isdigit` also takes what `int` does not: a raised ², more digits than Python converts.
    """
    if not re.fullmatch(r"[0-9]+", text) or len(text.lstrip("0")) > len(str(most)):
        return None
    number = int(text)
    return number if 1 <= number <= most else None
