"""From what a user says about places to the memory model's words: llama.cpp's split, rules, adapters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.errors import InputError

if TYPE_CHECKING:
    from toolkit.size.ask import Placing
    from toolkit.types import Adapter

NAMES = ("n_cpu_moe", "override_tensor", "tensor_split", "split_mode", "main_gpu", "lora")


def placing(given: dict[str, Any]) -> Placing:
    """Take what is about places out of the settings. Adapters are read here.

    Raises:
        InputError: shares that are no numbers.
        ModelFileError: no readable LoRA adapter.
    """
    from toolkit.size.ask import Placing

    found = {name: given.pop(name, None) for name in NAMES}
    return Placing(
        n_cpu_moe=found["n_cpu_moe"],
        override_tensor=tuple(found["override_tensor"] or ()),
        tensor_split=_shares(found["tensor_split"]),
        split_mode=found["split_mode"],
        main_gpu=found["main_gpu"],
        lora=tuple(_adapter(path) for path in found["lora"] or ()),
    )


def _adapter(path: str) -> Adapter:
    from toolkit.models.gguf_spec import read_adapter

    if "," in path:
        raise InputError(f"{path!r} has a comma, at which llama.cpp would part it", "give a file without one.")
    return read_adapter(Path(path))


def in_host(placing: Placing) -> bool:
    """Whether something is put into host memory by name or by number."""
    rules = ",".join(placing.override_tensor).split(",")
    return bool(placing.n_cpu_moe) or any(rule.endswith("=CPU") for rule in rules)


def _shares(text: str | None) -> tuple[float, ...] | None:
    """``3,1`` or, as the engine takes it too, ``3/1``."""
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.replace("/", ",").split(","))
    except ValueError:
        raise InputError(f"{text!r} is no split; write one number a GPU, such as 3,1") from None
