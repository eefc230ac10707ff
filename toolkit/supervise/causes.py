"""What an exit means: from a code or signal and the last words of the log to one sentence. Pure.

The patterns are the engines' own messages (llama.cpp `common/arg.cpp`, `llama-model-loader.cpp`; vLLM's
argument parser and worker start; CUDA's runtime), matched in the last part of the log.
"""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass


@dataclass(frozen=True)
class Diagnosis:
    """``sentence`` for the reader; ``final`` when no restart can mend it."""

    sentence: str
    final: bool


_FINAL = (
    (
        r"unrecognized arguments?:|error: invalid argument|unknown argument|error: argument .*: invalid",
        "the engine does not accept its arguments",
    ),
    (
        r"invalid magic|data is not within (the )?file bounds|model is corrupted or incomplete"
        r"|failed to read key|gguf_init_from_file\w*: failed",
        "the model file is damaged or no model; fetch it again",
    ),
    (
        r"unknown model architecture|unsupported model architecture|are not supported for now",
        "this engine does not know the model's architecture; a newer version may",
    ),
    (
        r"no CUDA-capable device|No CUDA GPUs are available|NVML: Driver/library version mismatch|"
        r"GPU is lost|fell off the bus",
        "the GPU is not there any more; check the driver (nvidia-smi) and the device",
    ),
    (r"No such file or directory.*\.gguf|failed to open .*\.gguf", "the model file is not there"),
)

_PASSING = (
    (
        r"out of memory|OutOfMemoryError|cudaMalloc failed|failed to allocate|unable to allocate"
        r"|No available memory for the cache blocks|larger than the available KV cache memory",
        "it ran out of memory; a smaller context or fewer requests at once need less",
    ),
    (r"[Aa]ddress already in use|couldn't bind|failed to bind", "its port was taken by another process"),
)


def diagnose(code: int | None, signum: int | None, log_tail: str) -> Diagnosis | None:
    """What the exit means where the log or the signal tells; None when they do not."""
    if signum == signal.SIGILL:
        return Diagnosis(
            "the engine used a CPU instruction that this machine does not have; compile it on this machine",
            final=True,
        )
    if code in (126, 127):
        return Diagnosis("the engine's program cannot be run; install it again", final=True)
    for patterns, final in ((_FINAL, True), (_PASSING, False)):
        for pattern, sentence in patterns:
            if re.search(pattern, log_tail):
                return Diagnosis(sentence, final)
    return None


def reason_of(code: int | None, signum: int | None) -> str:
    """``signal:9`` or ``exit:1``; ``gone`` when nobody could tell."""
    if signum is not None:
        return f"signal:{signum}"
    return "gone" if code is None else f"exit:{code}"


def label(reason: str) -> str:
    """The short form of a reason, for a metric: ``signal:9``, ``exit:1``, ``hung``, ``wrong model``."""
    match = re.match(r"(signal|exit):\d+", reason)
    return match.group(0) if match else reason.partition(":")[0]
