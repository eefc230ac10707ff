"""The stages strung together for commands: a model's name → memory plan → launch plan."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from toolkit.errors import InputError

if TYPE_CHECKING:
    from toolkit.size import Ask
    from toolkit.types import LaunchPlan, MemoryPlan, ModelSpec

DOCUMENT_MAX_BYTES = 64 * 2**20


def memory_plan_for(
    target: str,
    *,
    gpu: list[str] | None = None,
    vram_gib: float | None = None,
    engine: str | None = None,
    quant: str | None = None,
    exact: bool = False,
    every_gpu: bool = False,
    draft: str | None = None,
    ram_gib: float | None = None,
    **settings: Any,
) -> MemoryPlan:
    """Size a model; ``settings`` are fields of `size.Ask` and of its places, ``draft`` names what guesses ahead.

    ``exact`` asks llama.cpp's own planner too; ``every_gpu`` sizes for the least memory that holds the plan and lists
    the fewest of every known GPU.

    Raises:
        InputError: an unknown name or contradictory settings.
        DeclinedError: the model's memory is not modelled for that engine.
    """
    from toolkit.cli.devices import devices, host, installed_vllm
    from toolkit.cli.placing import in_host, placing
    from toolkit.models.resolve import resolve
    from toolkit.size import Ask, plan
    from toolkit.size.ask import MTP

    model = resolve(target, quant)
    settings["placing"] = places = placing(settings)
    if draft is not None:
        settings["draft"] = draft if draft == MTP else resolve(draft)
    chosen = _engine(model, engine)
    if every_gpu:
        return _on_every_gpu(model, chosen, settings)
    if chosen == "vllm" and ram_gib is not None:
        raise InputError("host memory is asked about for llama.cpp, and the engine is vLLM", "leave it out.")
    ram = host(ram_gib) if chosen == "llama.cpp" else None
    layers = settings.get("gpu_layers")
    partial = layers is not None and layers <= model.layers
    found = devices(gpu or [], vram_gib, ram, beside=partial or in_host(places))
    if chosen == "vllm" and not gpu and vram_gib is None and settings.get("engine_version") is None:
        settings["engine_version"] = installed_vllm()
    ask = Ask(model=model, devices=found, engine="vllm" if chosen == "vllm" else "llama.cpp", host=ram, **settings)
    return _by_the_engine(ask, plan(ask), gpu or [], vram_gib) if exact else plan(ask)


def _on_every_gpu(model: ModelSpec, engine: str, settings: dict[str, Any]) -> MemoryPlan:
    """The plan on the least memory that holds it, with the fewest of every GPU of the profiles."""
    from toolkit import profiles
    from toolkit.size import Ask, Device, minimum, plan
    from toolkit.size.usable import fabric, usable_bytes

    devices = []
    for gpu in profiles.gpus().values():
        if gpu.vram_gib is not None and gpu.device_class not in ("cpu", "apple"):
            size, how = usable_bytes(gpu)
            devices.append(Device(gpu.name, size, "gpu", how, gpu.compute_capability, fabric(gpu)))
    name: Literal["vllm", "llama.cpp"] = "vllm" if engine == "vllm" else "llama.cpp"
    ask = Ask(model=model, devices=tuple(devices[:1]), engine=name, **settings)
    found = {d: minimum(ask, d) for d in devices}
    held = [d for d in devices if found[d].count]
    least = (
        min(held, key=lambda d: d.usable_bytes * (found[d].count or 0))
        if held
        else max(devices, key=lambda d: d.usable_bytes)
    )
    count = found[least].count or 8
    whole = plan(ask.with_(devices=(least,) * count, tp=count if name == "vllm" else None))
    return whole.model_copy(update={"minimum_gpus": tuple(found.values())})


def _engine(model: ModelSpec, wanted: str | None) -> str:
    """llama.cpp for GGUF files, real or imagined; vLLM for everything else.

    Raises:
        InputError: the wanted engine does not run that format.
    """
    from toolkit.models import gguf_mix

    gguf = model.source == "gguf" or model.quant in gguf_mix.MIXES
    if wanted == "vllm" and gguf:
        raise InputError(
            f"{model.name} in {model.quant} is a GGUF file, which vLLM does not run", "use the llama.cpp engine."
        )
    if wanted == "llama.cpp" and not gguf:
        raise InputError(
            f"llama.cpp runs GGUF files, and {model.name} in {model.quant} is none",
            f"name a file type to imagine it in: {', '.join(gguf_mix.MIXES)}.",
        )
    return "llama.cpp" if gguf else "vllm"


def _by_the_engine(ask: Ask, memory: MemoryPlan, gpu: list[str], vram_gib: float | None) -> MemoryPlan:
    """The engine's own figures, which exist for a GGUF file on this machine's devices only.

    A file on a hub need not be downloaded: its header in a hollow file is enough.
    """
    import tempfile

    from toolkit.size import engine_exact, llamacpp

    if ask.engine != "llama.cpp" or ask.model.source != "gguf":
        raise InputError(
            "the engine's own planner reads GGUF files", "give a .gguf file, or leave the exact answer out."
        )
    if gpu or vram_gib is not None:
        raise InputError(
            "the engine plans for this machine's own devices only", "leave the device out, or the exact answer."
        )
    layers, settings = ask.model.layers, llamacpp.resolve(ask)
    if ask.model.path is not None:
        return engine_exact.exact(memory, Path(ask.model.path), layers, settings, ask.placing)
    from toolkit.models.hub import sparse_gguf

    with tempfile.TemporaryDirectory(prefix="selfhost-gguf-") as folder:
        path = sparse_gguf(ask.model.name, str(ask.model.revision), Path(folder))
        return engine_exact.exact(memory, path, layers, settings, ask.placing)


def launch_plan_for(
    target: str,
    *,
    backend: str = "auto",
    served_name: str | None = None,
    context: int | None = None,
    concurrency: int = 4,
    elsewhere: bool = False,
    **size_options: Any,
) -> LaunchPlan:
    """A launch plan from a launch_plan file, a memory_plan file, or a model sized now.

    ``elsewhere`` plans for another machine: its engine need not be installed here.

    Raises:
        InputError: not a plan of this version, or an unknown name.
        NoEngineError: nothing installed can serve it.
        DeclinedError: it does not fit, or no engine takes it.
    """
    from toolkit.types import LaunchPlan, MemoryPlan

    if target.endswith(".json"):
        document = read_document(Path(target), LaunchPlan, MemoryPlan)
        if isinstance(document, LaunchPlan):
            return document
        if any(value not in (None, False, []) for value in size_options.values()) or context is not None:
            raise InputError(f"{target} is sized already, and settings were given too", "size it again with them.")
        memory = document
    else:
        memory = memory_plan_for(target, context=context, concurrency=concurrency, **size_options)
    return choose(memory, backend, served_name, elsewhere=elsewhere)


def choose(memory: MemoryPlan, backend: str, served_name: str | None, *, elsewhere: bool = False) -> LaunchPlan:
    """Look for every engine and let `plan` choose; ``elsewhere`` takes engines as given on another machine."""
    from toolkit.backends.base import Backend, Engine, installed
    from toolkit.backends.elsewhere import PROGRAMS, Elsewhere, engine
    from toolkit.plan import launch_plan

    backends: list[Backend] = list(installed())
    found: dict[str, Engine | None]
    if elsewhere:
        backends = [Elsewhere(b) for b in backends if b.name in PROGRAMS]
        found = {b.name: engine(b.name, memory) for b in backends}
    else:
        found = {b.name: b.find() for b in backends}
    return launch_plan(memory, backends, found, wanted=backend, served_name=served_name)


def read_document(path: Path, *kinds: type[Any]) -> Any:
    """Read one of our JSON documents, recognised by its ``kind``.

    Raises:
        InputError: no such file, no JSON, another kind or version, or a field that does not validate.
    """
    from pydantic import ValidationError

    from toolkit.types import SCHEMA_VERSION

    value = _read_json(path)
    kind, version = value.get("kind"), value.get("schema_version")
    by_kind = {k.model_fields["kind"].default: k for k in kinds}
    if kind not in by_kind:
        raise InputError(f"{path} is a {kind or 'JSON file without a kind'}; needed: {' or '.join(by_kind)}")
    if version != SCHEMA_VERSION:
        raise InputError(
            f"{path} has schema version {version}; this selfhost reads version {SCHEMA_VERSION}", "make it again."
        )
    try:
        return by_kind[kind].model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"])
        raise InputError(f"{path}: {where}: {first['msg']}") from None


def _text(path: Path) -> str:
    """A document's text; ``-`` is standard input."""
    if path == Path("-"):
        text = sys.stdin.read(DOCUMENT_MAX_BYTES + 1)
        size = len(text)
    else:
        size = path.stat().st_size
        text = path.read_text(encoding="utf-8") if size <= DOCUMENT_MAX_BYTES else ""
    if size > DOCUMENT_MAX_BYTES:
        raise InputError(f"{path} is too large to be a plan")
    return text


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(_text(path))
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise InputError(f"{path} is no JSON object")
    return value
