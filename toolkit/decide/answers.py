"""What the user says about a workload: strict keys, and a labelled default for what is not said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError

from toolkit.errors import InputError, UnknownNameError, fold, nearest
from toolkit.types import Frozen

DataClass = Literal["public", "internal", "personal", "health", "may-not-leave"]
Place = Literal["api", "host", "dedicated", "cloud", "premises", "device"]
"""Where the data may be processed: a closed API, an open model's shared host, an endpoint of one's own at such a
host, a rented machine, one's own hardware, the user's device."""
TaskKind = Literal[
    "classification", "extraction", "summarization", "rag", "chat", "instruction", "code", "reasoning", "agentic"
]

ASSUMED_GAP = {
    "classification": 5, "extraction": 5, "summarization": 5, "rag": 5, "chat": 15, "instruction": 15, "code": 10,
    "reasoning": 25, "agentic": 35,
}  # fmt: skip
"""Points by which closed models lead where nothing was measured: the source article's capability bars (2026-06-24:
code 85/95, reasoning 70/95, RAG 90/95, instructions 80/95, classification 90/95, agentic 60/95); extraction and
summarization are taken as classification, chat as instructions."""

SUFFIX = {"k": 10**3, "m": 10**6, "b": 10**9}


def _volume(value: object) -> object:
    """``10M`` → 10,000,000; anything else as it is."""
    if isinstance(value, str) and value[-1:].lower() in SUFFIX:
        try:
            digits = value[:-1].encode("ascii")  # a UnicodeEncodeError is a ValueError
            return int(float(digits) * SUFFIX[value[-1].lower()])
        except (ValueError, OverflowError):
            raise ValueError(f"{value!r} is not a volume like 250k, 10M or 1.5B") from None
    return value


Volume = Annotated[int, BeforeValidator(_volume), Field(ge=1, le=10**15)]


def _region(value: object) -> object:
    """``de``, ``Germany`` → ``DE``; ``EU`` and ``UK`` as everybody writes them; anything else is no country."""
    from babel import Locale

    known = {code: name for code, name in Locale("en").territories.items() if len(code) == 2 and code.isalpha()}
    said = str(value).strip()
    by_name = {fold(name): code for code, name in known.items()} | {"uk": "GB", "usa": "US"}
    code = said.upper() if said.upper() in known else by_name.get(fold(said))
    if not isinstance(value, str) or code is None:
        close = nearest(said, list(known.values()))
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise ValueError(f"a country is meant, by its two letters like DE{hint}")
    return code


Region = Annotated[str, BeforeValidator(_region)]


class Task(Frozen):
    """One of several tasks; what it leaves out is as for the whole workload."""

    name: str
    task: TaskKind | None = None
    quality_gap: float | None = Field(default=None, ge=-100, le=100)
    narrow_task: bool | None = None
    tokens_per_day: Volume | None = None


class Answers(Frozen):
    """Everything asked; None is "not said"."""

    offline: bool | None = None
    data_class: DataClass | None = None
    allowed_places: tuple[Place, ...] | None = Field(default=None, min_length=1)
    task: TaskKind | None = None
    quality_gap: float | None = Field(default=None, ge=-100, le=100)
    """Points by which the closed model did better on the user's own examples; None when not measured."""
    engineers: float | None = Field(default=None, ge=0, le=10_000)
    hours_per_month: float | None = Field(default=None, ge=0, le=100_000)
    tokens_per_day: Volume | None = None
    peak_ratio: float | None = Field(default=None, ge=1, le=1000)
    """Peak over mean load; None takes the cost report's."""
    narrow_task: bool | None = None
    model: str | None = None
    mau: Volume | None = None
    region: Region | None = None
    """Where the user is domiciled: a two-letter country code, or EU."""
    tasks: tuple[Task, ...] = ()


DEFAULTS: dict[str, Any] = {
    "offline": False, "data_class": "internal", "task": "chat", "engineers": 0, "hours_per_month": 0,
    "tokens_per_day": 1_000_000, "narrow_task": False,
}  # fmt: skip
"""Taken where nothing is said, and listed as assumed: a small team's first internal assistant."""


def read_answers(table: Mapping[str, Any]) -> Answers:
    """Answers from parsed TOML.

    Raises:
        InputError: an unknown key or value (with did-you-mean), or one out of range.
    """
    _known(table, Answers, "answer")
    for task in table.get("tasks") or ():
        if isinstance(task, Mapping):
            _known(task, Task, "key of a task")
    try:
        return Answers.model_validate(table)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        hint = None
        if first["type"] == "literal_error":
            close = nearest(
                str(first["input"]), [o.strip("' ") for o in first["ctx"]["expected"].replace(" or ", ",").split(",")]
            )
            hint = f"did you mean {close[0]}?" if close else None
        message = first["msg"].removeprefix("Value error, ")
        raise InputError(f"{where}: {message}, not {first['input']!r}", hint) from None


def completed(answers: Answers) -> tuple[Answers, dict[str, str]]:
    """The answers with every default filled in, and what was assumed."""
    missing = {key: value for key, value in DEFAULTS.items() if getattr(answers, key) is None}
    if answers.engineers and answers.hours_per_month is None:
        missing["hours_per_month"] = 40 * answers.engineers
    filled = answers.model_copy(update=missing)
    unsaid = {"task", "narrow_task"} if answers.tasks and all(task.task for task in answers.tasks) else set()
    assumed = {key: _told(value) for key, value in missing.items() if key not in unsaid}
    if filled.quality_gap is None and not filled.tasks:
        assumed["quality_gap"] = f"{ASSUMED_GAP[filled.task or 'chat']} points, by the kind of task; not measured"
    return filled, assumed


def _told(value: object) -> str:
    """As an answer is written: no, 1,000,000, internal."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.12g}" if isinstance(value, int | float) else str(value)


def _known(table: Mapping[str, Any], model: type[Frozen], what: str) -> None:
    unknown = next((key for key in table if key not in model.model_fields), None)
    if unknown is not None:
        raise UnknownNameError(what, unknown, model.model_fields)
