"""The edge to price files of the user's own: TOML of our tables, or the price JSON of LiteLLM.

LiteLLM's file maps a model to dollars per token: ``input_cost_per_token``, ``output_cost_per_token``,
``cache_read_input_token_cost``, ``cache_creation_input_token_cost``, ``input_cost_per_token_batches``,
``litellm_provider``, ``mode`` and sometimes ``deprecation_date`` (BerriAI/litellm,
model_prices_and_context_window.json). Nothing of it is shipped here.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from toolkit.cost.formulas import MTOK
from toolkit.errors import InputError
from toolkit.types import ApiModel, GpuPrice

MAX_BYTES = 32 * 2**20
"""LiteLLM's file has about 1.5 MB."""
CHAT = ("chat", "completion", "responses")
PROVIDERS = {
    "gemini": "google", "vertex_ai": "google", "vertex_ai-language-models": "google",
    "vertex_ai-anthropic_models": "google", "together_ai": "together", "fireworks_ai": "fireworks", "xai": "x-ai",
    "bedrock": "aws", "bedrock_converse": "aws", "azure_ai": "azure", "cohere_chat": "cohere",
}  # fmt: skip
"""LiteLLM's names of providers where genai-prices uses others."""


def read_api_prices(path: Path) -> dict[str, ApiModel]:
    """Hosted models by name.

    Raises:
        InputError: the file cannot be read, has no such prices, or one that makes no sense.
    """
    if path.suffix.lower() == ".json":
        return _litellm(path, _json(path))
    found = {record.name: record for record in _tables(path, "api_model", ApiModel)}
    if not found:
        raise InputError(f"{path} has no API price", "Write [[api_model]] tables, or give LiteLLM's price JSON.")
    return found


def read_rents(path: Path) -> list[GpuPrice]:
    """The ``[[gpu_price]]`` tables of a TOML file; none of a JSON. Raises as `read_api_prices`."""
    return [] if path.suffix.lower() == ".json" else list(_tables(path, "gpu_price", GpuPrice))


def _tables(path: Path, name: str, kind: type[Any]) -> list[Any]:
    try:
        content = tomllib.loads(_text(path))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{path} is not TOML: {error}") from None
    unknown = next((key for key in content if key not in ("api_model", "gpu_price")), None)
    if unknown is not None:
        raise InputError(f"{path}: {unknown} is unknown", "A price file has [[api_model]] and [[gpu_price]] tables.")
    rows = content.get(name, [])
    if not isinstance(rows, list):
        raise InputError(f"{path}: write each price as a [[{name}]] table")
    return [_validated(path, f"{name}[{place}]", kind, row) for place, row in enumerate(rows, 1)]


def _validated(path: Path, where: str, kind: type[Any], row: object) -> Any:
    try:
        return kind.model_validate(row)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, (where, *first["loc"])))
        raise InputError(f"{path}: {key}: {first['msg'].removeprefix('Value error, ')}") from None


def _litellm(path: Path, content: Mapping[str, Any]) -> dict[str, ApiModel]:
    """Chat models with both prices above zero; others (images, speech, free ones) are no prices per token."""
    read = datetime.fromtimestamp(path.stat().st_mtime, UTC).date()
    found: dict[str, ApiModel] = {}
    for key, row in content.items():
        if not isinstance(row, Mapping) or row.get("mode", "chat") not in CHAT:
            continue
        record = _litellm_row(path, key, row, read)
        if record is not None:
            found.setdefault(record.name, record)
    if not found:
        raise InputError(f"{path} has no API price", "LiteLLM's file maps a model to its input_cost_per_token.")
    return found


def _litellm_row(path: Path, key: str, row: Mapping[str, Any], read: date) -> ApiModel | None:
    into, out = (_per_mtok(path, key, row, f"{kind}_cost_per_token") for kind in ("input", "output"))
    if not into or not out:
        return None
    named = str(row.get("litellm_provider") or key.partition("/")[0])
    provider = PROVIDERS.get(named, named)
    model = key.removeprefix(f"{named}/")
    cached = _per_mtok(path, key, row, "cache_read_input_token_cost")
    written = _per_mtok(path, key, row, "cache_creation_input_token_cost")
    batch = [_per_mtok(path, key, row, f"{kind}_cost_per_token_batches") for kind in ("input", "output")]
    fields = {
        "name": f"{provider}:{model}",
        "aliases": () if key == f"{provider}:{model}" else (key,),
        "provider": provider,
        "model": model,
        "usd_per_mtok_input": into,
        "usd_per_mtok_output": out,
        "usd_per_mtok_cached": cached if cached and cached <= into else None,
        "usd_per_mtok_cache_write": written or None,
        "usd_per_mtok_input_batch": batch[0] if all(batch) else None,
        "usd_per_mtok_output_batch": batch[1] if all(batch) else None,
        "retires": _date(row.get("deprecation_date")),
        "source": str(path.name),
        "checked": read,
    }
    record: ApiModel = _validated(path, key, ApiModel, fields)
    return record


def _per_mtok(path: Path, key: str, row: Mapping[str, Any], field: str) -> Decimal | None:
    """Dollars per million from dollars per token; None where it is not said."""
    value = row.get(field)
    if value is None:
        return None
    try:
        usd = Decimal(str(value)) * MTOK
    except InvalidOperation:
        raise InputError(f"{path}: {key}: {field} is {value!r}, not a price") from None
    if not usd.is_finite() or usd < 0:
        raise InputError(f"{path}: {key}: {field} is {value!r}; a price is finite and not below zero")
    return usd.normalize()


def _date(value: object) -> date | None:
    try:
        return date.fromisoformat(str(value)) if value else None
    except ValueError:
        return None  # the file says "when …" in its sample row


def _json(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON: {error}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} is no JSON object")
    return content


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} is larger than {MAX_BYTES // 2**20} MiB: no price file")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text") from None
