"""`config.json` → `ModelSpec`: dimensions, attention per layer, and weights from the architecture's tensor list."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Literal

from toolkit.errors import DeclinedError, ModelFileError
from toolkit.models import quant, tensors
from toolkit.types import LayerAttention, ModelSpec, Role, WeightGroup


def spec_from_config(
    config: dict[str, Any],
    name: str,
    *,
    source: Literal["folder", "profile", "hub"],
    path: str | None = None,
    fmt: str | None = None,
) -> ModelSpec:
    """Facts of a model from its `config.json` values.

    ``fmt`` imagines another weight format than the checkpoint's own.

    Raises:
        DeclinedError: an architecture whose tensors are not listed in `tensors.FAMILIES`.
        ModelFileError: a config without the numbers an architecture needs.
    """
    architecture = str((config.get("architectures") or ["?"])[0])
    family = tensors.FAMILIES.get(architecture)
    if family is None:
        raise DeclinedError(
            f"{name}: the tensors of {architecture} are not modelled from config.json",
            "give a GGUF file of it, whose header lists every tensor.",
        )
    text = config.get("text_config") or config
    dims = _dims(text, name)
    chosen = quant.canonical(fmt) if fmt else quant.of_config(config)
    kept = quant.unconverted(config) if not fmt or fmt == quant.of_config(config) else []
    return ModelSpec(
        name=name,
        source=source,
        path=path,
        architecture=architecture,
        quant=chosen,
        layers=dims.layers,
        hidden=dims.hidden,
        heads=dims.heads,
        intermediate=dims.intermediate,
        vocab=dims.vocab,
        max_context=_count(text, "max_position_embeddings", name),
        tied_embeddings=dims.tied,
        experts=dims.experts,
        experts_per_token=dims.experts_per_token,
        moe_intermediate=dims.moe_intermediate,
        attention=_attention(text, dims, name),
        weights=_groups(list(tensors.decoder(text, dims, family)), chosen, kept),
    )


def _count(config: dict[str, Any], key: str, name: str, default: int | None = None) -> int:
    value = config.get(key)
    if value is None and default is not None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**31:
        raise ModelFileError(f"{name}: config.json has {key} = {value!r}, not a positive whole number")
    return value


def _dims(config: dict[str, Any], name: str) -> tensors.Dims:
    hidden, heads = _count(config, "hidden_size", name), _count(config, "num_attention_heads", name)
    kv_heads = _count(config, "num_key_value_heads", name, heads)
    experts = config.get("num_local_experts") or config.get("num_experts") or config.get("n_routed_experts") or 0
    intermediate = _count(config, "intermediate_size", name)
    return tensors.Dims(
        layers=_count(config, "num_hidden_layers", name),
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=_count(config, "head_dim", name, hidden // heads),
        intermediate=intermediate,
        vocab=_count(config, "vocab_size", name),
        tied=bool(config.get("tie_word_embeddings", _tied_by_default(config))),
        experts=int(experts),
        experts_per_token=int(config.get("num_experts_per_tok") or 0),
        moe_intermediate=int(config.get("moe_intermediate_size") or (intermediate if experts else 0)),
    )


def _tied_by_default(config: dict[str, Any]) -> bool:
    """Gemma ties its embeddings and says nothing (transformers `Gemma*Config` default)."""
    return str(config.get("model_type", "")).startswith("gemma")


def _attention(config: dict[str, Any], dims: tensors.Dims, name: str) -> tuple[LayerAttention, ...]:
    slides = _slides(config, dims.layers)
    window = _count(config, "sliding_window", name) if any(slides) else None
    return tuple(
        LayerAttention(
            kind="sliding" if slide else "full",
            kv_heads=dims.kv_heads,
            head_dim_k=dims.head_dim,
            head_dim_v=dims.head_dim,
            window=window if slide else None,
        )
        for slide in slides
    )


def _slides(config: dict[str, Any], layers: int) -> list[bool]:
    """Which layers slide: the config's own list, else the family's rule.

    Qwen writes a window and switches it off (`use_sliding_window`); Gemma 2 alternates; Gemma 3 has one full
    layer in `sliding_window_pattern`; Mistral v0.1 and Phi-3 slide everywhere.
    """
    if not config.get("sliding_window") or config.get("use_sliding_window") is False:
        return [False] * layers
    kinds = config.get("layer_types")
    if isinstance(kinds, list) and len(kinds) == layers:
        return [k == "sliding_attention" for k in kinds]
    kind = str(config.get("model_type", ""))
    period = {"gemma2": 2, "gemma3_text": 6, "gemma3": 6}.get(kind, 0)
    period = int(config.get("sliding_window_pattern") or period)
    return [(i + 1) % period != 0 for i in range(layers)] if period else [True] * layers


def _groups(listed: list[tensors.TensorShape], fmt: str, kept: list[str]) -> tuple[WeightGroup, ...]:
    params: dict[tuple[Role, int | None], int] = defaultdict(int)
    sizes: dict[tuple[Role, int | None], int] = defaultdict(int)
    for t in listed:
        params[t.role, t.layer] += t.elements
        sizes[t.role, t.layer] += quant.bytes_of(t, fmt, kept)
    return tuple(
        WeightGroup(role=role, layer=layer, params=n, bytes=sizes[role, layer]) for (role, layer), n in params.items()
    )
