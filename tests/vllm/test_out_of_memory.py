"""Fault 16 on a real vLLM: a context for which its cache is too small comes down to what its own message allows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.supervise.harness import World
from tests.vllm.engine import KV_LINE
from tests.vllm.serving import LIMITS, NAME, answer, launch
from toolkit.supervise import api

pytestmark = pytest.mark.vllm

ASKED = 65_536
BLOCK = 128
FITS = 46_592
"""1 GiB / 23,040 B a token of this model = 46,603 tokens, in whole blocks. vLLM's estimate stays a block below that."""


def test_a_context_too_long_for_the_cache_is_shortened(folder: Path, world: World) -> None:
    """Wait, the same again, then the estimated maximum; the model itself was made for 8,192 and is told to go on."""
    made = launch(folder, world.root)
    at = made.argv.index("--max-model-len") + 1
    argv = (*made.argv[:at], str(ASKED), *made.argv[at + 1 :])
    env = made.env | {"VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1"}
    limits = LIMITS.model_copy(update={"vram_back_s": 2})
    server = api.start_detached(made.model_copy(update={"argv": argv, "env": env}), name="long", port=0, limits=limits)
    config = server.effective_config
    assert [step["step"] for step in config["reduced"]] == ["wait", "context"]
    assert FITS - BLOCK <= config["context"] <= FITS
    assert server.restarts == 2
    log = api.log_path("long").read_text(errors="replace")
    found = KV_LINE.findall(log)[-1]
    tokens, context = (int(n.replace(",", "")) for n in found[:2])
    assert (FITS - tokens in (0, 1), context) == (True, config["context"])  # it logs concurrency x context, cut
    assert "Paris" in answer(server.base_url, "What is the capital of France?")
    assert server.served_name == NAME
    assert api.stop("long").state == "stopped"
