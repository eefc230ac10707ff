"""What users send, from the words of `selfhost bench`: lengths, own prompts, shared beginnings, conversations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from toolkit.load.lengths import Pair
    from toolkit.types import Workload


def workload(
    name: str, given: str | None, made: str | None, lengths: Path | None, shared_per_cent: float | None
) -> tuple[Workload, tuple[Pair, ...]]:
    """The workload of that name with what was asked instead, and the pairs of lengths to draw from. InputError."""
    from toolkit import profiles
    from toolkit.errors import InputError
    from toolkit.load.lengths import listed_workload, parse, read_pairs, with_lengths

    if lengths is not None and (given is not None or made is not None):
        raise InputError("lengths come from a file or from a distribution, not from both", "Leave one of them out.")
    found = profiles.workload(name)
    found = with_lengths(found, parse(given) if given else None, parse(made) if made else None)
    if shared_per_cent is not None:
        if not 0 <= shared_per_cent <= 100:
            raise InputError(f"a shared prefix of {shared_per_cent:g} % is not between 0 and 100")
        found = found.model_copy(update={"shared_prefix_share": shared_per_cent / 100})
    if lengths is None:
        return found, ()
    pairs = tuple(read_pairs(lengths))
    return listed_workload(found, pairs), pairs


def fields(
    prompts: Path | None, pairs: tuple[Pair, ...], unique: bool | None, turns: int, think_s: float
) -> dict[str, Any]:
    """Fields of a `BenchSpec` about what is said. Raises InputError."""
    from toolkit.errors import InputError
    from toolkit.load.own_prompts import read_own_prompts

    if prompts is not None and pairs:
        raise InputError("own prompts have lengths of their own", "Leave the file of lengths out.")
    return {
        "own_prompts": read_own_prompts(prompts) if prompts is not None else (),
        "pairs": pairs,
        "unique": unique,
        "turns": turns,
        "think_s": think_s,
    }
