"""Small models with the cache geometry of well-known ones. Widths that do not touch the cache are tiny.

Each entry: `config.json` values, and the words `vllm serve` needs besides the common ones.
"""

from __future__ import annotations

from typing import Any

TINY: dict[str, Any] = {
    "hidden_size": 256,
    "intermediate_size": 256,
    "vocab_size": 49152,
    "max_position_embeddings": 131072,
    "rms_norm_eps": 1e-6,
    "hidden_act": "silu",
    "tie_word_embeddings": True,
    "dtype": "bfloat16",
    "bos_token_id": 1,
    "eos_token_id": 2,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
}


def config(architecture: str, model_type: str, **values: Any) -> dict[str, Any]:
    return {**TINY, "architectures": [architecture], "model_type": model_type, **values}


def gemma3(**values: Any) -> dict[str, Any]:
    rope = {
        "full_attention": {"rope_type": "default", "rope_theta": 1e6},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
    }
    return config(
        "Gemma3ForCausalLM",
        "gemma3_text",
        hidden_activation="gelu_pytorch_tanh",
        rope_parameters=rope,
        layer_types=[
            "full_attention" if (i + 1) % 6 == 0 else "sliding_attention" for i in range(values["num_hidden_layers"])
        ],
        **values,
    )


CONFIGS: dict[str, dict[str, Any]] = {
    "qwen3-like": config(
        "Qwen3ForCausalLM", "qwen3", num_hidden_layers=8, num_attention_heads=8, num_key_value_heads=2, head_dim=128
    ),
    "gemma3-like-14": gemma3(
        num_hidden_layers=14, num_attention_heads=4, num_key_value_heads=2, head_dim=64, sliding_window=512
    ),
    "gemma3-27b-like": gemma3(
        num_hidden_layers=62, num_attention_heads=4, num_key_value_heads=2, head_dim=128, sliding_window=1024
    ),
    "gemma3-1b-like": gemma3(
        num_hidden_layers=26, num_attention_heads=4, num_key_value_heads=1, head_dim=256, sliding_window=512
    ),
    "gemma2-2b-like": config(
        "Gemma2ForCausalLM",
        "gemma2",
        num_hidden_layers=26,
        num_attention_heads=8,
        num_key_value_heads=4,
        head_dim=256,
        sliding_window=4096,
        query_pre_attn_scalar=256,
        hidden_activation="gelu_pytorch_tanh",
        attn_logit_softcapping=None,
        final_logit_softcapping=30.0,
        layer_types=["sliding_attention" if i % 2 == 0 else "full_attention" for i in range(26)],
    ),
    "mistral-7b-v0.1-like": config(
        "MistralForCausalLM",
        "mistral",
        num_hidden_layers=8,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=128,
        sliding_window=4096,
    ),
    "gpt-oss-like": config(
        "GptOssForCausalLM",
        "gpt_oss",
        num_hidden_layers=24,
        num_attention_heads=16,
        num_key_value_heads=8,
        head_dim=64,
        sliding_window=128,
        num_local_experts=4,
        num_experts_per_tok=2,
        layer_types=["sliding_attention" if i % 2 == 0 else "full_attention" for i in range(24)],
    ),
    "llama4-like": config(
        "Llama4ForCausalLM",
        "llama4_text",
        num_hidden_layers=12,
        num_attention_heads=8,
        num_key_value_heads=2,
        head_dim=128,
        attention_chunk_size=8192,
        interleave_moe_layer_step=1,
        num_local_experts=4,
        num_experts_per_tok=1,
        intermediate_size_mlp=256,
        use_qk_norm=True,
        no_rope_layers=[0 if (i + 1) % 4 == 0 else 1 for i in range(12)],
        layer_types=["full_attention" if (i + 1) % 4 == 0 else "chunked_attention" for i in range(12)],
    ),
    "deepseek-v2-like": config(
        "DeepseekV2ForCausalLM",
        "deepseek_v2",
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=4,
        kv_lora_rank=512,
        q_lora_rank=None,
        qk_rope_head_dim=64,
        qk_nope_head_dim=128,
        v_head_dim=128,
        n_routed_experts=4,
        n_shared_experts=1,
        num_experts_per_tok=2,
        moe_intermediate_size=128,
        first_k_dense_replace=1,
        moe_layer_freq=1,
        n_group=1,
        topk_group=1,
        topk_method="greedy",
        scoring_func="softmax",
        norm_topk_prob=False,
        routed_scaling_factor=1.0,
    ),
    "qwen3-next-like": config(
        "Qwen3NextForCausalLM",
        "qwen3_next",
        num_hidden_layers=12,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=256,
        partial_rotary_factor=0.25,
        linear_num_key_heads=4,
        linear_num_value_heads=8,
        linear_key_head_dim=128,
        linear_value_head_dim=128,
        linear_conv_kernel_dim=4,
        full_attention_interval=4,
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=128,
        shared_expert_intermediate_size=128,
        decoder_sparse_step=1,
        norm_topk_prob=True,
        mlp_only_layers=[],
        layer_types=["full_attention" if (i + 1) % 4 == 0 else "linear_attention" for i in range(12)],
    ),
    "qwen3.5-like": config(
        "Qwen3_5ForCausalLM",
        "qwen3_5_text",
        num_hidden_layers=12,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=256,
        linear_num_key_heads=4,
        linear_num_value_heads=8,
        linear_key_head_dim=128,
        linear_value_head_dim=128,
        linear_conv_kernel_dim=4,
        full_attention_interval=4,
        rope_parameters={"rope_type": "default", "rope_theta": 1e7, "partial_rotary_factor": 0.25},
        layer_types=["full_attention" if (i + 1) % 4 == 0 else "linear_attention" for i in range(12)],
    ),
    "granite4-like": config(
        "GraniteMoeHybridForCausalLM",
        "granitemoehybrid",
        num_hidden_layers=10,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        layer_types=["attention" if i == 5 else "mamba" for i in range(10)],
        mamba_n_heads=16,
        mamba_d_head=32,
        mamba_n_groups=1,
        mamba_d_state=128,
        mamba_d_conv=4,
        mamba_expand=2,
        mamba_chunk_size=256,
        mamba_conv_bias=True,
        mamba_proj_bias=False,
        num_local_experts=0,
        num_experts_per_tok=0,
        shared_intermediate_size=256,
        embedding_multiplier=1.0,
        attention_multiplier=0.125,
        residual_multiplier=1.0,
        logits_scaling=1.0,
        position_embedding_type="nope",
    ),
    "cohere2-like": config(
        "Cohere2ForCausalLM",
        "cohere2",
        num_hidden_layers=16,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=128,
        sliding_window=4096,
        layer_norm_eps=1e-5,
        logit_scale=0.25,
        layer_types=["full_attention" if (i + 1) % 4 == 0 else "sliding_attention" for i in range(16)],
    ),
}
