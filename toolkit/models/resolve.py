"""The one door to a model's facts: a profile name, a GGUF file, or a folder with `config.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from toolkit.errors import InputError, ModelFileError, UnknownNameError
from toolkit.models import embedded, gguf_spec
from toolkit.models.config_spec import spec_from_config
from toolkit.types import ModelProfile, ModelSpec

CONFIG_MAX_BYTES = 8 * 2**20


def resolve(target: str, fmt: str | None = None) -> ModelSpec:
    """Facts of the model that ``target`` names: a path if it looks like one, else a profile.

    ``fmt`` imagines another weight format; a GGUF file has only its own.

    Raises:
        InputError: not a model, or an unreadable one, or a format a GGUF file does not have.
        UnknownNameError: no such profile; carries the nearest names.
        DeclinedError: the model's memory is not modelled.
    """
    path = Path(target).expanduser()
    if target.endswith((".gguf", ".part")) or path.is_file():
        return _gguf(path, fmt)
    if path.is_dir():
        return _folder(path, fmt)
    if target.startswith((".", "/", "~")):
        raise ModelFileError(f"no such file or folder: {target}")
    from toolkit import profiles

    return _profile(profiles.model(target), fmt)


def _gguf(path: Path, fmt: str | None) -> ModelSpec:
    if path.suffix == ".part":
        raise ModelFileError(f"{path} is an unfinished download", "wait for it, or resume it.")
    spec = gguf_spec.read(path)
    if fmt and fmt.lower() != spec.quant.lower():
        raise InputError(f"{path.name} is {spec.quant}; a GGUF file has one format, not {fmt}")
    return spec


def _folder(path: Path, fmt: str | None) -> ModelSpec:
    config = path / "config.json"
    if not config.is_file():
        files = sorted(p.name for p in path.glob("*.gguf"))
        hint = f"it holds {files[0]}: give that file." if files else "give a folder that has one, or a .gguf file."
        raise ModelFileError(f"{path} has no config.json", hint)
    return spec_from_config(_read_config(config), path.resolve().name, source="folder", path=str(path), fmt=fmt)


def _read_config(path: Path) -> dict[str, Any]:
    if path.stat().st_size > CONFIG_MAX_BYTES:
        raise ModelFileError(f"{path} is {path.stat().st_size:,} bytes; a config.json is a few thousand")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{path} is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise ModelFileError(f"{path} is no JSON object")
    return value


def _profile(profile: ModelProfile, fmt: str | None) -> ModelSpec:
    if profile.packaged:
        file = embedded.find(profile.packaged)
        if file:
            spec = _gguf(file, fmt)
            return spec.model_copy(update={"name": profile.name})
    if not profile.config:
        raise UnknownNameError("configuration of model", profile.name, ())
    return spec_from_config(profile.config, profile.name, source="profile", path=profile.hub_id, fmt=fmt)
