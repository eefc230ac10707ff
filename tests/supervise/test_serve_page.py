"""The page about serving says what the code does: every limit with its default, every state."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

from toolkit.supervise.limits import Limits
from toolkit.types import State

PAGE = (Path(__file__).parents[2] / "docs" / "serve.md").read_text(encoding="utf-8")


def table(heading: str) -> dict[str, str]:
    """First and second cell of each row of the first table under a heading."""
    section = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    (text,) = [part for part in section if part.startswith(heading + "\n")]
    rows = re.findall(r"^\| `([a-z_]+)` \| (.*?) \|", text, re.MULTILINE)
    assert len(dict(rows)) == len(rows)
    return dict(rows)


def test_every_limit_has_its_default() -> None:
    told = table("Limits")
    assert list(told) == list(Limits.model_fields)
    assert told.pop("max_in_flight") == "the backend's"
    defaults = json.loads(Limits().model_dump_json())
    assert {name: json.loads(value) for name, value in told.items()} == {name: defaults[name] for name in told}


def test_every_state_is_told() -> None:
    assert list(table("What a state means")) == list(get_args(State))
