"""`config.json` → `ModelSpec`: dimensions, cache per layer, and weights from the architecture's tensor list."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Literal

from toolkit.models import adapters, architectures, gguf_mix, quant, tensors
from toolkit.models.layers import Attention, Decoder, Layer
from toolkit.types import LayerAttention, ModelSpec, RecurrentState, Role, WeightGroup

LLAMA_70B_LAYERS, LLAMA_70B_HIDDEN = 80, 8192
"""llama.cpp knows the 70B class by its 80 layers; its quantizer treats it apart."""


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
        DeclinedError: an architecture that `architectures` does not read.
        ModelFileError: a config without the numbers an architecture needs.
    """
    decoder = architectures.read(config, name)
    mix = gguf_mix.canonical(fmt) if fmt else None
    if mix:
        facts = _mix_facts(decoder)
        spec = spec_from_decoder(decoder, config, name, source, path, mix, lambda t: gguf_mix.bytes_of(t, mix, facts))
        return _one_file(spec)
    own = quant.of_config(config)
    chosen = quant.scheme(fmt) if fmt else own
    chosen = own if chosen.name == own.name else chosen
    spec = spec_from_decoder(decoder, config, name, source, path, chosen.name, lambda t: quant.bytes_of(t, chosen))
    named = None if fmt else quant.undeclared(config, f"{name} {path or ''}")
    if named is None:
        return spec
    note = f"the name says {named}, config.json declares no quantization; sized as {own.name} unless a format is named"
    return spec.model_copy(update={"notes": (*spec.notes, note)})


def _one_file(spec: ModelSpec) -> ModelSpec:
    """What llama.cpp loads of its GGUF file: vision towers are a file of their own, prediction layers idle."""
    told = {"vision": "its vision tower would be a file of its own (mmproj), which is not counted"}
    held = {g.role for g in spec.weights}
    notes = tuple(note for role, note in told.items() if role in held)
    kept = tuple(g for g in spec.weights if g.role not in ("vision", "mtp"))
    return spec.model_copy(update={"weights": kept, "notes": (*spec.notes, *notes)})


def _mix_facts(decoder: Decoder) -> gguf_mix.Facts:
    first = next((x.attention for x in decoder.layers if x.attention.kind == "gqa"), None)
    moe = next((x.mlp for x in decoder.layers if x.mlp.kind == "moe"), None)
    return gguf_mix.Facts(
        layers=len(decoder.layers),
        heads_per_kv=first.heads // first.kv_heads if first else 1,
        experts=moe.experts if moe else 0,
        tied=decoder.tied,
        large=len(decoder.layers) == LLAMA_70B_LAYERS and decoder.hidden == LLAMA_70B_HIDDEN,
    )


def spec_from_decoder(
    decoder: Decoder,
    config: dict[str, Any],
    name: str,
    source: Literal["folder", "profile", "hub"],
    path: str | None,
    fmt: str,
    bytes_of: Callable[[tensors.TensorShape], int],
) -> ModelSpec:
    """The record of a decoder in a weight format, whose bytes per tensor ``bytes_of`` tells."""
    moe = next((layer.mlp for layer in decoder.layers if layer.mlp.kind == "moe"), None)
    return ModelSpec(
        name=name,
        source=source,
        path=path,
        architecture=str((config.get("architectures") or ["?"])[0]),
        quant=fmt,
        layers=len(decoder.layers),
        hidden=decoder.hidden,
        heads=max((layer.attention.heads for layer in decoder.layers), default=1) or 1,
        intermediate=max((_inner(layer) for layer in decoder.layers), default=0),
        vocab=decoder.vocab,
        max_context=decoder.max_context,
        tied_embeddings=decoder.tied,
        experts=moe.experts if moe else 0,
        experts_per_token=moe.active if moe else 0,
        moe_intermediate=moe.inner if moe else 0,
        attention=tuple(_cache(layer.attention) for layer in decoder.layers),
        recurrent=tuple(_state(layer) for layer in decoder.layers),
        mtp_attention=tuple(_cache(layer.attention) for layer in decoder.mtp),
        adapters=adapters.sites(tensors.of(decoder)),
        rope_cache_elements=decoder.rope_cache,
        weights=_groups(tensors.of(decoder), bytes_of),
    )


def _inner(layer: Layer) -> int:
    """The widest dense MLP of a layer, shared experts included."""
    dense = layer.dense.inner if layer.dense else 0
    return max(dense, layer.mlp.shared_inner if layer.mlp.kind == "moe" else layer.mlp.inner)


def _cache(a: Attention) -> LayerAttention:
    if a.kind == "mla":
        return LayerAttention(
            kind="mla",
            latent_dim=a.kv_lora + a.rope_dim,
            head_dim_v=a.kv_lora,
            absorbed_elements=a.heads * (a.nope_dim + a.v_head_dim) * a.kv_lora,
            index_dim=a.index_dim,
        )
    if a.kind != "gqa":
        return LayerAttention(kind="none")
    kind: Literal["full", "sliding", "chunked"] = "full"
    if a.window is not None:
        kind = "chunked" if a.chunked else "sliding"
    return LayerAttention(
        kind=kind,
        kv_heads=a.kv_heads,
        head_dim_k=a.head_dim,
        head_dim_v=a.v_head_dim,
        window=a.window,
        index_dim=a.index_dim,
    )


def _state(layer: Layer) -> RecurrentState:
    """What a linear-attention, Mamba or convolution layer keeps per sequence: a convolution window, a state matrix."""
    a = layer.beside or layer.attention
    rows, state = a.conv_kernel - 1, a.value_dim * a.state_size
    if a.kind == "delta":
        return _recurrent("delta", a, (2 * a.key_dim + a.value_dim) * rows, state)
    if a.kind == "mamba":
        return _recurrent("mamba2", a, (a.value_dim + 2 * a.groups * a.state_size) * rows, state)
    if a.kind == "mamba1":
        return _recurrent("mamba1", a, a.value_dim * rows, state)
    if a.kind == "conv":
        return _recurrent("conv", a, a.value_dim * rows, 0)
    return RecurrentState()


def _recurrent(
    kind: Literal["delta", "mamba1", "mamba2", "conv"], a: Attention, conv: int, state: int
) -> RecurrentState:
    return RecurrentState(
        kind=kind,
        conv_elements=conv,
        conv_rows=a.conv_kernel - 1,
        state_elements=state,
        state_bytes=a.state_bytes,
        inner=a.value_dim,
    )


def _groups(
    listed: Iterable[tensors.TensorShape], bytes_of: Callable[[tensors.TensorShape], int]
) -> tuple[WeightGroup, ...]:
    params: dict[tuple[Role, int | None], int] = defaultdict(int)
    sizes: dict[tuple[Role, int | None], int] = defaultdict(int)
    for t in listed:
        params[t.role, t.layer] += t.elements
        sizes[t.role, t.layer] += bytes_of(t)
    return tuple(
        WeightGroup(role=role, layer=layer, params=n, bytes=sizes[role, layer]) for (role, layer), n in params.items()
    )
