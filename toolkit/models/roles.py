"""What a tensor of a Hugging Face checkpoint is for, by its name; and how many weights are packed into it.

Names: transformers `models/*/modeling_*.py`, Mistral's `consolidated` layout, and the packing conventions of AutoAWQ,
GPTQ, compressed-tensors, ModelOpt, bitsandbytes and gpt-oss. First match wins, so the order of the rules is the rule.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from math import prod

from toolkit.models.safetensors import Tensor
from toolkit.types import Role


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks|block)\.(\d+)\.")

VISION = _words(
    "visual vision_tower vision_model vision_encoder vision_embed_tokens vision_embedder vision_language_adapter "
    "multi_modal_projector mm_projector mm_input_projection patch_merger embed_vision embed_tokens_extend "
    "image_newline vit vit_large_projector vpm resampler mlp1 mlp_AR aligner connector"
)
AUDIO = _words("audio_tower audio_encoder embed_audio audio_projection")
MTP = _words("mtp nextn mtp_layers mtp_block")
RECURRENT = _words("linear_attn mamba ssm A_log dt_bias dt_proj x_proj conv conv1d D in_proj out_proj time_mixer")
ATTENTION = _words("self_attn attn attention self_attention attention_block")
PROJECTIONS = _words("q_proj k_proj v_proj o_proj qkv_proj")
LATENT = _words("q_a_proj kv_a_proj_with_mqa kv_a_proj fused_qkv_a_proj_with_mqa indexer wq_a wkv_a")
ROUTER = _words("gate router shared_expert_gate weights_proj e_score_correction_bias")
SHARED = _words("shared_expert shared_experts")
MLP = _words("mlp feed_forward ffn fc1_latent_proj fc2_latent_proj gate_proj up_proj down_proj")
EMBEDDING = _words("embed_tokens wte wpe tok_embeddings word_embeddings embeddings embed")

NO_WEIGHTS = _words(
    "scale scales qzeros g_idx weight_zero_point weight_shape weight_g_idx input_zero_point weight_offset SCB "
    "absmax quant_map nested_absmax nested_quant_map weight_format bitsandbytes__nf4 bitsandbytes__fp4 inv_freq"
)
"""Last parts of names, besides those that end in ``_scale``, that hold bytes but no parameters."""


def of(name: str, layers: int) -> tuple[Role, int | None]:
    """Role and layer of a tensor in a model of ``layers`` layers; layers beyond those predict further tokens (MTP)."""
    match = LAYER.search(name)
    if match is None:
        return _outside(name), None
    outer = name[: match.start()]
    if outer and (role := _special(outer)):
        return role, None
    if (layer := int(match[1])) >= layers:
        return "mtp", None
    role = _inside(re.sub(r"\.\d+", "", name[match.end() :]))
    return role, layer


@lru_cache(maxsize=4096)
def _special(name: str) -> Role | None:
    """A tower or a prediction layer, by the parts of a name before its layer."""
    parts = name.split(".")
    if VISION.intersection(parts):
        return "vision"
    if AUDIO.intersection(parts):
        return "other"
    return "mtp" if MTP.intersection(parts) else None


@lru_cache(maxsize=4096)
def _outside(name: str) -> Role:
    parts = name.split(".")
    if role := _special(name):
        return role
    if "lm_head" in parts or "embed_out" in parts or parts[0] == "output":
        return "head"
    if EMBEDDING.intersection(parts):
        return "embedding"
    return "norm" if any("norm" in p or p.startswith("ln_") for p in parts) else "other"


@lru_cache(maxsize=4096)
def _inside(name: str) -> Role:
    """Role within a layer; ``name`` is what follows the layer's number, without the experts' numbers."""
    parts = set(name.split("."))
    rules: tuple[tuple[Role, bool], ...] = (
        ("router", bool(parts & ROUTER)),
        ("mlp", bool(parts & SHARED)),
        ("experts", any(p == "experts" or p.endswith("switch_mlp") for p in parts)),
        ("norm", any("norm" in p or p.startswith("ln_") for p in parts)),
        ("latent", bool(parts & LATENT)),
        ("attention", bool(parts & ATTENTION)),
        ("recurrent", bool(parts & RECURRENT)),
        ("attention", bool(parts & PROJECTIONS)),
        ("mlp", bool(parts & MLP)),
    )
    return next((role for role, matches in rules if matches), "other")


def params(tensor: Tensor, bits: int = 4) -> int:
    """Weights in a tensor as the model counts them; ``bits`` is the width of what is packed into 32-bit words.

    0 for scales, zero points and the like. A packed byte holds two 4-bit weights.
    """
    last = tensor.name.rpartition(".")[2]
    if last in NO_WEIGHTS or last.endswith(("_scale", "_scales", "_scale_inv", "_scale_2")):
        return 0
    elements = prod(tensor.shape)
    if last in ("qweight", "weight_packed") and tensor.dtype == "I32":
        return int(elements * Fraction(32, bits))
    packed = last in ("weight", "weight_packed") or last.endswith(("_blocks", "_proj"))
    return elements * 2 if tensor.dtype == "U8" and packed else elements
