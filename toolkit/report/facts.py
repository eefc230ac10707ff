"""Facts of a run as name and value, and sentences about its cost, for every renderer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from toolkit.report import words
from toolkit.types import GIB, MIB, BenchResult, CostReport

MOST_FACTS = 80
LONGEST_FACT = 600


def environment(result: BenchResult) -> list[tuple[str, str]]:
    """Everything recorded about the run, flattened; at most 80 facts of at most 600 characters."""
    env = result.environment
    workload = result.workload
    first = [
        ("target", result.target),
        ("model", result.model),
        ("workload", f"{workload.name}: {workload.description}"),
        ("service level", result.slo or "none"),
        ("seed", str(result.seed)),
        ("started", env.at),
        ("selfhost", env.toolkit_version),
    ]
    parts: dict[str, Mapping[str, Any]] = {
        "machine": env.machine,
        "engine": env.engine,
        "model file": env.model_file,
        "client": env.client,
    }
    rest = [fact for name, values in parts.items() for fact in flat(name, values)]
    return [(name, value[:LONGEST_FACT]) for name, value in [*first, *rest][:MOST_FACTS]]


def model_name(text: str) -> str:
    """The model's name for a heading: of a file's path, the file; any other name as it is."""
    return text.rpartition("/")[2] or text if text.startswith(("/", "./", "~")) else text


def moment(text: str) -> str:
    """An ISO time as ``2026-11-23 14:05 UTC``; any other text as it is."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if at.tzinfo else f"{at:%Y-%m-%d %H:%M}"


def flat(name: str, value: object) -> Iterator[tuple[str, str]]:
    """A nested value as (dotted name, text); unknown and empty values are left out; bytes read as GiB."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from flat(f"{name} {str(key).replace('_', ' ')}".strip(), inner)
    elif isinstance(value, list | tuple):
        if value and all(isinstance(inner, str | int | float) for inner in value):
            yield name, " ".join(map(str, value))
        else:
            for i, inner in enumerate(value, 1):
                yield from flat(f"{name} {i}" if len(value) > 1 else name, inner)
    elif name.endswith(" bytes") and isinstance(value, int):
        size = f"{words.significant(value / GIB)} GiB" if value >= GIB else f"{words.significant(value / MIB)} MiB"
        yield name.removesuffix(" bytes"), size
    elif isinstance(value, bool):
        yield name, "yes" if value else "no"
    elif value is not None and value != "":
        yield name, str(value)


def curve_words(cost: CostReport) -> str:
    """One sentence that reads the price-over-volume curve."""
    capacity = words.tokens(cost.capacity_tokens_per_day)
    spare = f" and {words.count(cost.spare, 'spare')}" if cost.spare else ""
    peak = "an even load" if cost.peak_ratio == 1 else f"peaks of {cost.peak_ratio:g} times the mean"
    return (
        f"One machine{spare} is paid for whether it is busy or not, so its price per token falls until it is full at "
        f"{capacity} tokens a day ({peak}); then the next one is needed. A dot marks where it undercuts an API."
    )
