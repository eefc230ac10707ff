"""Compute buffers of llama.cpp's builds of May 2025 to March 2026, as those builds themselves reserve them.

The rows of `tests/accuracy/llamacpp_planned_2025.jsonl` are the logs of four commits, compiled with the RPC backend,
whose server stood in for a GPU (``gpus: 0``: none). The models are headers in the shapes of real ones with four layers,
six of Gemma 3; ``build`` is a number between those that are known before and after the commit. Sliding layers keep
every token, as the library does unless it is told otherwise.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.accuracy import llamacpp
from tests.size.synth import write
from toolkit.models import gguf_spec
from toolkit.size import llamacpp as lc
from toolkit.size import llamacpp_allocator as allocator
from toolkit.size.ask import Ask, Device
from toolkit.size.llamacpp_allocator import Tensor, peak
from toolkit.size.llamacpp_build import build
from toolkit.types import MIB, ModelSpec

KIB = 1024


def test_a_place_is_free_again_after_the_last_use() -> None:
    """a → b → c: c goes where a was."""
    a = Tensor(4 * KIB)
    b = Tensor(4 * KIB, (a,))
    assert peak([a, b, Tensor(4 * KIB, (b,))]) == 8 * KIB


def test_an_operation_may_write_over_an_operand_that_nothing_else_needs() -> None:
    a = Tensor(4 * KIB)
    over = Tensor(4 * KIB, (a,), over=(a,))
    assert peak([a, over]) == 4 * KIB
    assert peak([a, over, Tensor(4 * KIB, (a, over))]) == 12 * KIB


def test_a_hole_holds_what_fits_and_nothing_larger() -> None:
    """4 free, 2 held: 3 goes into the hole, 5 behind everything."""
    hole, wall = Tensor(4 * KIB), Tensor(2 * KIB)
    done = Tensor(0, (hole,))
    assert peak([hole, wall, done, Tensor(3 * KIB), Tensor(0, (wall,))]) == 6 * KIB
    assert peak([hole, wall, done, Tensor(5 * KIB), Tensor(0, (wall,))]) == 11 * KIB


def test_the_smallest_hole_is_taken() -> None:
    """Holes of 8 and of 4: 4 goes into the second, so that 8 still fits into the first."""
    large, w1, small, w2 = Tensor(8 * KIB), Tensor(KIB), Tensor(4 * KIB), Tensor(KIB)
    freed = [Tensor(0, (large,)), Tensor(0, (small,))]
    ends = Tensor(0, (w1, w2))
    assert peak([large, w1, small, w2, *freed, Tensor(4 * KIB), Tensor(8 * KIB), ends]) == 14 * KIB


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelSpec]:
    folder = tmp_path_factory.mktemp("shapes")
    return {name: gguf_spec.read(write(folder / f"{name}.gguf", s)) for name, s in llamacpp.OLD_SHAPES.items()}


def rows() -> list[dict[str, Any]]:
    return llamacpp.rows("llamacpp_planned_2025.jsonl")


def test_the_allocator_is_the_engines_to_a_tenth_of_a_per_mille(models: dict[str, ModelSpec]) -> None:
    """Every graph that is played, on a GPU and on a processor; logs round to 0.01 MiB, and leave out some kilobytes."""
    seen = 0
    for row in rows():
        model = models[row["model"]]
        if row["flash_attn"] and row["gpus"] and allocator.plays(model):
            shape = allocator.shape(model, row["ubatch"], row["context"], build(row["build"]), host=False)
            assert allocator.buffer(shape) / MIB == pytest.approx(row["gpu_mib"], rel=1e-4, abs=0.02), row
            seen += 1
    assert seen == 144


def test_every_buffer_of_those_builds_is_within_five_per_cent(models: dict[str, ModelSpec]) -> None:
    found = [(ours, logged, row) for row in rows() for ours, logged in llamacpp.old_buffers(models[row["model"]], row)]
    assert len(found) == 640
    assert [f for f in found if abs(f[0] / f[1] - 1) > 0.05] == []


def test_sliding_layers_kept_every_token_before_they_had_windows(models: dict[str, ModelSpec]) -> None:
    """Five of Gemma 3's six layers slide over 1,024 tokens; since May 2025 they have cells for that and one ubatch."""
    host = (Device("CPU", 2**42, "cpu", "given"),)
    ask = Ask(models["gemma3-27b"], host, "llama.cpp", "b5320", 16384, parallel=1)
    old, new = (lc.held(a, lc.resolve(a))[0].kv for a in (ask, ask.with_(engine_version="b6190")))
    token = 2 * 16 * 128 * 2
    assert old == 6 * 16384 * token
    assert new == (16384 + 5 * 1536) * token


@pytest.mark.parametrize(
    ("release", "gpu_layers", "gpu_mib", "host_mib"),
    [  # "model buffer size" in the logs of commits 8733e0c and 4227c9b (alike), and of 49bfdde
        ("b5320", 2, 442.06, 1506.70),
        ("b5320", 4, 884.12, 1064.64),
        ("b5320", 5, 1416.45, 532.31),
        ("b6190", 4, 884.12, 1064.64),
        ("b8300", 2, 753.36, None),
        ("b8300", 4, 1195.42, None),
        ("b8300", 5, 1416.45, 532.31),
    ],
)
def test_the_output_went_to_the_gpu_last_until_the_end_of_2025(
    models: dict[str, ModelSpec], release: str, gpu_layers: int, gpu_mib: float, host_mib: float | None
) -> None:
    """Host memory of b8300's log is the mapped range of the file, which reaches over the layers on the GPU."""
    devices = (Device("GPU", 2**40, "gpu", "given"), Device("CPU", 2**42, "cpu", "given"))
    ask = Ask(models["llama-8b"], devices, "llama.cpp", release, 4096, parallel=1, gpu_layers=gpu_layers)
    gpu, host = lc.held(ask, lc.resolve(ask))
    assert gpu.weights / MIB == pytest.approx(gpu_mib, abs=0.01)
    if host_mib is not None:
        assert host.weights / MIB == pytest.approx(host_mib, abs=0.01)
