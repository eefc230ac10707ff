"""Weights from config.json equal published totals, tensor by tensor.

Expected sizes: the `total_size` of each checkpoint's `model.safetensors.index.json` or the "params" badge that the
hub computes from the headers, as published; read 2026-11-23.
"""

from __future__ import annotations

import pytest

from tests.vllm.kv_configs import CONFIGS
from toolkit import profiles
from toolkit.errors import DeclinedError, ModelFileError, UnknownNameError
from toolkit.models.config_spec import spec_from_config

LLAMA_8B = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "max_position_embeddings": 131072,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "vocab_size": 128256,
}
QWEN3_8B = {
    "architectures": ["Qwen3ForCausalLM"],
    "head_dim": 128,
    "hidden_size": 4096,
    "intermediate_size": 12288,
    "max_position_embeddings": 40960,
    "num_attention_heads": 32,
    "num_hidden_layers": 36,
    "num_key_value_heads": 8,
    "tie_word_embeddings": False,
    "vocab_size": 151936,
    "sliding_window": None,
}
GEMMA2_9B = {
    "architectures": ["Gemma2ForCausalLM"],
    "model_type": "gemma2",
    "head_dim": 256,
    "hidden_size": 3584,
    "intermediate_size": 14336,
    "max_position_embeddings": 8192,
    "num_attention_heads": 16,
    "num_hidden_layers": 42,
    "num_key_value_heads": 8,
    "sliding_window": 4096,
    "vocab_size": 256000,
}
MIXTRAL = {
    "architectures": ["MixtralForCausalLM"],
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "max_position_embeddings": 32768,
    "num_attention_heads": 32,
    "num_experts_per_tok": 2,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "num_local_experts": 8,
    "tie_word_embeddings": False,
    "vocab_size": 32000,
}


@pytest.mark.parametrize(
    ("config", "params"),
    [
        (LLAMA_8B, 8_030_261_248),  # meta-llama/Llama-3.1-8B: "8.03B params", total_size 16,060,522,496 bytes
        (QWEN3_8B, 8_190_735_360),  # Qwen/Qwen3-8B: total_size 16,381,470,720 bytes
        (GEMMA2_9B, 9_241_705_984),  # google/gemma-2-9b: total_size 18,483,411,968 bytes
        (MIXTRAL, 46_702_792_704),  # mistralai/Mixtral-8x7B-v0.1: total_size 93,405,585,408 bytes
    ],
)
def test_parameters_equal_the_published_count(config: dict[str, object], params: int) -> None:
    spec = spec_from_config(config, "m", source="profile")
    assert spec.params == params
    assert spec.weights_bytes == 2 * params


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("granite4-like", 18_956_208),
        ("cohere2-like", 22_024_448),
        ("jamba-like", 30_792_784),
        ("falcon-h1-like", 17_745_952),
        ("lfm2-like", 19_546_624),
    ],
)
def test_parameters_equal_those_of_the_transformers_model(name: str, params: int) -> None:
    """Counted by building the same config with transformers 5.19.0 on the meta device; read 2026-11-24."""
    assert spec_from_config(CONFIGS[name], "m", source="folder").params == params


GRANITE_4_H_SMALL = {
    "architectures": ["GraniteMoeHybridForCausalLM"],
    "hidden_size": 4096,
    "intermediate_size": 768,
    "shared_intermediate_size": 1536,
    "num_local_experts": 72,
    "num_experts_per_tok": 10,
    "num_hidden_layers": 40,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "layer_types": ["attention" if i in (5, 15, 25, 35) else "mamba" for i in range(40)],
    "mamba_d_conv": 4,
    "mamba_d_head": 64,
    "mamba_d_state": 128,
    "mamba_expand": 2,
    "mamba_n_groups": 1,
    "mamba_n_heads": 128,
    "max_position_embeddings": 131_072,
    "position_embedding_type": "nope",
    "tie_word_embeddings": True,
    "vocab_size": 100_352,
}


def test_granite_4_small_has_the_published_32_billion() -> None:
    """ibm-granite/granite-4.0-h-small: 32B total (model card: 32B, 9B active)."""
    assert spec_from_config(GRANITE_4_H_SMALL, "m", source="profile").params / 1e9 == pytest.approx(32.2, abs=0.1)


def test_awq_keeps_embedding_and_head_in_16_bits() -> None:
    """vLLM logs 5.37 GiB for Llama-3.1-8B AWQ, of which 1.96 GiB is embedding + head; params / 2 would say 3.74."""
    spec = spec_from_config(LLAMA_8B, "m", source="profile", fmt="awq")
    assert spec.weights_bytes / 2**30 == pytest.approx(5.37, rel=0.01)
    outer = sum(g.bytes for g in spec.weights if g.role in ("embedding", "head"))
    assert outer == 2 * 128256 * 4096 * 2


def test_sliding_layers() -> None:
    kinds = [a.kind for a in spec_from_config(GEMMA2_9B, "m", source="profile").attention]
    assert kinds[:4] == ["sliding", "full", "sliding", "full"]
    qwen = {**QWEN3_8B, "sliding_window": 4096, "use_sliding_window": False}
    assert {a.kind for a in spec_from_config(qwen, "m", source="profile").attention} == {"full"}


def test_head_dim_is_taken_from_the_config() -> None:
    small = {**QWEN3_8B, "hidden_size": 1024, "num_attention_heads": 16}  # Qwen3-0.6B: 128, not 1024 / 16
    assert spec_from_config(small, "m", source="profile").attention[0].head_dim_k == 128


