"""Files that lie about their size: a clear refusal, before anything is listed layer by layer."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.models.make_gguf import write_tiny
from tests.models.test_config_spec import LLAMA_8B
from toolkit import profiles
from toolkit.errors import ModelFileError
from toolkit.models import gguf_spec
from toolkit.models.config_spec import spec_from_config

SEEING: dict[str, Any] = profiles.model("qwen3-vl-2b").config
MLA: dict[str, Any] = profiles.model("deepseek-v3").config


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({**LLAMA_8B, "num_hidden_layers": 2**31 - 1}, "whole number up to 1,000"),
        ({**LLAMA_8B, "num_hidden_layers": 1001}, "whole number up to 1,000"),
        ({**LLAMA_8B, "hidden_size": "4096"}, "not a positive whole number"),
        ({**MLA, "num_nextn_predict_layers": 10**9}, "whole number up to 1,000"),
        ({**SEEING, "vision_config": {**SEEING["vision_config"], "depth": 2**31 - 1}}, "2147483647 layers"),
        ({**SEEING, "vision_config": {**SEEING["vision_config"], "depth": "many"}}, "makes no sense"),
        ({**SEEING, "vision_config": {}}, "lacks 'hidden_size'"),
        ({**SEEING, "vision_config": [1]}, "makes no sense"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused_at_once(config: dict[str, Any], message: str) -> None:
    started = time.process_time()
    with pytest.raises(ModelFileError, match=message):
        spec_from_config(config, "m", source="profile")
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"llama.block_count": 2**31 - 1}, "and the file has 3 tensors"),
        ({"llama.block_count": 5_000_000}, "and the file has 3 tensors"),
        ({"llama.block_count": 1, "llama.nextn_predict_layers": 1}, "1 of them for prediction"),
        ({"llama.attention.head_count": 0}, "is 0 in every layer"),
    ],
)
def test_a_header_that_counts_what_is_not_there_is_refused(
    tmp_path: Path, metadata: dict[str, object], message: str
) -> None:
    with pytest.raises(ModelFileError, match=message):
        gguf_spec.read(write_tiny(tmp_path / "m.gguf", metadata=metadata))


def test_a_name_cannot_write_on_the_terminal(tmp_path: Path) -> None:
    file = write_tiny(tmp_path / "m.gguf", metadata={"general.name": "a\x1b[31mb\n" + "c" * 1000})
    assert gguf_spec.read(file).name == "a[31mb" + "c" * 194


def test_a_config_without_architectures_goes_by_its_type() -> None:
    config = {k: v for k, v in LLAMA_8B.items() if k != "architectures"} | {"model_type": "llama"}
    assert spec_from_config(config, "m", source="profile").params == 8_030_261_248
