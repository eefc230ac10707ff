"""How long a user waits after a failure: what the server asked for, else longer each time. Pure."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

LONGEST_S = 60.0
"""A server that asks for more is asked again after this."""
_ASKING = (429, 503)
"""The statuses that RFC 9110 (10.2.3) and RFC 6585 (4) give a Retry-After to."""


def asked_wait_s(status: int | None, headers: Mapping[bytes, bytes], now: float | None = None) -> float | None:
    """Seconds that a refusal asks for by its ``Retry-After``, a number or a date; None when it asks for nothing."""
    text = headers.get(b"retry-after", b"")[:64].decode("latin-1").strip()
    if status not in _ASKING or not text:
        return None
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - (time.time() if now is None else now))
    except (ValueError, OverflowError):
        return None


def pause_s(failures: int, asked_s: float | None) -> float:
    """Before the next request, after so many failures in a row: 0.1, 0.2, 0.4, 0.8, 1 s, or what was asked if more."""
    own = min(1.0, 0.05 * 2 ** min(failures, 5))
    return max(own, min(asked_s or 0.0, LONGEST_S))
