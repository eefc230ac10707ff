"""Which speed a cost rests on, from what was given: one bench, repeated ones, ones of different shapes, or a word."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.errors import InputError

if TYPE_CHECKING:
    from toolkit.cost.goodput import Goodput
    from toolkit.cost.split import Split
    from toolkit.types import BenchResult, DeployFolder


def deployed(paths: Sequence[Path]) -> tuple[DeployFolder | None, list[Path]]:
    """The folder that `deploy` wrote among the paths, whose replicas and hardware are to be priced, and the others.

    Raises:
        InputError: two such folders.
    """
    from toolkit.cli.deployed import deployment

    found = [(path, deployment(str(path))) for path in paths]
    folders = [about for _, about in found if about is not None]
    if len(folders) > 1:
        raise InputError("two deployments were given", "Price one at a time.")
    return (folders[0] if folders else None), [path for path, about in found if about is None]


def read_results(paths: Sequence[Path]) -> list[BenchResult]:
    """Bench results that may be priced together.

    Raises:
        InputError: one cannot be read, is given twice, or is of another model, machine or service level.
    """
    from toolkit.cli.pipeline import read_document
    from toolkit.types import BenchResult

    files = [path / "result.json" if path.is_dir() else path for path in paths]
    twice = next((file for i, file in enumerate(files) if file.resolve() in [f.resolve() for f in files[:i]]), None)
    if twice is not None:
        raise InputError(f"{twice} was given twice", "A run says nothing new the second time.")
    found: list[BenchResult] = [read_document(file, BenchResult) for file in files]
    copied = next((file for i, file in enumerate(files) if found[i] in found[:i]), None)
    if copied is not None:
        raise InputError(f"{copied} is a copy of another of these results", "A run says nothing new the second time.")
    _alike("models", [result.model for result in found], "Give those of one model.")
    _alike("machines", [_machine(result) for result in found], "Give those of one machine.")
    _alike("service levels", [result.slo or "none" for result in found], "Good tokens of one are not good of another.")
    return found


def _alike(what: str, values: Sequence[str], hint: str) -> None:
    if len(set(values)) > 1:
        raise InputError(f"these results are of different {what}: {', '.join(sorted(set(values)))}", hint)


def _machine(result: BenchResult) -> str:
    """Its devices, or its cores, in words."""
    machine = result.environment.machine
    gpus = [str(gpu.get("name", "") if isinstance(gpu, dict) else gpu) for gpu in machine.get("gpus") or ()]
    cores = machine.get("usable_cores") or machine.get("cores")
    return " + ".join(gpus) or (f"{cores} cores" if cores else "unknown")


def split_of(measured: Sequence[BenchResult], allow_invalid: bool) -> Split | None:
    """Cost per kind of token, when results of several shapes were given; None for one, or for repetitions of one."""
    from toolkit.cost.goodput import chosen_level
    from toolkit.cost.split import Run, fit, shapes

    if len(measured) < 2:
        return None
    levels = [chosen_level(result, allow_invalid) for result in measured]
    if any(min(lv.input_tok_s, lv.output_tok_s) < 0 or lv.input_tok_s + lv.output_tok_s <= 0 for lv in levels):
        raise InputError("one of these results has no tokens per second: that is no measurement", "Measure it again.")
    held = [lv.server.prefix_hit_share if lv.server else None for lv in levels]
    told = None not in held
    runs = [
        Run(Decimal(str(lv.input_tok_s)), Decimal(str(lv.output_tok_s)), Decimal(str(share if told else 0)))
        for lv, share in zip(levels, held, strict=True)
    ]
    return None if shapes(runs) == 1 else fit(runs)


def speed_of(
    measured: Sequence[BenchResult],
    goodput: float | None,
    share: Decimal | None,
    allow_invalid: bool,
    split: Split | None,
) -> Goodput:
    """The speed stated, measured, repeated or fitted.

    Raises:
        InputError: there is none.
        DeclinedError: a result that is not valid.
    """
    from toolkit.cost import goodput as speeds

    if goodput is not None:
        return speeds.stated(measured[0], goodput, share) if measured else speeds.assumed(goodput, share)
    if not measured:
        raise InputError(
            "there is no speed to price",
            "Give the result of `selfhost bench` (its folder or result.json), or --goodput TOKENS_PER_SECOND.",
        )
    if len(measured) == 1:
        return speeds.measured(measured[0], share, allow_invalid)
    if split is None:
        return speeds.repeated([speeds.measured(result, None, allow_invalid) for result in measured], share)
    return speeds.fitted([speeds.measured(result, None, allow_invalid) for result in measured], split, share)
