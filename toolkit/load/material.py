"""Which prompts a bench needs: the user's own, those of a trace, of listed lengths, or of the workload's lengths."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import fmean

from toolkit.load.lengths import draw_lengths, sample
from toolkit.load.prompts import BANK, Calibration, Count, Material, Prompt, bank, bank_of, own
from toolkit.load.spec import BenchSpec
from toolkit.load.trace import Trace

RATIO = 1.02
"""Requests of a trace share a prompt when their lengths differ by less: at most 1 % off the length in the trace."""
EXACT = 50
"""Below so many tokens every length has a prompt of its own."""

Planned = tuple[float, int | None, int | None]
"""Seconds from the start, prompt number, output tokens; None: in turn."""


def typical_tokens(spec: BenchSpec) -> float:
    """A prompt length to calibrate at."""
    pairs = spec.trace.lengths if spec.trace else spec.pairs
    given = [a for a, _ in pairs if a is not None]
    return fmean(given) if given else spec.workload.input_tokens.mean


def prompts_of(
    spec: BenchSpec, material: Material, calibration: Calibration, count: Count, in_time: Callable[[], bool]
) -> tuple[list[Prompt], list[Planned]]:
    """The prompts, and the trace that refers to them."""
    workload, seed = spec.workload, spec.seed
    times = [at / spec.trace.speed for at in spec.trace.at_s] if spec.trace else []
    plain: list[Planned] = [(at, None, None) for at in times]
    if spec.own_prompts:
        return own(spec.own_prompts, workload, seed), plain
    if spec.trace is not None and spec.trace.lengths:
        lengths, numbers = buckets(spec.trace, _fill(spec))
        prompts = bank_of(lengths, workload.shared_prefix_share, material, seed, calibration, count, in_time)
        made = [pair[1] for pair in spec.trace.lengths]
        return prompts, list(zip(times, numbers, made, strict=True))
    if spec.pairs:
        fill = _fill(spec)
        lengths = [(a or fill[0], b or fill[1]) for a, b in sample(spec.pairs, BANK, f"{seed}-pairs")]
        return bank_of(lengths, workload.shared_prefix_share, material, seed, calibration, count, in_time), plain
    return bank(workload, material, seed, calibration, count, in_time), plain


def buckets(trace: Trace, fill: tuple[int, int]) -> tuple[list[tuple[int, int]], list[int]]:
    """A length for each group of similar input lengths, and the group of each request."""
    of: dict[int, int] = {}
    lengths: list[tuple[int, int]] = []
    numbers = []
    for given, _made in trace.lengths:
        tokens = given or fill[0]
        key = tokens if tokens < EXACT else EXACT + round(math.log(tokens / EXACT) / math.log(RATIO))
        if key not in of:
            of[key] = len(lengths)
            lengths.append((tokens if tokens < EXACT else round(EXACT * RATIO ** (key - EXACT)), fill[1]))
        numbers.append(of[key])
    return lengths, numbers


def _fill(spec: BenchSpec) -> tuple[int, int]:
    """Lengths where a row has none: the typical ones."""
    out = spec.workload.output_tokens
    return round(typical_tokens(spec)), round(out.mean) if out.shape == "listed" else draw_lengths(out, 1, "fill")[0]
