"""What we know, as records: the TOML files under ``profiles/`` read into frozen types.

Two folders of one layout are read, the shipped one and the user's (`paths.user_profiles`). A record of the user's
replaces the shipped one of the same name, or adds a new one::

    gpus/*.toml              tables [[gpu]]
    prices/*.toml            tables [[gpu_price]], [[api_model]], [[api_retirement]], [[vcpu_price]]
    licences/*.toml          tables [[licence]]
    quality/*.toml           tables [[quant_quality]]
    models/NAME.toml         one record a file, facts first, `config` last
    workloads/NAME.toml      one record a file

A lookup reads no more than it must: a model asked for by its name opens one file, one asked for by an alias also
reads the heads of the others; of shipped files that hold many records those are parsed that have the name somewhere in
their text; and only the record asked for is validated. What was read is kept for the life of the process.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails, to_json

from toolkit import paths
from toolkit.errors import InputError, ProfileError, UnknownNameError, fold, nearest
from toolkit.types import (
    ApiModel,
    ApiRetirement,
    Gpu,
    GpuPrice,
    Licence,
    ModelProfile,
    QuantQuality,
    Sourced,
    VcpuPrice,
    Workload,
)

MAX_BYTES = 2**20
"""A profile file is a few kB; a larger one is not a profile."""

MAKERS = re.compile(r"^(nvidia|geforce|tesla|amd|intel|apple)+(?=.)")
"""Words of a driver's device name that tell no two devices apart: `NVIDIA GeForce RTX 3090` is `RTX-3090`."""

FILE_STEM = re.compile(r"[a-z0-9][a-z0-9.+-]*")
"""A record with a file of its own is named after it."""

Record = TypeVar("Record", bound=Sourced)
Roots = tuple[Path, ...]
Sources = tuple[tuple[Path, ...], ...]
"""The files of one kind in each root."""


def gpu_key(name: str) -> str:
    """The form in which two spellings of one device are equal: folded, without the maker's words."""
    return MAKERS.sub("", fold(name))


@dataclass(frozen=True)
class _Kind(Generic[Record]):
    """One folder of profiles. ``tables`` is the name of its array of tables, None for one record a file."""

    folder: str
    what: str
    type: type[Record]
    tables: str | None = None
    key: Callable[[str], str] = fold


GPUS = _Kind("gpus", "GPU", Gpu, "gpu", gpu_key)
MODELS = _Kind("models", "model", ModelProfile)
WORKLOADS = _Kind("workloads", "workload", Workload)
PRICES = _Kind("prices", "price", GpuPrice, "gpu_price")
API_MODELS = _Kind("prices", "API model", ApiModel, "api_model")
LICENCES = _Kind("licences", "licence", Licence, "licence")
API_RETIREMENTS = _Kind("prices", "API model", ApiRetirement, "api_retirement")
VCPU_PRICES = _Kind("prices", "machine price", VcpuPrice, "vcpu_price")
QUALITY = _Kind("quality", "weight format", QuantQuality, "quant_quality")
KINDS: tuple[_Kind[Any], ...] = (
    GPUS,
    MODELS,
    WORKLOADS,
    PRICES,
    API_MODELS,
    API_RETIREMENTS,
    VCPU_PRICES,
    LICENCES,
    QUALITY,
)


@dataclass(frozen=True, eq=False)
class _Entry:
    """A record that was found but not validated. ``table`` is None while its file has not been read.

    ``replaced`` is the shipped record it stands for; what that one is also called still leads here.
    """

    name: str
    file: Path
    table: dict[str, Any] | None = None
    replaced: _Entry | None = None


def gpus() -> dict[str, Gpu]:
    """Every GPU by its canonical name, the shipped ones first.

    Raises:
        ProfileError: a file or record that cannot be read or validated.
    """
    return _every(GPUS)


def gpu(name: str) -> Gpu:
    """The device of that name or alias, as a driver, a price list or a person spells it.

    Raises:
        UnknownNameError: no such device; carries the nearest names.
        InputError: the name fits several devices; the message lists them.
        ProfileError: its record is broken.
    """
    return _one(GPUS, name)


