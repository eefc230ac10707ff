"""Families by their published parameter counts: from a config alone, tensor by tensor."""

from __future__ import annotations

import pytest

from toolkit.models.config_spec import spec_from_config

AIR: dict[str, object] = {
    "architectures": ["Glm4MoeForCausalLM"],
    "attention_bias": True,
    "hidden_size": 4096,
    "intermediate_size": 10944,
    "moe_intermediate_size": 1408,
    "n_routed_experts": 128,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "first_k_dense_replace": 1,
    "num_attention_heads": 96,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "num_hidden_layers": 46,
    "num_nextn_predict_layers": 1,
    "vocab_size": 151552,
    "use_qk_norm": False,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": False,
}
GLM_4_5 = AIR | {
    "hidden_size": 5120,
    "intermediate_size": 12288,
    "moe_intermediate_size": 1536,
    "n_routed_experts": 160,
    "first_k_dense_replace": 3,
    "num_hidden_layers": 92,
    "use_qk_norm": True,
}
GLM_Z1 = {
    "architectures": ["Glm4ForCausalLM"],
    "hidden_size": 6144,
    "intermediate_size": 23040,
    "num_attention_heads": 48,
    "num_key_value_heads": 2,
    "head_dim": 128,
    "num_hidden_layers": 61,
    "vocab_size": 151552,
    "max_position_embeddings": 32768,
    "tie_word_embeddings": False,
}
QWEN_MOE = {
    "architectures": ["Qwen2MoeForCausalLM"],
    "hidden_size": 2048,
    "intermediate_size": 5632,
    "moe_intermediate_size": 1408,
    "shared_expert_intermediate_size": 5632,
    "num_experts": 60,
    "num_experts_per_tok": 4,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
    "num_hidden_layers": 24,
    "vocab_size": 151936,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": False,
}
QWEN_2_5_VL = {
    "architectures": ["Qwen2_5_VLForConditionalGeneration"],
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "num_hidden_layers": 28,
    "vocab_size": 152064,
    "max_position_embeddings": 128000,
    "tie_word_embeddings": False,
    "vision_config": {
        "depth": 32,
        "hidden_size": 1280,
        "intermediate_size": 3420,
        "out_hidden_size": 3584,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "in_chans": 3,
    },
}
QWEN_2_VL = QWEN_2_5_VL | {
    "architectures": ["Qwen2VLForConditionalGeneration"],
    "vision_config": {"depth": 32, "embed_dim": 1280, "hidden_size": 3584, "mlp_ratio": 4, "patch_size": 14},
}


@pytest.mark.parametrize(
    ("config", "params"),
    [
        (QWEN_MOE, 14_315_784_192),  # Qwen/Qwen1.5-MoE-A2.7B: 14.3B
        (QWEN_2_5_VL, 8_292_166_656),  # Qwen/Qwen2.5-VL-7B-Instruct: 8.29B
        (QWEN_2_VL, 8_291_375_616),  # Qwen/Qwen2-VL-7B-Instruct: 8.29B
    ],
)
def test_parameters_equal_the_published_count(config: dict[str, object], params: int) -> None:
    assert spec_from_config(config, "m", source="profile").params == params


@pytest.mark.parametrize(
    ("config", "billions"),
    [(AIR, 110.469), (GLM_4_5, 358.338), (GLM_Z1, 32.566)],
)
def test_parameters_equal_what_llamacpp_prints(config: dict[str, object], billions: float) -> None:
    """``model params`` of its log, in 10^9 and three decimals, prediction layers included."""
    assert round(spec_from_config(config, "m", source="profile").params / 1e9, 3) == billions
