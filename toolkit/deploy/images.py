"""The engines' published images, pinned to a release.

A plan's memory is computed for one release of vLLM, so its image is of that release; a release that is not listed is
refused rather than replaced.

Sources: vLLM's releases as PyPI listed them on 2026-11-30, each of which it publishes as ``vllm/vllm-openai:vX.Y.Z``
too; Ray's images as seen in use in public repositories on that day, and the vLLM inside as Ray's own ``llm`` extra
pins it; llama.cpp's build as seen on 2026-11-24.
"""

from __future__ import annotations

from typing import NamedTuple

from toolkit.errors import InputError
from toolkit.types import LaunchPlan

VLLM_REPOSITORY = "vllm/vllm-openai"
VLLM_RELEASES = (
    *("0.10.0", "0.10.1", "0.10.2", "0.11.0", "0.11.1", "0.11.2", "0.12.0", "0.13.0", "0.14.0", "0.14.1"),
    *("0.15.0", "0.15.1", "0.16.0", "0.17.0", "0.17.1", "0.18.0", "0.18.1", "0.19.0", "0.19.1"),
    *("0.20.0", "0.20.1", "0.20.2", "0.21.0", "0.22.0", "0.22.1", "0.23.0", "0.24.0", "0.25.0", "0.25.1"),
    *("0.26.0", "0.27.0", "0.27.1", "0.28.0", "0.29.0", "0.30.0", "0.31.0", "0.32.0", "0.33.0"),
)
"""Oldest first; the program inside is `vllm serve`, for CUDA only."""
LLAMA_CPU = "ghcr.io/ggml-org/llama.cpp:server-b11206"
LLAMA_CUDA = "ghcr.io/ggml-org/llama.cpp:server-cuda-b11206"
LLAMA_PROGRAM = "/app/llama-server"


class Ray(NamedTuple):
    """A release of Ray, its image, and the vLLM inside."""

    version: str
    vllm: str

    @property
    def image(self) -> str:
        """Of Ray's own making, for CUDA 13."""
        return f"rayproject/ray-llm:{self.version}-py312-cu130"


RAY = (Ray("2.56.0", "0.22.0"), Ray("2.57.0", "0.25.1"), Ray("2.58.0", "0.26.0"))


def release(plan: LaunchPlan) -> str | None:
    """The vLLM release that a plan was made for: the memory plan's, whose figures depend on it."""
    text = (plan.memory.engine_version if plan.memory else None) or plan.engine_version or ""
    return text.partition("+")[0] or None


def _is(wanted: str, known: str) -> bool:
    """Whether a release is the one asked for, or the one asked for names only its first two numbers."""
    return known == wanted or (wanted.count(".") == 1 and known.rpartition(".")[0] == wanted)


def vllm(plan: LaunchPlan) -> str:
    """The image of the plan's release; the newest patch of it where the plan names no patch.

    Raises:
        InputError: a release without a known image; the hint lists those that have one.
    """
    wanted = release(plan)
    found = [known for known in VLLM_RELEASES if wanted and _is(wanted, known)]
    if not found:
        named = f"vLLM {wanted}" if wanted else "a vLLM release that it does not name"
        minors = list(dict.fromkeys(known.rpartition(".")[0] for known in VLLM_RELEASES))
        raise InputError(
            f"this plan was made for {named}, and no image of that release is known",
            f"plan again with an engine version from {minors[0]} to {minors[-1]}.",
        )
    return f"{VLLM_REPOSITORY}:v{found[-1]}"


def ray(plan: LaunchPlan) -> Ray:
    """The release of Ray whose image holds the plan's vLLM.

    Raises:
        InputError: none does; the hint lists the releases of vLLM that one holds.
    """
    wanted = release(plan)
    found = [known for known in RAY if wanted and _is(wanted, known.vllm)]
    if not found:
        held = ", ".join(known.vllm.rpartition(".")[0] for known in RAY)
        raise InputError(
            f"no known image of Ray holds the vLLM that this plan was made for ({wanted or 'unnamed'})",
            f"plan again with one of these engine versions, which one holds: {held}; memory differs by release.",
        )
    return found[-1]


def llama(gpus: int) -> str:
    """llama.cpp's image, with CUDA or without."""
    return LLAMA_CUDA if gpus else LLAMA_CPU
