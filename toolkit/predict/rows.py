"""A row of a published measurement, read for its configuration only: what was measured is never looked at."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from toolkit.errors import DeclinedError, InputError
from toolkit.predict import facts, formats, hardware
from toolkit.predict.facts import ModelFacts
from toolkit.predict.hardware import DeviceFacts, EngineFacts
from toolkit.predict.layout import check_weights
from toolkit.predict.physics import MEMORY_SHARE, Question
from toolkit.types import Gpu

READ = (
    "engine", "version", "model", "params_b", "active_params_b", "quantization", "gpu_canonical", "n_gpus", "tp", "pp",
    "input_len", "output_len", "concurrency", "regime",
)  # fmt: skip
"""The only fields that are read."""

MOST = {
    "n_gpus": 100_000, "tp": 100_000, "pp": 100_000, "concurrency": 1_000_000, "input_len": 100_000_000,
    "output_len": 100_000_000, "params_b": 1_000_000, "active_params_b": 1_000_000,
}  # fmt: skip
"""Largest value of each numeric field (devices, requests, tokens, thousand millions of parameters): beyond it a row is
a slip of the pen. Concurrency as on the command line."""

FAR_TOO_LARGE = 2.0
"""Weights over the memory of a row's devices from which no other format explains that it ran. Below it a row is
answered: a published 16-bit figure may be of an 8-bit copy, and llama.cpp leaves some layers in host memory."""


def question(row: Mapping[str, Any], gpu: Callable[[str], Gpu], model: Callable[[str], ModelFacts | None]) -> Question:
    """The configuration of a row. ``gpu`` and ``model`` look profiles up; the latter gives None for unknown names.

    Raises:
        DeclinedError: no device, no model size, no bandwidth on record, or weights far beyond the devices' memory.
        InputError: an unknown device or format, a field of the wrong type, or more ranks than devices.
    """
    row = {key: _stated(row.get(key)) for key in READ}
    name = row["gpu_canonical"]
    if not isinstance(name, str):
        raise DeclinedError("the row names no device")
    record = gpu(name)
    device = hardware.of_gpu(record)
    engine = hardware.of_engine(_text(row, "engine"), _text(row, "version"), device)
    fmt = formats.parse(_text(row, "quantization"))
    spec = _model(row, model)
    if not row["quantization"] and spec.all_bytes(fmt) > MEMORY_SHARE * _devices(row) * device.memory_bytes:
        fmt = formats.parse("fp8")
    if record.visible_gib or record.vram_gib:
        check_weights(spec, fmt, device, _devices(row), FAR_TOO_LARGE)
    concurrency = _concurrency(row)
    tp, pp, copies = _layout(row, engine, device, spec.all_bytes(fmt), concurrency)
    lengths = _number(row, "input_len"), _number(row, "output_len")
    at_most, uniform = _in_all(row, engine, lengths)
    attention = tp if spec.experts and _from_table(row, engine) and engine.era == "new" and pp == 1 else 1
    return Question(
        spec,
        fmt,
        device,
        engine,
        tp,
        pp,
        copies,
        *lengths,
        concurrency,
        at_most,
        uniform=uniform,
        attention=attention,
        ran=True,
    )


def _stated(value: object) -> object:
    """None for what is not stated: an empty text, or NaN, which other programs write for it."""
    if isinstance(value, float):
        return None if math.isnan(value) else value
    blank = isinstance(value, str) and value.strip().lower() in ("", "none", "null", "nan", "n/a")
    return None if blank else value


def _model(row: Mapping[str, Any], find: Callable[[str], ModelFacts | None]) -> ModelFacts:
    name = _text(row, "model") or "model"
    known = find(name)
    if known is not None:
        return known
    params = _number(row, "params_b")
    if not params:
        sizes = facts.sizes_in_name(name)
        if sizes is None:
            raise DeclinedError(f"the size of {name} is not known: neither a profile nor params_b")
        return facts.of_params(name, *sizes)
    return facts.of_params(name, params, _number(row, "active_params_b") or None)


def _concurrency(row: Mapping[str, Any]) -> int | None:
    """Requests at once; None is the most it carries, which words mean, and nothing stated unless one stream was run."""
    value = row["concurrency"]
    if isinstance(value, str) or value is None:
        return 1 if row["regime"] == "single" else None
    number = _number(row, "concurrency") or 0
    if number < 1:
        raise InputError(f"concurrency is {value!r}; it must be at least 1")
    return round(number)


TABLE_REQUESTS: dict[tuple[float | None, float | None], int] = {
    (128, 128): 30_000, (128, 2048): 3_000, (128, 4096): 1_500, (2048, 128): 3_000, (2048, 2048): 1_500,
    (1000, 1000): 3_000, (1024, 1024): 3_000, (1024, 8192): 1_500, (8192, 1024): 1_500,
}  # fmt: skip
"""Input and output length → requests in all of NVIDIA's `max throughput` tables: TensorRT-LLM's perf-overview pages of
0.9 to 1.2, "Preparing a Dataset" (1000/1000 as 1024/1024, which took its place)."""


def _from_table(row: Mapping[str, Any], engine: EngineFacts) -> bool:
    """Whether a row is of the tables that NVIDIA makes with its `trtllm-bench`."""
    return engine.family == "tensorrt-llm" and row["concurrency"] == "max throughput"


def _in_all(
    row: Mapping[str, Any], engine: EngineFacts, lengths: tuple[float | None, float | None]
) -> tuple[int | None, bool]:
    """How many requests a load in words has, and whether their answers are of one length.

    `all 1000 at once` and `1000 ShareGPT` are real conversations, `max throughput (64 parallel)` made-up ones.
    """
    if _from_table(row, engine):
        return TABLE_REQUESTS.get(lengths), True
    text = row["concurrency"] if isinstance(row["concurrency"], str) else ""
    found = re.search(r"(?<![0-9.,])([0-9]+(?:,[0-9]{3})*) (at once|parallel|ShareGPT)", text)
    if not found:
        return None, True
    digits, most = found[1].replace(",", ""), MOST["concurrency"]
    number = int(digits) if len(digits) < 10 else most + 1
    if not 1 <= number <= most:
        raise InputError(f"concurrency is {text[:60]!r}; it must be from 1 to {most:,} requests")
    return number, found[2] == "parallel"


def _devices(row: Mapping[str, Any]) -> int:
    """Devices of a row: as stated, else one for each of its ranks.

    Raises:
        InputError: it states more ranks than devices.
    """
    ranks = (_count(row, "tp") or 1) * (_count(row, "pp") or 1)
    stated = _count(row, "n_gpus")  # 0 is a CPU: no GPU, one device
    if stated is not None and ranks > max(1, stated):
        raise InputError(f"tp × pp is {ranks} ranks, and n_gpus is {stated}", "a rank needs a device of its own.")
    return max(1, stated or ranks)


def _layout(
    row: Mapping[str, Any], engine: EngineFacts, device: DeviceFacts, weights: float, concurrency: int | None
) -> tuple[int, int, int]:
    """Tensor ranks, stages, copies. llama.cpp gives each device some layers; servers share every layer.

    A model that does not fit the stated ranks shares all devices (its experts do, where attention runs in copies).
    """
    devices = _devices(row)
    pp = _count(row, "pp") or 1
    stated = _count(row, "tp")
    if engine.family in ("llama.cpp", "exllama"):
        return 1, devices, 1
    tp = stated or devices
    if not stated and concurrency is None:
        tp = 1
        while tp < devices and weights > 0.8 * MEMORY_SHARE * tp * device.memory_bytes:
            tp *= 2
    if weights > MEMORY_SHARE * tp * pp * device.memory_bytes:
        tp = max(tp, devices // pp)
    return tp, pp, max(1, devices // (tp * pp))


def _text(row: Mapping[str, Any], key: str) -> str | None:
    value = row[key]
    if isinstance(value, int | float) and not isinstance(value, bool):  # a version 0.9 that was read as a number
        return str(value)
    if value is not None and not isinstance(value, str):
        raise InputError(f"{key} is {value!r}; it must be text")
    return value


def _count(row: Mapping[str, Any], key: str) -> int | None:
    number = _number(row, key)
    if number is not None and number != int(number):
        raise InputError(f"{key} is {row[key]!r}; it must be a whole number")
    return None if number is None else int(number)


def _number(row: Mapping[str, Any], key: str) -> float | None:
    value = row[key]
    if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,9}(\.[0-9]{1,6})?\s*", value):
        value = float(value)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{key} is {repr(value)[:60]}; it must be a number")
    if not 0 <= value <= MOST[key]:
        raise InputError(f"{key} is {repr(value)[:60]}; it must be from 0 to {MOST[key]:,}")
    return float(value)
