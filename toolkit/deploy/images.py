"""The engines' published images, pinned. Each tag was seen in use in public repositories on the date given.

A plan's memory is computed for one release of vLLM, so its image is of that release; a release whose image is not
listed is refused rather than replaced.
"""

from __future__ import annotations

from toolkit.errors import InputError
from toolkit.types import LaunchPlan

CHECKED = "2026-11-24"
VLLM = {
    (0, 19): "vllm/vllm-openai:v0.19.1",
    (0, 21): "vllm/vllm-openai:v0.21.0",
    (0, 26): "vllm/vllm-openai:v0.26.0",
    (0, 32): "vllm/vllm-openai:v0.32.0",
}
"""Release → image. Its program is `vllm serve`; CUDA only."""
LLAMA_CPU = "ghcr.io/ggml-org/llama.cpp:server-b11206"
LLAMA_CUDA = "ghcr.io/ggml-org/llama.cpp:server-cuda-b11206"
LLAMA_PROGRAM = "/app/llama-server"
RAY_LLM = "rayproject/ray-llm:2.58.0-py312-cu130"
RAY_VERSION = "2.58.0"
RAY_VLLM = (0, 26)
"""The release of vLLM inside `RAY_LLM` (0.26.0)."""


def release(plan: LaunchPlan) -> tuple[int, int] | None:
    """The vLLM release that a plan was made for: the memory plan's, whose figures depend on it."""
    text = (plan.memory.engine_version if plan.memory else None) or plan.engine_version or ""
    parts = text.partition("+")[0].split(".")
    return (int(parts[0]), int(parts[1])) if len(parts) >= 2 and all(p.isdigit() for p in parts[:2]) else None


def vllm(plan: LaunchPlan) -> str:
    """The image of the plan's release.

    Raises:
        InputError: a release without a known image; the hint lists those that have one.
    """
    found = release(plan)
    if found not in VLLM:
        known = ", ".join(f"{a}.{b}" for a, b in VLLM)
        wanted = f"vLLM {found[0]}.{found[1]}" if found else "a vLLM release that it does not name"
        raise InputError(
            f"this plan was made for {wanted}, and no image of that release is known",
            f"plan again with one of these engine versions: {known}.",
        )
    return VLLM[found]


def llama(gpus: int) -> str:
    """llama.cpp's image, with CUDA or without."""
    return LLAMA_CUDA if gpus else LLAMA_CPU
