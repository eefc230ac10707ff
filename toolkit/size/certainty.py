"""How sure "it fits" is: the margin against the error band."""

from __future__ import annotations

from toolkit.types import Certainty


def certainty(margin_bytes: int, error_bytes: int) -> Certainty:
    """``sure`` beyond twice the error band, ``likely`` beyond it, ``close`` within it on either side, else ``no``."""
    if margin_bytes >= 2 * error_bytes:
        return "sure"
    if margin_bytes >= error_bytes:
        return "likely"
    return "close" if margin_bytes >= -error_bytes else "no"
