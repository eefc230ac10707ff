"""What is sent to an API, and on which terms: classes of requests, cached tokens, batch, retries."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from toolkit.errors import InputError

REQUEST = re.compile(r"^(\d+)\s*/\s*(\d+)(?:\s*[x×*]\s*(\d+(?:\.\d+)?))?$", re.ASCII)
MAX_REQUEST_TOKENS = 10_000_000
MAX_CLASSES = 50


@dataclass(frozen=True)
class Request:
    """A typical request in tokens. It decides which long-context tier applies. ``weight`` is its share, any scale."""

    input_tokens: int = 750
    output_tokens: int = 250
    weight: Decimal = Decimal(1)

    @property
    def tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True)
class Terms:
    """How an API is used.

    ``cached_share`` of the input tokens are read from the provider's cache, ``written_share`` written to it; ``batch``
    asks for answers within a day; ``retried_share`` of the requests are sent, and paid, once more.
    """

    cached_share: Decimal = Decimal(0)
    batch: bool = False
    retried_share: Decimal = Decimal(0)
    written_share: Decimal = Decimal(0)


TYPICAL = Request()
STANDARD = Terms()


def parse_requests(text: str) -> tuple[Request, ...]:
    """Classes of requests from ``600/200x7, 9000/400x3``: input/output tokens, and how often beside the others."""
    found = []
    for part in text.split(","):
        match = REQUEST.match(part.strip())
        if not match:
            raise InputError(
                f"{part.strip()!r} is not a class of requests",
                "Write input/output tokens and how often, like 600/200x7,9000/400x3.",
            )
        request = Request(int(match[1]), int(match[2]), Decimal(match[3] or 1))
        if not 1 <= request.tokens <= MAX_REQUEST_TOKENS or request.weight <= 0:
            raise InputError(f"a request of {part.strip()!r} makes no sense", "Both tokens and share are above zero.")
        found.append(request)
    if len(found) > MAX_CLASSES:
        raise InputError(f"{len(found)} classes of requests are more than {MAX_CLASSES}", "Join those that are alike.")
    return tuple(found)


def mean_request(requests: Sequence[Request]) -> Request:
    """The weighted mean of the classes, at least one token of each kind."""
    weight = sum((r.weight for r in requests), Decimal(0))
    into = sum((r.input_tokens * r.weight for r in requests), Decimal(0)) / weight
    out = sum((r.output_tokens * r.weight for r in requests), Decimal(0)) / weight
    return Request(max(1, round(into)), max(1, round(out)))


def input_share(requests: Sequence[Request]) -> Decimal:
    """Share of input among all tokens of the classes, 0…1."""
    into = sum((r.input_tokens * r.weight for r in requests), Decimal(0))
    total = sum((r.tokens * r.weight for r in requests), Decimal(0))
    return into / total