def models() -> dict[str, ModelProfile]:
    """Every model by name. Raises ProfileError as `gpus` does."""
    return _every(MODELS)


def model(name: str) -> ModelProfile:
    """The model of that name, Hugging Face id or alias. Raises as `gpu` does."""
    return _one(MODELS, name)


def workloads() -> dict[str, Workload]:
    """Every workload by name. Raises ProfileError as `gpus` does."""
    return _every(WORKLOADS)


def workload(name: str) -> Workload:
    """The workload of that name. Raises as `gpu` does."""
    return _one(WORKLOADS, name)


def gpu_prices() -> tuple[GpuPrice, ...]:
    """Every rental price, cheapest first. A price of the user's replaces the shipped one of the same offer.

    Raises:
        ProfileError: a broken file or record, an offer priced twice, a device that is not on record, or a spot
            price that is not below the same offer's on-demand price.
    """
    return _prices(_roots())


def gpu_prices_for(name: str) -> tuple[GpuPrice, ...]:
    """The rental prices of one device, cheapest first; empty when none is known. Raises as `gpu` does."""
    wanted = gpu_key(gpu(name).name)
    return tuple(price for price in gpu_prices() if gpu_key(price.gpu) == wanted)


def api_models() -> dict[str, ApiModel]:
    """Every hosted model that has a short name here. Raises ProfileError as `gpus` does."""
    return _every(API_MODELS)


def api_retirements() -> dict[str, ApiRetirement]:
    """The announced last day of hosted models, by ``provider:model``. Raises ProfileError as `gpus` does."""
    return _every(API_RETIREMENTS)


def licences() -> dict[str, Licence]:
    """The licence of every model family on record. Raises ProfileError as `gpus` does."""
    return _every(LICENCES)


def licence_of(name: str) -> Licence | None:
    """The licence of a model: of the record that begins its name with the most letters; None when none does.

    The owner before a slash is ignored; a record's name ends at a ``-``, a ``:`` or the end of the model's.
    """
    wanted = re.sub(r"[ _]", "-", name.rpartition("/")[2].lower())
    fits = [
        (len(spelling), record)
        for record in licences().values()
        for spelling in (record.name, *record.aliases)
        if wanted == spelling or wanted.startswith((f"{spelling}-", f"{spelling}:"))
    ]
    return max(fits, key=lambda fit: fit[0])[1] if fits else None


def vcpu_price() -> VcpuPrice:
    """The price of a cloud machine without a GPU. Raises as `gpu` does."""
    return _one(VCPU_PRICES, "cloud-vcpu")


def quality(quant: str) -> QuantQuality | None:
    """What a weight format is known to lose; None where nothing was published that we read."""
    wanted = fold(quant)
    records = _every(QUALITY).values()
    return next((r for r in records if wanted in (fold(r.name), *map(fold, r.aliases))), None)


def write_schemas(folder: Path) -> None:
    """Write the JSON Schema of each kind of record to ``folder``, for editors that check TOML."""
    for kind in KINDS:
        stem = kind.tables or kind.folder.removesuffix("s")
        schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **kind.type.model_json_schema()}
        text = json.dumps(schema, indent=1, ensure_ascii=False) + "\n"
        (folder / f"{stem}.schema.json").write_text(text, encoding="utf-8")


def _roots() -> Roots:
    """The shipped folder, then the user's: the later one wins."""
    return (paths.data_root() / "profiles", paths.user_profiles())


def _every(kind: _Kind[Record]) -> dict[str, Record]:
    return {e.name: cast("Record", _validated(kind, e)) for e in _names(kind, _sources(kind, _roots())).values()}


def _one(kind: _Kind[Record], name: str) -> Record:
    return cast("Record", _validated(kind, _find(kind, name, _roots())))


