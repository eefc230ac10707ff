"""What every document shares: units, money, the basis of a number, the frozen base model."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

SCHEMA_VERSION = 1
GIB = 2**30
MIB = 2**20

Basis = Literal["measured", "engine", "computed", "priced", "assumed"]
"""Where a number comes from: our own measurement, the engine's log, arithmetic, a dated price list, a guess."""

Certainty = Literal["sure", "likely", "close", "no"]


def _no_float(value: object) -> object:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return Decimal(str(value)) if number else value


def _as_float(value: Decimal) -> float:
    """Like `float`, whose signature is text that pydantic would have to parse."""
    return float(value)


Money = Annotated[
    Decimal,
    BeforeValidator(_no_float),
    PlainSerializer(_as_float, return_type=float, when_used="json"),
]
"""Dollars as Decimal; a JSON number when printed. A float is read through its shortest decimal text."""


class Frozen(BaseModel):
    """Base of every record: immutable, no unknown keys, no NaN or infinity.

    Validators are built on first use: most commands touch a few of these types.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True, defer_build=True)


class Document(Frozen):
    """A stage's JSON document; ``kind`` says which."""

    schema_version: int = SCHEMA_VERSION


class Sourced(Frozen):
    """A fact with its origin: who says so (a URL, a file, a log) and the day it was read."""

    source: str = Field(min_length=3)
    checked: date
