"""This machine's own devices: as the driver names them, and the processor by a short look at its memory."""

from __future__ import annotations

import pytest

from tests.cli.run import document, error_of
from toolkit.machine import NvmlGpu
from toolkit.predict import here

CPU = ("recommend", "qwen2.5-0.5b", "--quants", "q4_k_m", "--context", "1024", "--here", "--only", "cpu")


def _seen(index: int, name: str, mib: int) -> NvmlGpu:
    size = mib * 2**20
    return NvmlGpu(
        index=index,
        name=name,
        uuid=f"GPU-{index}",
        total_bytes=size,
        free_bytes=size,
        compute_capability="8.9",
        driver="1",
    )


def test_gpus_are_counted_by_kind_with_the_memory_the_driver_states():
    # an L4 shows 23,034 MiB (its label says 24 GiB), as nvidia-smi prints it
    found = here.of_driver(
        [_seen(0, "NVIDIA L4", 23_034), _seen(1, "NVIDIA L4", 23_034), _seen(2, "Odd Card 9", 8_000)]
    )
    assert [(f.name, f.count) for f in found] == [("L4", 2), ("Odd Card 9", 1)]
    assert found[0].gpu is not None
    assert found[0].gpu.visible_gib == pytest.approx(23_034 / 1024)
    assert found[0].gpu.mem_bw_gbs == pytest.approx(300, rel=0.01)  # NVIDIA, data sheet of the L4
    assert found[1].gpu is None
    assert "four numbers" in found[1].why_not


def test_memory_is_read_at_a_rate_that_a_machine_can_have():
    # DDR3 on one slow core gives about 1 GB/s; the fastest server of 2026 (12 to 24 channels, or HBM) under 4 TB/s
    rate = here.read_bytes_per_s(64 * 2**20, 2)
    assert rate is not None
    assert 2e8 < rate < 4e12


def test_nothing_to_read_is_no_rate():
    assert here.read_bytes_per_s(1, 2) is None


def test_the_processor_is_ranked_as_yours():
    found = document(*CPU, "--users", "1")
    (option,) = [o for o in found["options"] if o["here"]]
    assert (option["gpu"], option["count"], option["engine"]) == ("CPU-here", 1, "llama.cpp")
    assert option["usd_per_mtok"]["p50"] == 0
    assert option["price_basis"] == "assumed"
    assert any("GB/s, measured now; already yours" in note for note in found["notes"])


def test_its_price_when_you_state_one():
    # a quarter of a request's tokens is output: all tokens are 4 × the output
    found = document(*CPU, "--users", "1", "--own-price", "0.12/h")
    (option,) = [o for o in found["options"] if o["here"]]
    tokens_per_hour = 4 * option["output_tok_s"]["p50"] * 3600
    assert option["usd_per_mtok"]["p50"] == pytest.approx(0.12 / tokens_per_hour * 1e6, rel=1e-6)


def test_a_count_of_another_device_is_not_its_own():
    found = document(
        "recommend",
        "qwen2.5-0.5b",
        "--users",
        "1",
        "--quants",
        "q4_k_m",
        "--context",
        "2048",
        "--here",
        "--gpu",
        "L4:2",
    )
    assert {(option["gpu"], option["count"]) for option in found["options"]} == {("L4", 2), ("CPU-here", 1)}


def test_no_more_of_it_than_there_is():
    said = error_of(*CPU, "--tokens-per-day", "900B", status=1)
    assert "CPU-here: the load needs" in said
    assert "this machine has 1" in said


def test_bad_input():
    assert "--here" in error_of("recommend", "qwen2.5-0.5b", "--users", "1", "--own-price", "0.12/h")
    assert "not a price per time" in error_of(*CPU, "--users", "1", "--own-price", "cheap")
    assert "llama.cpp's formats" in error_of("recommend", "llama-3.1-8b", "--users", "1", *CPU[6:], status=1)
