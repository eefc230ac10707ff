"""vLLM by itself on the embedded model, and the memory model's figures against its log."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from tests.vllm.engine import Bare
from tests.vllm.serving import CONTEXT, answer
from toolkit.models.resolve import resolve
from toolkit.size import kv, vllm_kv
from toolkit.types import GIB

pytestmark = pytest.mark.vllm


def test_it_answers(bare: Bare) -> None:
    assert "Paris" in answer(bare.url + "/v1", "What is the capital of France?")


def test_the_log_agrees_on_the_cache(bare: Bare, folder: Path) -> None:
    """30 layers x 3 heads x 64 x 2 (K and V) x 2 B = 23,040 B a token; 1 GiB holds 46,592 in blocks of 128."""
    model = resolve(str(folder))
    assert sum(map(kv.elements, model.attention)) * kv.vllm_width("auto") == 23_040
    line = bare.kv_line()
    assert (line.tokens, line.context) == (GIB // (23_040 * 128) * 128, CONTEXT)
    found = vllm_kv.layout(model, vllm_kv.Cache((0, 32), cpu=True))
    assert line.tokens == found.logged_tokens(GIB)
    assert line.concurrency == pytest.approx(found.pool_blocks(GIB) / found.blocks(CONTEXT, 2048), abs=0.005)


def test_the_header_agrees_on_the_weights(folder: Path) -> None:
    """The tensor list made from config.json against the sizes in the file's own header, byte for byte."""
    with (folder / "model.safetensors").open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
    header.pop("__metadata__", None)
    stored = sum(end - start for start, end in (t["data_offsets"] for t in header.values()))
    model = resolve(str(folder))
    assert stored == model.weights_bytes
    assert stored == 2 * model.params
