"""What a server of this machine was expected to do, beside what a bench measured of it; and what benches teach."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from toolkit.errors import DeclinedError, SelfhostError

if TYPE_CHECKING:
    from pathlib import Path

    from toolkit.predict.corrected import Point
    from toolkit.predict.here import Found
    from toolkit.types import BenchResult, Level, MemoryPlan, Prediction

LOOKED_AT = 20
"""Of the benches of a model, the newest this many are looked at."""


def expected(result: BenchResult, name: str, folder: Path) -> BenchResult:
    """The result with a prediction for each number of users, where the served name's plan tells the configuration.

    The prediction is the uncorrected one: what is measured is held against the model alone. A machine whose speed
    cannot be judged leaves the result as it is.
    """
    from toolkit.cli.output import note
    from toolkit.load.files import write_result
    from toolkit.supervise import store

    levels = [lv for lv in result.levels if lv.concurrency and lv.completed]
    if not levels or result.prediction is not None:
        return result
    try:
        spec = store.folder_of(name).read_spec()
        if spec is None or spec.plan.memory is None:
            return result
        found = _predictions(spec.plan.memory, spec.plan.model_path, spec.plan.backend, levels)
    except SelfhostError as error:
        note(f"nothing was predicted of this server: {error.message}")
        return result
    result = result.model_copy(update={"predictions": found})
    write_result(folder, result)
    return result


def _predictions(memory: MemoryPlan, path: str | None, backend: str, levels: Sequence[Level]) -> tuple[Prediction, ...]:
    from toolkit.cli.speed import facts_and_quant
    from toolkit.predict import formats, hardware
    from toolkit.predict.answer import predict
    from toolkit.predict.layout import question

    try:
        facts, _ = facts_and_quant(memory.model, None)
    except SelfhostError:
        facts, _ = facts_and_quant(path or memory.model, None)
    device = _device(memory)
    if device.gpu is None:
        raise DeclinedError(f"{device.name}: {device.why_not}")
    fmt, engine = formats.parse(memory.quant), hardware.of_engine(backend, memory.engine_version)
    found = []
    for level in levels:
        q = question(
            facts,
            fmt,
            hardware.of_gpu(device.gpu),
            engine,
            1 if device.gpu.device_class == "cpu" else len(memory.devices),
            tp=memory.tp if memory.engine == "vllm" else None,
            input_len=max(1, round(level.input_tokens / level.completed)),
            output_len=max(1, round(level.output_tokens / level.completed)),
            concurrency=level.concurrency,
        )
        found.append(predict(q))
    return tuple(found)


def _device(memory: MemoryPlan) -> Found:
    """The device of this machine that the plan was made for."""
    from toolkit import profiles
    from toolkit.predict import here

    name = memory.devices[0].name
    if name == "CPU":
        return here.processor()
    known = [found for found in here.gpus() if found.gpu is not None]
    wanted = profiles.gpu(name).name
    return next((found for found in known if found.name == wanted), here.Found(name, 1, None, "it is not seen here"))


def learned(model: str) -> tuple[Point, ...]:
    """What the benches kept on this machine say of a model, newest first."""
    from toolkit.load import history
    from toolkit.predict import corrected

    points: list[Point] = []
    looked = 0
    for card in history.runs():
        if looked == LOOKED_AT or not card.valid:
            continue
        try:
            result = history.document(card)
        except SelfhostError:
            continue
        known = (*result.predictions, *((result.prediction,) if result.prediction else ()))
        if any(p.model == model for p in known):
            looked += 1
            told = f"the bench of {card.at[:16].replace('T', ' ')}{f' ({card.label})' if card.label else ''}"
            points += corrected.points(result, told)
    return tuple(points)
