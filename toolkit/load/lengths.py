"""How long prompts and answers are: distributions in words, their draws, and lengths from a file."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist, fmean, pstdev
from typing import Any

from toolkit.errors import InputError
from toolkit.load.table import number_of, read_table
from toolkit.types import Lengths, Workload

MAX_TOKENS = 1_000_000
MOST_PAIRS = 100_000
INPUT_NAMES = (
    "input_tokens",
    "prompt_tokens",
    "input_length",
    "ContextTokens",
    "Request tokens",
    "input",
    "prompt_len",
)
OUTPUT_NAMES = (
    "output_tokens",
    "completion_tokens",
    "output_length",
    "GeneratedTokens",
    "Response tokens",
    "output",
    "output_len",
)
"""What input and output tokens are called: OpenAI's usage, Mooncake's, Azure's and BurstGPT's traces, plain words."""
_EXAMPLE = "Write it like 200, uniform:100:300, normal:200:50 or lognormal:200:150."

Pair = tuple[int | None, int | None]


def parse(text: str) -> Lengths:
    """``200``, ``uniform:LOW:HIGH``, ``normal:MEAN:STDEV``, ``lognormal:MEAN:STDEV``. Raises InputError."""
    shape, *rest = text.strip().split(":")
    if not rest:
        shape, rest = "fixed", [shape]
    try:
        numbers = [float(part.replace(",", "").replace("_", "")) for part in rest]
    except ValueError:
        raise InputError(f"a length of {text!r} is not a number of tokens", _EXAMPLE) from None
    if shape not in ("fixed", "uniform", "normal", "lognormal") or len(numbers) != (1 if shape == "fixed" else 2):
        raise InputError(f"{text!r} is not a distribution of lengths", _EXAMPLE)
    first, second = numbers[0], numbers[-1]
    if not 1 <= first <= MAX_TOKENS or not 0 <= second <= MAX_TOKENS:
        raise InputError(f"a length of {text} tokens is not between 1 and {MAX_TOKENS:,}", _EXAMPLE)
    if shape == "fixed":
        return Lengths(mean=first)
    if shape == "uniform":
        if second < first:
            raise InputError(f"{text!r} ends before it begins", _EXAMPLE)
        return Lengths(shape="uniform", mean=(first + second) / 2, min=math.floor(first), max=math.ceil(second))
    return Lengths(shape=shape, mean=first, stdev=second, max=MAX_TOKENS)


def with_lengths(workload: Workload, given: Lengths | int | None, made: Lengths | int | None) -> Workload:
    """The same workload with other lengths where given; a number is a fixed length."""
    changes: dict[str, Any] = {}
    for name, lengths in (("input_tokens", given), ("output_tokens", made)):
        if isinstance(lengths, int):
            changes[name] = parse(str(lengths))
        elif lengths is not None:
            changes[name] = lengths
    return workload.model_copy(update=changes)


def draw_lengths(lengths: Lengths, n: int, seed: str) -> list[int]:
    """``n`` token counts of a distribution, one from each of its n equal slices, in an order drawn from ``seed``.

    Slices instead of free draws: the mean of a short run is then the distribution's own. ``mean`` and ``stdev`` are
    those of the distribution before clamping.
    """
    if lengths.shape == "listed":
        raise InputError("lengths that are listed in a file cannot be drawn from their description")
    values = [_quantile(lengths, (i + 0.5) / n) for i in range(n)]
    random.Random(seed).shuffle(values)
    most = lengths.max if lengths.max is not None else max(lengths.min, 1 << 20)
    return [min(max(round(v), lengths.min), most) for v in values]


def _quantile(lengths: Lengths, q: float) -> float:
    mean, stdev = lengths.mean, lengths.stdev
    if lengths.shape == "fixed" or (stdev == 0 and lengths.shape != "uniform"):
        return mean
    if lengths.shape == "uniform":
        low, high = mean - 3**0.5 * stdev, mean + 3**0.5 * stdev
        if stdev == 0 and lengths.max is not None:
            low, high = lengths.min, lengths.max
        return low + q * (high - low)
    if lengths.shape == "normal":
        return NormalDist(mean, stdev).inv_cdf(q)
    # lognormal with that mean and standard deviation: sigma² = ln(1 + (s/m)²), mu = ln m − sigma²/2
    variance = math.log(1 + (stdev / mean) ** 2)
    return math.exp(NormalDist(math.log(mean) - variance / 2, math.sqrt(variance)).inv_cdf(q))


# --- from a file ---


def read_pairs(file: Path) -> list[Pair]:
    """Input and output tokens of each row of a JSONL or CSV file. Raises InputError."""
    rows = read_table(file, MOST_PAIRS)
    pairs = [pair_of(row, f"{file}, row {i}") for i, row in enumerate(rows, 1)]
    if not any(given is not None for given, _ in pairs):
        known = f"{' or '.join(INPUT_NAMES[:3])}, and {OUTPUT_NAMES[0]}"
        raise InputError(f"{file} has no column of token counts", f"Name the columns {known}.")
    return pairs


def pair_of(row: dict[str, Any], where: str) -> Pair:
    """Input and output tokens of one record, None where it has none. Raises InputError."""
    return _tokens(row, INPUT_NAMES, where), _tokens(row, OUTPUT_NAMES, where)


def _tokens(row: dict[str, Any], names: Sequence[str], where: str) -> int | None:
    name = next((name for name in names if row.get(name) not in (None, "")), None)
    if name is None:
        return None
    value = number_of(row[name])
    if value is None or not 1 <= value <= MAX_TOKENS:
        raise InputError(f"{where}: {name} {row[name]!r} is not between 1 and {MAX_TOKENS:,} tokens")
    return round(value)


def described(values: Sequence[int]) -> Lengths:
    """What can be told about given lengths."""
    return Lengths(shape="listed", mean=fmean(values), stdev=pstdev(values), min=min(values), max=max(values))


def listed_workload(workload: Workload, pairs: Sequence[Pair]) -> Workload:
    """The same workload with the lengths of a file told in its place."""
    given, made = [a for a, _ in pairs if a is not None], [b for _, b in pairs if b is not None]
    return with_lengths(workload, described(given) if given else None, described(made) if made else None)


def sample(pairs: Sequence[Pair], n: int, seed: str) -> list[Pair]:
    """``n`` of them, from equal slices by input length, so that a short run has the lengths of the whole file."""
    draw = random.Random(seed)
    ordered = sorted(pairs, key=lambda pair: (pair[0] or 0, pair[1] or 0))
    chosen = [ordered[min(len(ordered) - 1, int((i + draw.random()) * len(ordered) / n))] for i in range(n)]
    draw.shuffle(chosen)
    return chosen
