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
SPLIT = {"none": 0, "layer": 1}
EXPERTS = r"blk\.{}\.ffn_(up|down|gate|gate_up)_(ch|)exps"
"""What the engine's own ``--n-cpu-moe`` moves in one layer (common/common.h)."""
CPU_DEVICE = 0
"""``GGML_BACKEND_DEVICE_TYPE_CPU``."""


class Override(ctypes.Structure):
    """``llama_model_tensor_buft_override``: tensors by name, and the buffer type they go to."""

    _fields_ = [("pattern", ctypes.c_char_p), ("buft", ctypes.c_void_p)]


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
    params, kept = _model_params(llama_cpp, question)
    model = llama_cpp.llama_model_load_from_file(question["path"].encode(), params)
    context = llama_cpp.llama_init_from_model(model, _context_params(llama_cpp, question)) if model else None
    del kept
    print(json.dumps({"ok": bool(context), "log": "".join(lines).splitlines()}))
    return 0


def _model_params(llama_cpp: Any, question: dict[str, Any]) -> tuple[Any, list[Any]]:
    """The parameters, and the arrays they point to, which have to outlive the call."""
    params = llama_cpp.llama_model_default_params()
    params.no_alloc = True
    params.load_mode = llama_cpp.LLAMA_LOAD_MODE_NONE  # memory mapping together with no_alloc aborts
    params.n_gpu_layers = question["gpu_layers"]
    params.split_mode = SPLIT[question.get("split_mode") or "layer"]
    params.main_gpu = question.get("main_gpu") or 0
    kept: list[Any] = []
    if split := question.get("tensor_split"):
        shares = (ctypes.c_float * llama_cpp.llama_max_devices())(*split)
        params.tensor_split = ctypes.cast(shares, ctypes.POINTER(ctypes.c_float))
        kept.append(shares)
    if rules := _rules(question):
        overrides = (Override * (len(rules) + 1))(*(Override(*rule) for rule in rules))
        params.tensor_buft_overrides = ctypes.cast(overrides, ctypes.c_void_p)
        kept.append(overrides)
    return params, kept


def _rules(question: dict[str, Any]) -> list[tuple[bytes, int]]:
    """Tensor names and buffer types; the first that matches decides, as on the engine's command line."""
    given = [part for text in question.get("override_tensor") or () for part in text.split(",")]
    named = [text.rpartition("=")[::2] for text in given]
    named += [(EXPERTS.format(n), "CPU") for n in range(question.get("n_cpu_moe") or 0)]
    return [(pattern.encode(), _buffer_type(device)) for pattern, device in named]


def _buffer_type(device: str) -> int:
    """The default buffer type of a device of this machine.

    Raises:
        LookupError: there is no such device.
    """
    from llama_cpp import _ggml

    library = _ggml.libggml
    for function in ("ggml_backend_dev_by_name", "ggml_backend_dev_by_type", "ggml_backend_dev_buffer_type"):
        getattr(library, function).restype = ctypes.c_void_p
    cpu = device == "CPU"
    found = library.ggml_backend_dev_by_type(CPU_DEVICE) if cpu else library.ggml_backend_dev_by_name(device.encode())
    if not found:
        raise LookupError(f"error: no device {device} on this machine")
    return int(library.ggml_backend_dev_buffer_type(ctypes.c_void_p(found)))


def _context_params(llama_cpp: Any, question: dict[str, Any]) -> Any:
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = question["n_ctx"]
    params.n_seq_max = question["parallel"]
    params.n_ubatch = question["ubatch"]
    params.n_batch = max(question["ubatch"], 2048)
    params.n_outputs_max = question["parallel"]  # what llama-server reserves
    params.type_k, params.type_v = question["kv_types"]
    params.flash_attn_type = FLASH[question["flash_attn"]]
    params.kv_unified = bool(question.get("kv_unified"))
    params.swa_full = bool(question.get("swa_full"))
    return params


if __name__ == "__main__":
    sys.exit(main())
