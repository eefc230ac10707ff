"""The one door to a model's facts: a file or folder here, a profile's name, or a model on the hub.

What exists here comes first and is read for what it is, whatever its path is called; a profile never touches the
network; a name with one slash is asked of the hub.
"""

from __future__ import annotations

from pathlib import Path

from toolkit.errors import InputError, ModelFileError, SourceUnavailableError, UnknownNameError
from toolkit.models import embedded
from toolkit.models.config_spec import spec_from_config
from toolkit.types import ModelProfile, ModelSpec


def resolve(target: str, fmt: str | None = None) -> ModelSpec:
    """Facts of the model that ``target`` names.

    ``fmt`` imagines another weight format; a GGUF file has only its own.

    Raises:
        InputError: not a model, or an unreadable one, or a format a GGUF file does not have.
        UnknownNameError: no such profile or repository; carries the nearest names.
        DeclinedError: the model's memory is not modelled.
        SourceUnavailableError: a hub that cannot be asked, and nothing known of the model without it.
    """
    path = Path(target).expanduser()
    if path.is_dir():
        from toolkit.models import folder

        return folder.read(path, path.resolve().name, fmt)
    if path.is_file():
        return _gguf(path, fmt)
    if "/" not in target and not target.endswith((".gguf", ".part")) and not target.startswith((".", "~")):
        from toolkit import profiles

        return _profile(profiles.model(target), fmt)
    return _hub(target, fmt)


def _hub(target: str, fmt: str | None) -> ModelSpec:
    """A model on the hub; the profile of that hub id where the hub cannot be asked."""
    from toolkit.models import hub

    name = hub.parse(target)
    if name is None or (name.file is None and name.repo.endswith((".gguf", ".part"))):
        raise ModelFileError(f"no such file or folder: {target}")
    try:
        return hub.read(name, fmt)
    except SourceUnavailableError as error:
        if name.revision or name.file:
            raise
        spec = _profile_of(name.repo, fmt)
        if spec is None:
            raise
        note = f"{error.message}; these are the facts of the profile {spec.name}"
        return spec.model_copy(update={"notes": (*spec.notes, note)})


def _profile_of(repo: str, fmt: str | None) -> ModelSpec | None:
    from toolkit import profiles

    try:
        return _profile(profiles.model(repo), fmt)
    except UnknownNameError:
        return None


def _gguf(path: Path, fmt: str | None) -> ModelSpec:
    from toolkit.models import gguf_spec

    if path.suffix == ".part":
        raise ModelFileError(f"{path} is an unfinished download", "wait for it, or resume it.")
    if path.suffix == ".safetensors":
        raise ModelFileError(f"{path} is one file of a model", f"give the folder: {path.parent}")
    spec = gguf_spec.read(path)
    if fmt and fmt.lower() != spec.quant.lower():
        raise InputError(f"{path.name} is {spec.quant}; a GGUF file has one format, not {fmt}")
    return spec


def _profile(profile: ModelProfile, fmt: str | None) -> ModelSpec:
    if profile.packaged:
        file = embedded.find(profile.packaged)
        if file:
            spec = _gguf(file, fmt)
            return spec.model_copy(update={"name": profile.name})
    if not profile.config:
        raise UnknownNameError("configuration of model", profile.name, ())
    return spec_from_config(profile.config, profile.name, source="profile", path=profile.hub_id, fmt=fmt)
