"""The bars of the memory model, on starts that engines logged."""

from __future__ import annotations

from statistics import mean

from tests.accuracy import memory


def test_vllm_pool_is_within_one_per_cent_of_the_card() -> None:
    errors = [a for found in memory.vllm_errors().values() for a, _ in found]
    assert len(errors) == 25
    assert mean(map(abs, errors)) < min(0.5, 0.01 * 79.19)
    assert max(map(abs, errors)) < 0.5


def test_llamacpp_kv_is_within_half_a_per_cent() -> None:
    errors = memory.llamacpp_errors()
    assert len(errors) >= 28
    assert max(errors) < 0.005


def test_served_models_are_never_called_no() -> None:
    """Every recorded start served; none may be refused at one user."""
    for row in memory.rows("vllm_starts.jsonl"):
        if "note" in row:
            continue
        ours, _, _ = memory.pool_of(row)
        assert ours > 0, row["model"]
