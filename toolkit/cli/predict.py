"""`selfhost predict`: expected speed of one configuration, or of every row of a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from toolkit.cli import options as o

if TYPE_CHECKING:
    from toolkit.errors import SelfhostError
    from toolkit.types import DeclinedPrediction, Prediction

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

LINE_MAX, ROWS_MAX = 2**20, 1_000_000
BESIDE_ROWS = ("from_file", "as_json")
"""What may be said beside a file of configurations; everything else would be ignored."""


@app.command()
def predict(
    context: typer.Context,
    model: str | None = typer.Argument(None, help="Profile name, a .gguf file, or a folder with config.json."),
    gpu: str | None = typer.Option(None, help="Device as NAME or NAME:COUNT."),
    tp: o.Tp = None,
    quant: str | None = typer.Option(
        None, help="Weight format: bf16, fp8, awq, nvfp4, q4_k_m, … Default: the model's."
    ),
    engine: str | None = typer.Option(
        None, help="vllm, llama.cpp, sglang, tensorrt-llm, … Default: llama.cpp for GGUF formats, else vllm."
    ),
    engine_version: str | None = typer.Option(None, help="Release or year; software of 2024 and before is slower."),
    input_len: int = typer.Option(512, min=1, help="Prompt tokens per request."),
    output_len: int = typer.Option(256, min=1, help="Answer tokens per request."),
    concurrency: str = typer.Option("1", help="Requests at the same time, or max."),
    bandwidth_gbs: float | None = typer.Option(None, help="Described device: memory bandwidth, GB/s."),
    fp16_tflops: float | None = typer.Option(None, help="Described device: dense FP16 TFLOPS."),
    vram_gib: float | None = typer.Option(None, help="Described device: memory, GiB."),
    link_gbs: float | None = typer.Option(None, help="Described device: link between devices, GB/s both ways."),
    here: bool = typer.Option(False, "--here", help="This machine: its GPU, or its processor, measured for a moment."),
    measured: bool = typer.Option(
        True, "--measured/--no-measured", help="Correct by the benches of this model and engine that ran here."
    ),
    from_file: Path | None = typer.Option(None, "--from", help="A JSONL file of configurations; one answer a line."),
    as_json: o.Json = False,
) -> None:
    """Expected tokens/s and latency of one configuration, with interval and ceiling.

    Exit status 1 when the model does not fit the devices. With --from, every row gets one line of JSON.
    """
    from toolkit.errors import InputError

    if from_file is not None:
        _nothing_beside(context)
        for answer in from_rows(from_file):
            print(answer.model_dump_json())
        return
    if tp is not None and tp < 1:
        raise InputError(f"tp is {tp}; it must be at least 1")
    if model is None:
        raise InputError("no model is named", "`selfhost models` lists the known ones.")
    from toolkit.cli.bench_expect import learned
    from toolkit.cli.output import emit
    from toolkit.cli.speed import device, facts_and_quant, this_machine
    from toolkit.predict import formats, hardware
    from toolkit.predict.answer import predict as answer_for
    from toolkit.predict.corrected import correct
    from toolkit.predict.layout import question
    from toolkit.report.predict import render

    facts, quant_name = facts_and_quant(model, quant)
    if here:
        record, count = this_machine(gpu, bandwidth_gbs, fp16_tflops, vram_gib, link_gbs)
    else:
        record, count = device(gpu, bandwidth_gbs, fp16_tflops, vram_gib, link_gbs)
    fmt = formats.parse(quant_name)
    default = "llama.cpp" if fmt.kind == "gguf" else "vllm"
    q = question(
        facts,
        fmt,
        hardware.of_gpu(record),
        hardware.of_engine(engine or default, engine_version),
        count,
        tp=tp,
        input_len=input_len,
        output_len=output_len,
        concurrency=_concurrency(concurrency),
    )
    prediction = answer_for(q)
    if measured:
        prediction = correct(prediction, learned(prediction.model))
    if as_json:
        emit(prediction)
    else:
        print(render(prediction))


def _nothing_beside(context: typer.Context) -> None:
    """Refuse what a file of configurations says for itself, line by line; no bench takes part there anyway.

    Raises:
        InputError: an option that would be ignored.
    """
    from toolkit.errors import InputError

    given = [
        name.replace("_", "-")
        for name, value in context.params.items()
        if (source := context.get_parameter_source(name)) is not None
        and source.name == "COMMANDLINE"
        and name not in BESIDE_ROWS
        and not (name == "measured" and value is False)
    ]
    if given:
        what = "names its own models and devices" if {"model", "gpu"} & set(given) else "says that on each line"
        raise InputError(f"a file of configurations {what}; {', '.join(given)} would be ignored", "leave it out.")


def _concurrency(text: str) -> int | None:
    """A whole number of requests, or ``max``, which is None."""
    from toolkit.cli.numbers import whole
    from toolkit.errors import InputError

    if text.lower() == "max":
        return None
    number = whole(text, 1_000_000)
    if number is None:
        raise InputError(
            f"a concurrency of {text!r} makes no sense", "give a whole number from 1 to 1,000,000, or max."
        )
    return number


def from_rows(file: Path) -> Iterator[Prediction | DeclinedPrediction]:
    """One answer per row of a JSONL file, in order; a row that cannot be answered says why.

    Raises:
        InputError: the file cannot be read, or a line is no JSON object.
    """
    from functools import cache

    from toolkit import profiles
    from toolkit.cli.speed import model_facts
    from toolkit.errors import SelfhostError
    from toolkit.predict import rows
    from toolkit.predict.answer import predict as answer_for
    from toolkit.types import DeclinedPrediction

    known = cache(model_facts)
    for row in list(_lines(file)):
        name = row.get("id")
        name = name if name is None or isinstance(name, str | int | float) else json.dumps(name)
        try:
            yield answer_for(rows.question(row, profiles.gpu, known)).model_copy(update={"id": name})
        except SelfhostError as error:
            yield DeclinedPrediction(id=name, declined=" ".join(_why(error).split()))
        except ArithmeticError as error:
            yield DeclinedPrediction(id=name, declined=f"these figures cannot be computed with: {error}")


def _why(error: SelfhostError) -> str:
    return f"{error.message}: {error.hint}" if error.hint else error.message


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    from toolkit.errors import InputError

    try:
        with file.open(encoding="utf-8-sig") as lines:  # some editors begin a file with a byte order mark
            for number, line in enumerate(iter(lambda: lines.readline(LINE_MAX + 1), ""), 1):
                if number > ROWS_MAX:
                    raise InputError(f"{file} has more than {ROWS_MAX:,} lines")
                if len(line.removesuffix("\n")) > LINE_MAX:
                    raise InputError(f"{file}, line {number} is longer than {LINE_MAX:,} characters")
                if line.strip():
                    yield _row(file, number, line)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(f"cannot read {file}: {why}") from None


def _row(file: Path, number: int, line: str) -> dict[str, Any]:
    from toolkit.errors import InputError

    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}, line {number}: no JSON: {error}") from None
    if not isinstance(row, dict):
        raise InputError(f"{file}, line {number}: no JSON object")
    return row
