"""Vision towers: every tensor of the encoder and its projector, by family.

Shapes from transformers `models/{siglip,qwen3_vl,pixtral,mistral3,llama4}/modeling_*.py`. They are 0.4-0.9 billion
parameters, 0.1-10 % of a model, and engines replicate most of them over tensor-parallel ranks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from toolkit.models.layers import Vision

MAX_LAYERS = 1000
"""More than any tower has."""

Pairs = Iterator[tuple[str, tuple[int, ...]]]


def siglip(config: dict[str, Any], text_hidden: int) -> Vision:
    """Gemma 3: SigLIP-So400m and one projection to the text's size."""
    v = config["vision_config"]
    d, patches = v["hidden_size"], (v.get("image_size", 896) // v.get("patch_size", 14)) ** 2
    return Vision(
        (
            *_linear("patch_embedding", d, 3 * v.get("patch_size", 14) ** 2),
            ("position_embedding.weight", (patches, d)),
            *_encoder(v["num_hidden_layers"], d, v["intermediate_size"]),
            *_norm("post_layernorm", d),
            ("mm_input_projection_weight", (d, text_hidden)),
            ("mm_soft_emb_norm.weight", (d,)),
        )
    )


def moonvit(text_hidden: int) -> Vision:
    """Kimi K2.5's MoonViT: a SigLIP-sized encoder and a 2 × 2 merging projector. Its config values are constants here.

    0.4 billion of a thousand; the projector's inner size is assumed to be that of Kimi-VL.
    """
    d = 1152
    return Vision(
        (
            *_linear("patch_embed.proj", d, 3 * 14**2),
            ("patch_embed.pos_emb.weight", (64, 64, d)),
            *_encoder(27, d, 4304),
            *_norm("final_layernorm", d),
            *_norm("projector.pre_norm", d),
            *_linear("projector.linear_1", 4 * d, 4 * d),
            *_linear("projector.linear_2", text_hidden, 4 * d),
        )
    )


def qwen3_vl(config: dict[str, Any]) -> Vision:
    """Qwen3-VL and Qwen3.5: fused QKV, a 2 × 2 patch merger, and one merger per deepstack level."""
    v = config["vision_config"]
    d, out, merged = v["hidden_size"], v["out_hidden_size"], v["hidden_size"] * v["spatial_merge_size"] ** 2
    patch = v["in_channels"] * v["temporal_patch_size"] * v["patch_size"] ** 2
    levels = len(v.get("deepstack_visual_indexes") or ())
    return Vision(
        (
            *_linear("patch_embed.proj", d, patch),
            ("pos_embed.weight", (v["num_position_embeddings"], d)),
            *_encoder(v["depth"], d, v["intermediate_size"]),
            *_norm("merger.norm", d),
            *_merger("merger", merged, out),
            *(
                t
                for n in range(levels)
                for t in (*_norm(f"deepstack.{n}", merged), *_merger(f"deepstack.{n}", merged, out))
            ),
        )
    )


def pixtral(config: dict[str, Any], text_hidden: int) -> Vision:
    """Mistral Small 3.x: Pixtral without biases, gated MLPs, and a 2 × 2 patch merger."""
    v = config["vision_config"]
    d, inner, merge = v["hidden_size"], v["intermediate_size"], config.get("spatial_merge_size", 2) ** 2

    def layers() -> Pairs:
        for i in range(v["num_hidden_layers"]):
            for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
                yield f"layers.{i}.attention.{name}.weight", (d, d)
            yield f"layers.{i}.feed_forward.gate_proj.weight", (inner, d)
            yield f"layers.{i}.feed_forward.up_proj.weight", (inner, d)
            yield f"layers.{i}.feed_forward.down_proj.weight", (d, inner)
            yield f"layers.{i}.attention_norm.weight", (d,)
            yield f"layers.{i}.ffn_norm.weight", (d,)

    return Vision(
        (
            ("patch_conv.weight", (d, 3, v["patch_size"], v["patch_size"])),
            ("ln_pre.weight", (d,)),
            *layers(),
            ("projector.norm.weight", (d,)),
            ("projector.patch_merger.merging_layer.weight", (d, d * merge)),
            ("projector.linear_1.weight", (text_hidden, d)),
            ("projector.linear_2.weight", (text_hidden, text_hidden)),
        )
    )


def llama4(config: dict[str, Any], text_hidden: int) -> Vision:
    """Llama 4: `Llama4VisionConfig` defaults where the config is silent."""
    v = config.get("vision_config") or {}
    d, inner = v.get("hidden_size", 1408), v.get("intermediate_size", 5632)
    patch, image = v.get("patch_size", 14), v.get("image_size", 336)
    projected = v.get("vision_output_dim", 4096)
    return Vision(
        (
            ("class_embedding", (d,)),
            ("positional_embedding_vlm", ((image // patch) ** 2 + 1, d)),
            ("patch_embedding.linear.weight", (d, 3 * patch**2)),
            *_norm("layernorm_pre", d),
            *_encoder(v.get("num_hidden_layers", 34), d, inner),
            *_norm("layernorm_post", d),
            ("vision_adapter.mlp.fc1.weight", (v.get("projector_input_dim", 4096), inner)),
            ("vision_adapter.mlp.fc2.weight", (projected, v.get("projector_output_dim", 4096))),
            ("multi_modal_projector.linear_1.weight", (text_hidden, projected)),
        )
    )


def gemma4(config: dict[str, Any], text_hidden: int) -> Vision:
    """Gemma 4: gated MLPs, four norms a layer, two position tables; about 0.6 billion parameters.

    Read from its config, not from a published header: an estimate within a few per cent of the tower.
    """
    v = config["vision_config"]
    d, inner, dim = v["hidden_size"], v["intermediate_size"], v.get("head_dim", 72)

    def layers() -> Pairs:
        for i in range(v["num_hidden_layers"]):
            for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
                yield f"layers.{i}.self_attn.{name}.weight", (d, d)
            for name, shape in {"gate": (inner, d), "up": (inner, d), "down": (d, inner)}.items():
                yield f"layers.{i}.mlp.{name}_proj.weight", shape
            for n in range(4):
                yield f"layers.{i}.norm{n}.weight", (d,)
            yield f"layers.{i}.self_attn.q_norm.weight", (dim,)
            yield f"layers.{i}.self_attn.k_norm.weight", (dim,)

    return Vision(
        (
            ("patch_embedder.input_proj.weight", (d, 3 * v["patch_size"] ** 2)),
            ("patch_embedder.position_embedding_table", (2, v.get("position_embedding_size", 10240), d)),
            *layers(),
            ("embed_vision.embedding_projection.weight", (text_hidden, d)),
        )
    )


def qwen2_vl(config: dict[str, Any], text_hidden: int) -> Vision:
    """Qwen2-VL: an encoder with an MLP four times as wide, and a 2 × 2 merger of two layers."""
    v = config["vision_config"]
    d = v.get("embed_dim", v.get("hidden_size"))
    merged = d * v.get("spatial_merge_size", 2) ** 2
    return Vision(
        (
            ("patch_embed.proj.weight", (d, _patch(v))),
            *_encoder(v["depth"], d, int(d * v.get("mlp_ratio", 4))),
            *_norm("merger.ln_q", d),
            *_linear("merger.mlp.0", merged, merged),
            *_linear("merger.mlp.2", text_hidden, merged),
        )
    )


def qwen2_5_vl(config: dict[str, Any], text_hidden: int) -> Vision:
    """Qwen2.5-VL: the same with a gated MLP and norms without biases."""
    v = config["vision_config"]
    d, inner = v["hidden_size"], v["intermediate_size"]
    merged = d * v.get("spatial_merge_size", 2) ** 2
    return Vision(
        (
            ("patch_embed.proj.weight", (d, _patch(v))),
            *_gated_encoder(v["depth"], d, inner),
            ("merger.ln_q.weight", (d,)),
            *_linear("merger.mlp.0", merged, merged),
            *_linear("merger.mlp.2", text_hidden, merged),
        )
    )


def _patch(v: dict[str, Any]) -> int:
    """Values of one patch over the images it spans."""
    channels = v.get("in_channels") or v.get("in_chans") or 3
    return int(channels * v.get("temporal_patch_size", 2) * v.get("patch_size", 14) ** 2)


def _gated_encoder(layers: int, d: int, inner: int) -> Pairs:
    """A ViT encoder with a gated MLP, biases, and norms that have none."""
    _check_layers(layers)
    for i in range(layers):
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield from _linear(f"layers.{i}.self_attn.{name}", d, d)
        yield from _linear(f"layers.{i}.mlp.gate_proj", inner, d)
        yield from _linear(f"layers.{i}.mlp.up_proj", inner, d)
        yield from _linear(f"layers.{i}.mlp.down_proj", d, inner)
        yield f"layers.{i}.norm1.weight", (d,)
        yield f"layers.{i}.norm2.weight", (d,)


def _check_layers(layers: int) -> None:
    if not 0 < layers <= MAX_LAYERS:
        raise ValueError(f"a vision tower of {layers} layers")


def _encoder(layers: int, d: int, inner: int) -> Pairs:
    """A ViT encoder with biases: attention of four d × d matrices, a two-matrix MLP, two layer norms."""
    _check_layers(layers)
    for i in range(layers):
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield from _linear(f"layers.{i}.self_attn.{name}", d, d)
        yield from _linear(f"layers.{i}.mlp.fc1", inner, d)
        yield from _linear(f"layers.{i}.mlp.fc2", d, inner)
        yield from _norm(f"layers.{i}.norm1", d)
        yield from _norm(f"layers.{i}.norm2", d)


def _merger(name: str, merged: int, out: int) -> Pairs:
    yield from _linear(f"{name}.linear_fc1", merged, merged)
    yield from _linear(f"{name}.linear_fc2", out, merged)


def _linear(name: str, out: int, into: int) -> Pairs:
    yield f"{name}.weight", (out, into)
    yield f"{name}.bias", (out,)


def _norm(name: str, d: int) -> Pairs:
    yield f"{name}.weight", (d,)
    yield f"{name}.bias", (d,)
