"""Child process: ask llama.cpp what it would allocate, without allocating it.

    python -m toolkit.size.planner < question.json > answer.json

The model is opened with ``no_alloc`` (header only; the weights need not be there) and a context is created with the
same settings `llama-server` would use. The answer is the engine's log. It runs in a process of its own because a
model that llama.cpp does not like aborts the process.
"""

from __future__ import annotations

import ctypes
import json
import sys
from typing import Any

FLASH = {"off": 0, "on": 1, "auto": -1}


def main() -> int:
    """Read the question from stdin, print ``{"log": […], "ok": bool}``."""
    question: dict[str, Any] = json.loads(sys.stdin.read())
    import llama_cpp

    lines: list[str] = []

    @llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]  # ctypes callback type
    def keep(level: int, text: bytes, data: object) -> None:
        lines.append(text.decode(errors="replace"))

    llama_cpp.llama_log_set(keep, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    model = llama_cpp.llama_model_load_from_file(question["path"].encode(), _model_params(llama_cpp, question))
    context = llama_cpp.llama_init_from_model(model, _context_params(llama_cpp, question)) if model else None
    print(json.dumps({"ok": bool(context), "log": "".join(lines).splitlines()}))
    return 0


def _model_params(llama_cpp: Any, question: dict[str, Any]) -> Any:
    params = llama_cpp.llama_model_default_params()
    params.no_alloc = True
    params.load_mode = llama_cpp.LLAMA_LOAD_MODE_NONE  # memory mapping together with no_alloc aborts
    params.n_gpu_layers = question["gpu_layers"]
    return params


def _context_params(llama_cpp: Any, question: dict[str, Any]) -> Any:
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = question["n_ctx"]
    params.n_seq_max = question["parallel"]
    params.n_ubatch = question["ubatch"]
    params.n_batch = max(question["ubatch"], 2048)
    params.n_outputs_max = question["parallel"]  # what llama-server reserves
    params.type_k = params.type_v = question["kv_type"]
    params.flash_attn_type = FLASH[question["flash_attn"]]
    params.kv_unified = False
    params.swa_full = False
    return params


if __name__ == "__main__":
    sys.exit(main())
