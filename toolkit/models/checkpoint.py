"""A checkpoint's `config.json` and tensor list → `ModelSpec`: dimensions from the one, weights from the other.

The headers are what an engine will load, so their sizes are exact; the config says how the layers attend. Where the
two contradict each other the checkpoint is refused, never averaged.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal

from toolkit.errors import DeclinedError, InputError, ModelFileError
from toolkit.models import architectures, gguf_mix, quant, roles, unlisted
from toolkit.models.config_spec import spec_from_config, spec_from_decoder
from toolkit.models.safetensors import Tensor
from toolkit.types import ModelSpec, Role, WeightGroup

MODELOPT = {
    "w4a16_awq": "awq",
    "w4a8_awq": "awq",
    "fp8_pb_wo": "fp8",
    "fp8_per_channel_per_token": "fp8",
    "w8a8_sq_per_channel": "int8",
    "int8_sq": "int8",
    "nvfp4_awq": "nvfp4",
}
"""ModelOpt's `quant_algo` → the weight format it stores (`modelopt/torch/export/quant_utils.py`)."""

DTYPES = {"BF16": "bf16", "F16": "fp16", "F32": "fp32", "F8_E4M3": "fp8"}


def spec_from_checkpoint(
    config: dict[str, Any],
    tensors: tuple[Tensor, ...],
    name: str,
    *,
    source: Literal["folder", "hub"],
    path: str | None,
    fmt: str | None = None,
) -> ModelSpec:
    """Facts of a model from its config and every tensor of its files.

    ``fmt`` imagines another weight format, whose sizes are computed.

    Raises:
        ModelFileError: config and weights contradict each other.
        DeclinedError: how its layers attend cannot be told.
    """
    own = _format(config, tensors)
    notes = tuple(_notes(config, own))
    if fmt and (gguf_mix.canonical(fmt) or quant.scheme(fmt).name != own.name):
        imagined = spec_from_config(config, name, source=source, path=path, fmt=fmt)
        return imagined.model_copy(update={"notes": notes})
    try:
        decoder = architectures.read(config, name)
    except DeclinedError:
        decoder = unlisted.read(config, name, tensors)
    base = spec_from_decoder(decoder, config, name, source, path, own.name, lambda t: quant.bytes_of(t, own))
    weights = groups(tensors, base.layers, _packed_bits(config))
    _check_layers(weights, base.layers, name)
    stored = any(g.role == "head" for g in weights)
    tied = bool(config.get("tie_word_embeddings", _text(config).get("tie_word_embeddings"))) or not stored
    return base.model_copy(
        update={
            "weights": tuple(g for g in weights if not (tied and g.role == "head")),
            "tied_embeddings": tied,
            "weights_basis": "engine",
            "intermediate": base.intermediate or int(_text(config).get("intermediate_size") or 0),
            "notes": notes,
        }
    )


def parse_config(raw: bytes, shown: str) -> dict[str, Any]:
    """A `config.json` as a JSON object.

    Raises:
        ModelFileError: no JSON, or no object.
    """
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{shown} is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise ModelFileError(f"{shown} is no JSON object")
    return value


def with_modelopt(config: dict[str, Any], found: dict[str, Any] | None) -> dict[str, Any]:
    """The config with the quantization that a `hf_quant_config.json` declares, where it does not say so itself."""
    if not found or isinstance(config.get("quantization_config"), dict):
        return config
    said = found.get("quantization")
    if not isinstance(said, dict) or not said.get("quant_algo"):
        return config
    algorithm = str(said["quant_algo"]).lower()
    kept = said.get("exclude_modules")
    declared = {
        "quant_method": "modelopt",
        "quant_algo": MODELOPT.get(algorithm, algorithm),
        "ignore": kept if isinstance(kept, list) else [],
        "kv_cache_quant_algo": said.get("kv_cache_quant_algo"),
    }
    return {**config, "quantization_config": declared}


def groups(tensors: Iterable[Tensor], layers: int, bits: int) -> tuple[WeightGroup, ...]:
    """Tensors summed by role and layer; ``bits`` is the width of weights packed into 32-bit words."""
    params: dict[tuple[Role, int | None], int] = defaultdict(int)
    sizes: dict[tuple[Role, int | None], int] = defaultdict(int)
    for t in tensors:
        key = roles.of(t.name, layers)
        params[key] += roles.params(t, bits)
        sizes[key] += t.bytes
    return tuple(
        WeightGroup(role=role, layer=layer, params=n, bytes=sizes[role, layer]) for (role, layer), n in params.items()
    )


def _text(config: dict[str, Any]) -> dict[str, Any]:
    text = config.get("text_config")
    return text if isinstance(text, dict) else config


def _declared(config: dict[str, Any]) -> dict[str, Any]:
    found = config.get("quantization_config") or _text(config).get("quantization_config")
    return found if isinstance(found, dict) else {}


def _format(config: dict[str, Any], tensors: tuple[Tensor, ...]) -> quant.Scheme:
    """The weight format: what the config declares, else the type that holds most bytes.

    A declared mixture needs no width here, only a name: the sizes come from the headers.
    """
    declared = _declared(config)
    if not declared:
        return quant.FORMATS[DTYPES.get(_widest(tensors), "bf16")]
    try:
        return quant.of_config(config)
    except InputError:
        name = str(declared.get("quant_algo") or declared.get("quant_method") or "mixed").lower()
        return replace(quant.FORMATS["bf16"], name=name)


def _widest(tensors: tuple[Tensor, ...]) -> str:
    sizes: dict[str, int] = defaultdict(int)
    for t in tensors:
        sizes[t.dtype] += t.bytes
    return max(sizes, key=sizes.__getitem__) if sizes else "BF16"


def _packed_bits(config: dict[str, Any]) -> int:
    """Bits of one weight inside a 32-bit word, as AWQ, GPTQ or compressed-tensors declare them; 4 when silent."""
    declared = _declared(config)
    listed = declared.get("config_groups")
    inner = [
        w.get("num_bits")
        for g in (listed.values() if isinstance(listed, dict) else ())
        if isinstance(g, dict) and isinstance(w := g.get("weights"), dict)
    ]
    found = next((b for b in (declared.get("bits"), declared.get("w_bit"), *inner) if isinstance(b, int)), 4)
    return found if 1 <= found <= 16 else 4


def _check_layers(weights: tuple[WeightGroup, ...], layers: int, name: str) -> None:
    have = {g.layer for g in weights if g.layer is not None}
    if have and len(have) < layers:
        lost = next(n for n in range(layers) if n not in have)
        raise ModelFileError(
            f"{name}: config.json says {layers} layers, and the weights have {len(have)}; number {lost} is missing",
            "a shard is missing, or config.json belongs to another model.",
        )
    if not have:
        raise DeclinedError(f"{name}: no tensor of its files is named as part of a layer; its weights are not modelled")


def _notes(config: dict[str, Any], own: quant.Scheme) -> Iterable[str]:
    if own.name == "fp32":
        yield "the weights are stored in 32 bits and sized so; vLLM loads them in 16 bits unless told otherwise"
    declared = _declared(config)
    if kv := declared.get("kv_cache_quant_algo") or declared.get("kv_cache_scheme"):
        kind = kv if isinstance(kv, str) else "8-bit"
        yield f"the checkpoint asks for a {kind} KV cache, which some engine versions obey; sized as you set it"