def test_unknown_architecture_is_declined() -> None:
    with pytest.raises(DeclinedError, match="FooForCausalLM"):
        spec_from_config({**LLAMA_8B, "architectures": ["FooForCausalLM"]}, "m", source="profile")


@pytest.mark.parametrize("bad", [None, 0, -1, 2.5, "4096", True])
def test_a_config_without_its_numbers_says_which(bad: object) -> None:
    with pytest.raises(ModelFileError, match="hidden_size"):
        spec_from_config({**LLAMA_8B, "hidden_size": bad}, "m", source="profile")


def test_unknown_format_gets_did_you_mean() -> None:
    with pytest.raises(UnknownNameError) as caught:
        spec_from_config(LLAMA_8B, "m", source="profile", fmt="gptg")
    assert "gptq" in caught.value.nearest


def test_a_format_in_the_name_alone_is_no_silent_bf16() -> None:
    """Re-hosted NVFP4 and FP8 models keep their quantization in hf_quant_config.json."""
    (note,) = spec_from_config(LLAMA_8B, "nvidia/Llama-3.1-8B-Instruct-FP8", source="profile").notes
    assert "the name says fp8" in note
    assert spec_from_config(LLAMA_8B, "Llama-3.1-8B-Instruct-FP8", source="profile", fmt="fp8").notes == ()
    declared = {**LLAMA_8B, "quantization_config": {"quant_method": "fp8"}}
    assert spec_from_config(declared, "Llama-3.1-8B-FP8", source="profile").notes == ()
    assert spec_from_config(LLAMA_8B, "llama-3.1-8b", source="profile").notes == ()


@pytest.mark.parametrize(
    ("architecture", "why"),
    [
        ("DeepseekV4ForCausalLM", "compress"),
        ("KimiK3ForConditionalGeneration", "delta"),
        ("Step3p7FlashForCausalLM", "sliding"),
    ],
)
def test_what_is_declined_says_why(architecture: str, why: str) -> None:
    with pytest.raises(DeclinedError, match=why):
        spec_from_config({**LLAMA_8B, "architectures": [architecture]}, "m", source="profile")


def test_minimax_m3_keeps_an_index_key_in_its_sparse_layers() -> None:
    """Shapes of vllm `models/minimax_m3`: index queries 4 x 128, one index key of 128, a norm for each."""
    config = {
        **LLAMA_8B,
        "architectures": ["MiniMaxM3ForCausalLM"],
        "num_hidden_layers": 2,
        "head_dim": 128,
        "vocab_size": 1000,
        "moe_layer_freq": [0, 1],
        "dense_intermediate_size": 12288,
        "moe_intermediate_size": 3072,
        "num_local_experts": 8,
        "num_experts_per_tok": 2,
        "n_shared_experts": 1,
        "shared_intermediate_size": 3072,
        "use_routing_bias": True,
        "sparse_attention_config": {
            "sparse_attention_freq": [0, 1],
            "sparse_index_dim": 128,
            "sparse_num_index_heads": 4,
        },
    }
    spec = spec_from_config(config, "m", source="profile")
    attention = 4096 * (4096 + 2 * 1024) + 4096 * 4096 + 2 * 128 + 2 * 4096
    index = (4 + 1) * 128 * 4096 + 2 * 128
    moe = 9 * 3 * 4096 * 3072 + 8 * 4096 + 8
    assert spec.params == 2 * attention + index + 3 * 4096 * 12288 + moe + 2 * 1000 * 4096 + 4096
    assert [a.index_dim for a in spec.attention] == [0, 128]


@pytest.mark.parametrize(
    ("positions", "scaling", "context"),
    [
        (
            32_768,
            {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32_768},
            131_072,
        ),  # Qwen 2.5's card
        (163_840, {"type": "yarn", "factor": 40, "original_max_position_embeddings": 4096}, 163_840),  # DeepSeek V3
        (131_072, {"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 8192}, 131_072),
        (4096, {"type": "linear", "factor": 8}, 32_768),
        (4096, {"rope_type": "default", "factor": 8}, 4096),
        (4096, {"type": "linear", "factor": "x"}, 4096),
        (4096, {"type": "linear", "factor": 1e300}, 4096),
    ],
)
def test_rotary_scaling_stretches_the_context(positions: int, scaling: dict[str, object], context: int) -> None:
    config = {**LLAMA_8B, "max_position_embeddings": positions, "rope_scaling": scaling}
    assert spec_from_config(config, "m", source="profile").max_context == context


def test_bitsandbytes_keeps_embedding_and_head() -> None:
    """vLLM v0.5.4 logs 5.3421 GiB for Llama-3.1-8B, its rotary table (131,072 x 128 x 2 B) included."""
    model = spec_from_config(LLAMA_8B, "m", source="profile", fmt="bnb-4bit")
    assert (model.weights_bytes + 131_072 * 128 * 2) / 2**30 == pytest.approx(5.3421, rel=0.005)
    declared = {**LLAMA_8B, "quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}
    assert spec_from_config(declared, "m", source="profile").quant == "bnb-4bit"
    whole = {**LLAMA_8B, "quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}}
    assert spec_from_config(whole, "m", source="profile").quant == "bnb-8bit"


def test_a_file_of_llamacpp_has_neither_tower_nor_prediction_layers() -> None:
    """llama.cpp logs 48,880.10 + 2,425.00 MiB for Qwen3.5-27B in BF16."""
    profile = profiles.model("qwen3.5-27b")
    model = spec_from_config(profile.config, "m", source="profile", fmt="BF16")
    assert model.weights_bytes / 2**20 == pytest.approx(48_880.10 + 2425.00, rel=0.0005)
    assert "mmproj" in model.notes[-1]
