"""The cache layout of other architectures, on dummy weights: our arithmetic against vLLM's own log.

`measured_kv.jsonl` holds what the CPU build logged, for 19 architectures; four of them are asked again here, on the
installed engine.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.vllm.kv_configs import Case
from tests.vllm.measure_kv import measure
from toolkit.models.config_spec import spec_from_config
from toolkit.size import vllm_kv
from toolkit.types import GIB

ROWS = [json.loads(line) for line in Path(__file__).with_name("measured_kv.jsonl").read_text().splitlines()]
WITH_EYES = {
    "Gemma4ForCausalLM": "Gemma4ForConditionalGeneration",
    "Llama4ForCausalLM": "Llama4ForConditionalGeneration",
}
"""vLLM serves the text part under a name of its own; published configs are of the whole model."""


def agrees(row: dict[str, Any]) -> None:
    """Tokens exactly, the concurrency in all logged digits, and the stretched block where one was logged."""
    config = row["config"]
    whole = WITH_EYES.get(config["architectures"][0])
    if whole:
        config = {"architectures": [whole], "text_config": config}
    model = spec_from_config(config, row["model"], source="folder")
    off = "--no-enable-prefix-caching" in row["words"]
    found = vllm_kv.layout(model, vllm_kv.Cache((0, 32), cpu=True, prefix_caching=False if off else None))
    pool, context = found.pool_blocks(row["kv_gib"] * GIB), row["max_model_len"]
    each = found.blocks(context, row["max_num_batched_tokens"])
    assert pool * context // each == row["logged_tokens"]
    assert round(pool / each, 2) == row["logged_concurrency"]
    assert row["logged_block_tokens"] in (None, found.block_tokens)


@pytest.mark.parametrize("row", ROWS, ids=lambda r: "-".join([r["model"], str(r["max_model_len"]), *r["words"]]))
def test_the_layout_equals_what_was_logged(row: dict[str, Any]) -> None:
    agrees(row)


def test_there_are_rows_of_every_kind_of_layer() -> None:
    assert len(ROWS) == 23
    assert all(r["logged_tokens"] > 0 and r["engine"] and r["date"] for r in ROWS)


@pytest.mark.vllm
@pytest.mark.parametrize(
    ("case", "tokens", "concurrency"),
    [
        # 8 layers x 2 heads x 128 x 2 (K and V) x 2 B = 8 KiB a token: 1 GiB / 8 KiB
        (Case("qwen3-like"), 131_072, 16.0),
        # 2 full and 12 sliding layers in groups of 2; a block of 128 tokens x 2 layers x 512 B = 128 KiB: 8,192 blocks;
        # a sequence holds 8192/128 = 64 and, in six groups, (511 + 2048)/128 rounded up + 1 = 21: 190 blocks
        (Case("gemma3-like-14"), 353_204, 43.12),
        # a block of 384 tokens holds 8 x 128 x 128 fp32 and 2,048 x 3 bf16 elements: 3 x 384 x 2,048 B, 455 blocks;
        # a sequence holds 8192/384 rounded up = 22 and, with prefix caching, two in each of three recurrent groups: 28
        (Case("qwen3-next-like"), 133_120, 16.25),
        # 6 layers x (512 + 64) x 2 B x 16 tokens = 110,592 B a block: 9,709 blocks, 512 a sequence
        (Case("deepseek-v2-like", words=("--attention-backend", "CPU_MLA")), 155_344, 18.96),
    ],
    ids=lambda value: value.model if isinstance(value, Case) else None,
)
def test_the_engine_still_logs_it(case: Case, tokens: int, concurrency: float) -> None:
    row = measure(case)
    assert (row["logged_tokens"], row["logged_concurrency"]) == (tokens, concurrency)
    agrees(row)