def _find(kind: _Kind[Any], name: str, roots: Roots) -> _Entry:
    """By name, then by alias. A remark in brackets is ignored where the whole is not known: `T4 (in log)`."""
    for spelling in dict.fromkeys((name, name.partition("(")[0])):
        key = kind.key(spelling)
        sources = _sources(kind, roots, key)
        if key in (names := _names(kind, sources)):
            return names[key]
        fits = _aliases(kind, sources).get(key, ())
        if len(fits) > 1:
            listed = ", ".join(entry.name for entry in fits)
            raise InputError(f"{name!r} fits several {kind.what}s: {listed}", "name one of them.")
        if fits:
            return fits[0]
    names = _names(kind, _sources(kind, roots))
    known = [entry.name for entry in names.values()]
    if not nearest(name, known):
        known = [alias for entry in names.values() for alias in _spellings(entry)]
    raise UnknownNameError(kind.what, name, known, f"`selfhost {kind.folder}` lists all of them.")


@cache
def _sources(kind: _Kind[Any], roots: Roots, key: str = "") -> Sources:
    """The files to look into; of shipped ones with many records, those with that key in their text.

    All of the user's are: a record there may stand for a shipped one that goes by that key.
    """
    shipped, *own = [tuple(sorted((root / kind.folder).glob("*.toml"))) for root in roots]
    return (tuple(file for file in shipped if not kind.tables or _may_have(file, key)), *own)


def _may_have(file: Path, key: str) -> bool:
    """Whether a file may have a name or an alias of that key. Where TOML's escapes are used, it may."""
    text = _folded(file)
    return "\\" in text or key in text


@cache
def _folded(file: Path) -> str:
    return fold(_text(file))


@cache
def _names(kind: _Kind[Any], sources: Sources) -> dict[str, _Entry]:
    """Every record by the key of its name. Raises ProfileError for two of one name in one root."""
    result: dict[str, _Entry] = {}
    for files in sources:
        own: dict[str, _Entry] = {}
        for entry in _tables(kind, files) if kind.tables else _files(files):
            twin = own.setdefault(kind.key(entry.name), entry)
            if twin is not entry:
                raise ProfileError(entry.file, entry.name, f"this name is taken by {twin.name} in {twin.file.name}")
        result |= {key: replace(entry, replaced=result.get(key)) for key, entry in own.items()}
    return result


@cache
def _aliases(kind: _Kind[Any], sources: Sources) -> dict[str, tuple[_Entry, ...]]:
    """Every record that goes by the key of an alias, in the order of the records."""
    result: dict[str, tuple[_Entry, ...]] = {}
    for entry in _names(kind, sources).values():
        for key in {kind.key(alias) for alias in _spellings(entry)}:
            result[key] = (*result.get(key, ()), entry)
    return result


def _spellings(entry: _Entry) -> list[str]:
    """What a record says it is also called, before it is validated: only text is taken."""
    table = entry.table if entry.table is not None else _head(entry.file)
    aliases = table.get("aliases")
    said = (*(aliases if isinstance(aliases, list) else ()), table.get("hub_id"))
    own = [text for text in said if isinstance(text, str)]
    return own + _spellings(entry.replaced) if entry.replaced else own


def _files(files: Iterable[Path]) -> Iterator[_Entry]:
    for file in files:
        if not FILE_STEM.fullmatch(file.stem):
            raise ProfileError(file, "", "its name must be lower-case letters, digits, '.', '+' and '-'")
        yield _Entry(file.stem, file)


def _tables(kind: _Kind[Any], files: Iterable[Path]) -> Iterator[_Entry]:
    """The records of files that hold an array of tables; prices have no name and get their place as one."""
    for file in files:
        for place, row in enumerate(_rows(file, str(kind.tables)), 1):
            label = f"{kind.tables}[{place}]"
            name = label if kind is PRICES else row.get("name")
            if not isinstance(name, str):
                raise ProfileError(file, f"{label}.name", "missing, or not text")
            yield _Entry(name, file, row)


@cache
def _rows(file: Path, tables: str) -> list[dict[str, Any]]:
    content = _parsed(file, _text(file))
    rows = content.get(tables, [])
    known = [kind.tables for kind in KINDS if kind.folder == file.parent.name]
    for key in content:
        if key not in known:
            held = " or ".join(f"[[{table}]]" for table in known)
            raise ProfileError(file, key, f"unknown key; this file holds {held} tables")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ProfileError(file, tables, f"write each record as a [[{tables}]] table")
    return rows


