"""A folder with `config.json` → `ModelSpec`; what the folder is called decides nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from toolkit.errors import ModelFileError
from toolkit.models import checkpoint, safetensors
from toolkit.models.config_spec import spec_from_config
from toolkit.types import ModelSpec

CONFIG_MAX_BYTES = 8 * 2**20
MODELOPT_FILE = "hf_quant_config.json"


def read(path: Path, name: str, fmt: str | None) -> ModelSpec:
    """Facts of a folder with `config.json`: weights from its safetensors headers, or computed when it has none.

    Raises:
        ModelFileError: no config.json, or weights that are unfinished, corrupt, missing or pickles.
        DeclinedError: an architecture that is not modelled.
    """
    config_file, modelopt = path / "config.json", path / MODELOPT_FILE
    if not config_file.is_file():
        raise _no_config(path)
    config = _read_config(config_file)
    if modelopt.is_file():
        config = checkpoint.with_modelopt(config, _read_config(modelopt))
    tensors = safetensors.read_folder(path)
    if not tensors:
        return spec_from_config(config, name, source="folder", path=str(path), fmt=fmt)
    return checkpoint.spec_from_checkpoint(config, tensors, name, source="folder", path=str(path), fmt=fmt)


def _no_config(path: Path) -> ModelFileError:
    files = sorted(p.name for p in path.glob("*.gguf"))
    hint = f"it holds {files[0]}: give that file." if files else "give a folder that has one, or a .gguf file."
    return ModelFileError(f"{path} has no config.json", hint)


def _read_config(path: Path) -> dict[str, Any]:
    if path.stat().st_size > CONFIG_MAX_BYTES:
        raise ModelFileError(f"{path} is {path.stat().st_size:,} bytes; a config.json is a few thousand")
    try:
        return checkpoint.parse_config(path.read_bytes(), str(path))
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror or error}") from None
