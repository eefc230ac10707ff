"""A claim's own arithmetic, evaluated exactly: ``10M * 30``, ``1 - 110/290``; nothing but numbers and + − × ÷ ( )."""

from __future__ import annotations

import re
from decimal import Decimal, DivisionByZero, InvalidOperation, Overflow

from toolkit.cost.quantities import MULTIPLIER, number
from toolkit.errors import InputError

TOKEN = re.compile(r"\s*(?:(\d[\d_,]*(?:\.\d+)?|\.\d+)([kmbt]?)(%?)|([-+*/()]))", re.IGNORECASE | re.ASCII)
MAX_LENGTH = 200
SIGNS = str.maketrans("×÷−", "*/-")


def evaluate(text: str) -> Decimal:
    """The value of an expression.

    Raises:
        InputError: something else than numbers and signs, or a division by zero.
    """
    if len(text) > MAX_LENGTH:
        raise InputError(f"an expression of {len(text)} characters is too long", f"At most {MAX_LENGTH}.")
    parser = _Parser(text, _tokens(text.translate(SIGNS)))
    try:
        value = parser.total()
    except (DivisionByZero, InvalidOperation, Overflow):
        raise InputError(f"{text!r} has no value: it divides by zero or overflows") from None
    if parser.rest:
        raise parser.fault()
    return value


def _tokens(text: str) -> list[Decimal | str]:
    found: list[Decimal | str] = []
    at = 0
    while text[at:].strip():
        match = TOKEN.match(text, at)
        if not match:
            raise InputError(f"{text[at:].strip()!r} is not arithmetic", "Write numbers with + - * / and brackets.")
        digits, letter, percent, sign = match.groups()
        found.append(sign or number(digits) * MULTIPLIER[letter.lower()] / (100 if percent else 1))
        at = match.end()
    return found


class _Parser:
    """Recursive descent over tokens: sum, product, value."""

    def __init__(self, text: str, tokens: list[Decimal | str]) -> None:
        self.text = text
        self.rest = tokens

    def total(self) -> Decimal:
        value = self.product()
        while self.rest and self.rest[0] in ("+", "-"):
            sign = self.rest.pop(0)
            value = value + self.product() if sign == "+" else value - self.product()
        return value

    def product(self) -> Decimal:
        value = self.value()
        while self.rest and self.rest[0] in ("*", "/"):
            sign = self.rest.pop(0)
            value = value * self.value() if sign == "*" else value / self.value()
        return value

    def value(self) -> Decimal:
        head = self.rest.pop(0) if self.rest else None
        if isinstance(head, Decimal):
            return head
        if head == "-":
            return -self.value()
        if head == "(":
            inside = self.total()
            if self.rest and self.rest.pop(0) == ")":
                return inside
        raise self.fault()

    def fault(self) -> InputError:
        return InputError(f"{self.text!r} is not complete arithmetic", "Write it like 10M * 30 or 1 - 110/290.")