@cache
def _validated(kind: _Kind[Any], entry: _Entry) -> Sourced:
    """The record, strictly typed: no text for a number, no unknown key."""
    table = entry.table if entry.table is not None else _parsed(entry.file, _text(entry.file))
    try:
        record: Sourced = kind.type.model_validate_json(to_json(table), strict=True)
    except ValidationError as error:
        first = min(error.errors(include_url=False), key=_rank)
        where = (entry.name,) if kind.tables else ()
        raise ProfileError(entry.file, ".".join(map(str, (*where, *first["loc"]))), first["msg"]) from None
    if not kind.tables and getattr(record, "name", None) != entry.name:
        raise ProfileError(entry.file, "name", f"must be {entry.name!r}, as the file is called")
    return record


def _rank(error: ErrorDetails) -> int:
    """Which of several faults to name: a mistyped key before a wrong value before a missing key."""
    return {"extra_forbidden": 0, "missing": 2}.get(error["type"], 1)


@cache
def _prices(roots: Roots) -> tuple[GpuPrice, ...]:
    offers: dict[tuple[str, ...], tuple[GpuPrice, _Entry]] = {}
    for files in _sources(PRICES, roots):
        own: dict[tuple[str, ...], tuple[GpuPrice, _Entry]] = {}
        for entry in _tables(PRICES, files):
            price = cast("GpuPrice", _validated(PRICES, entry))
            _check_device(price, entry, roots)
            twin, _ = own.setdefault(_offer(price), (price, entry))
            if twin is not price:
                raise ProfileError(entry.file, entry.name, "this offer is priced twice in this folder")
        offers |= own
    for price, entry in offers.values():
        _check_spot(price, entry, offers)
    return tuple(sorted((p for p, _ in offers.values()), key=lambda p: (p.usd_per_hour, p.provider, p.gpu)))


def _offer(price: GpuPrice, kind: str | None = None) -> tuple[str, ...]:
    """What makes two prices prices of one thing; ``kind`` asks for the same machine under another contract."""
    return (price.provider, price.gpu, price.instance_type or "", str(price.gpus_per_instance), kind or price.kind)


def _check_device(price: GpuPrice, entry: _Entry, roots: Roots) -> None:
    devices = _names(GPUS, _sources(GPUS, roots))
    if gpu_key(price.gpu) not in devices:
        write = (
            " or ".join(nearest(price.gpu, [known.name for known in devices.values()]))
            or "a name that `selfhost gpus` lists"
        )
        raise ProfileError(entry.file, f"{entry.name}.gpu", f"{price.gpu!r} is not on record; write {write}")


def _check_spot(price: GpuPrice, entry: _Entry, offers: dict[tuple[str, ...], tuple[GpuPrice, _Entry]]) -> None:
    dear, _ = offers.get(_offer(price, "on_demand"), (None, None))
    if price.kind == "spot" and dear and price.usd_per_hour >= dear.usd_per_hour:
        reason = f"spot {price.usd_per_hour} is not below on demand {dear.usd_per_hour}"
        raise ProfileError(entry.file, f"{entry.name}.usd_per_hour", reason)


def _text(file: Path) -> str:
    try:
        if file.stat().st_size > MAX_BYTES:
            raise ProfileError(file, "", f"{file.stat().st_size:,} bytes; a profile is at most {MAX_BYTES:,}")
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise ProfileError(file, "", f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ProfileError(file, "", f"not UTF-8 text: {error.reason} at byte {error.start}") from None


def _parsed(file: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ProfileError(file, "", f"not TOML: {error}") from None


def _head(file: Path) -> dict[str, Any]:
    """The keys before the first table, without reading the rest: aliases and ids stand there."""
    text = _text(file)
    try:
        return tomllib.loads(text.partition("\n[")[0])
    except tomllib.TOMLDecodeError:
        return _parsed(file, text)
