"""What vLLM's further settings cost, by hand arithmetic: graphs, blocks, experts, adapters, drafts, the CPU build."""

from __future__ import annotations

import pytest

from tests.models.test_config_spec import LLAMA_8B, MIXTRAL, QWEN3_8B
from tests.vllm.kv_configs import CONFIGS
from toolkit.errors import InputError
from toolkit.models.config_spec import spec_from_config
from toolkit.size import Ask, Device, plan
from toolkit.types import GIB, MemoryPlan, ModelSpec

H100 = Device("H100-SXM-80GB", int(79.19 * GIB), "gpu", "logged")
RAM = Device("CPU", 16 * GIB, "cpu", "given")
DEEPSEEK_LIKE = {
    "architectures": ["DeepseekV3ForCausalLM"],
    "hidden_size": 1024,
    "intermediate_size": 2048,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "vocab_size": 10_000,
    "max_position_embeddings": 8192,
    "q_lora_rank": 256,
    "kv_lora_rank": 512,
    "qk_rope_head_dim": 64,
    "qk_nope_head_dim": 128,
    "v_head_dim": 128,
    "n_routed_experts": 12,
    "n_shared_experts": 1,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 256,
    "first_k_dense_replace": 1,
    "num_nextn_predict_layers": 1,
}


def spec(config: dict[str, object]) -> ModelSpec:
    return spec_from_config(config, "m", source="profile")


def line(found: MemoryPlan, what: str) -> int:
    return sum(each.bytes for each in found.devices[0].lines if each.what == what)


def sized(model: ModelSpec, count: int = 1, device: Device = H100, **settings: object) -> MemoryPlan:
    base = Ask(model, (device,) * count, "vllm", "0.32", context=2048)
    return plan(base.with_(**settings))


def test_eager_captures_no_graphs_and_the_pool_gets_their_room() -> None:
    graphs, eager = sized(spec(LLAMA_8B)), sized(spec(LLAMA_8B), eager=True)
    assert line(eager, "cuda_graphs") == 0
    assert eager.kv_pool_bytes - graphs.kv_pool_bytes == line(graphs, "cuda_graphs") > 0


def test_a_larger_block_rounds_a_sequence_up_further() -> None:
    """Llama-3.1-8B keeps 131,072 B a token: 2,040 tokens take 128 blocks of 16, or 8 of 256."""
    assert line(sized(spec(LLAMA_8B), context=2040), "kv_cache") == 128 * 16 * 131_072
    assert line(sized(spec(LLAMA_8B), context=2040, block_size=256), "kv_cache") == 8 * 256 * 131_072


def test_adapters_take_both_sides_of_every_linear_layer() -> None:
    """Llama-3.1-8B, rank 1: q 8,192, k and v 5,120 each, o 8,192, gate and up 18,432 each, down 18,432: 81,920 a layer.

    Embedding and head hold 128,256 + 4,096 each. Two adapters of rank 32 at 2 B an element.
    """
    each = 32 * 81_920 + 2 * 132_352
    found = sized(spec(LLAMA_8B), max_lora_rank=32, max_loras=2)
    assert line(found, "lora") == each * 32 * 2 * 2
    assert line(sized(spec(LLAMA_8B)), "lora") == 0


def test_tensor_parallel_divides_one_side_of_an_adapter() -> None:
    """Column-parallel layers keep A whole (4,096 each for q, k, v, gate, up), row-parallel B (4,096 for o, down);
    the other sides, 4,096 + 2 x 1,024 + 4,096 + 2 x 14,336 + 14,336 = 53,248 a layer, are halved on two ranks."""
    each = 32 * (7 * 4096 + 53_248 // 2) + 2 * 132_352
    assert line(sized(spec(LLAMA_8B), 2, max_loras=1), "lora") == each * 16 * 2


def test_whole_experts_are_dealt_out_when_they_do_not_divide() -> None:
    """12 experts on 8 ranks: two on the fullest instead of one and a half. 3 layers x 3 x 1,024 x 256 x 2 B each."""
    model = spec(DEEPSEEK_LIKE)
    sliced, whole = sized(model, 8), sized(model, 8, expert_parallel=True)
    one = 3 * 3 * 1024 * 256 * 2
    assert line(whole, "weights") - line(sliced, "weights") == 2 * one - 12 * one // 8


def test_a_draft_brings_weights_cache_and_rows() -> None:
    """Qwen3-8B drafted by a Qwen3 of 4 layers: its weights, 4 x 8 x 128 x 2 x 2 B more a token, six rows to sample."""
    small = spec({**QWEN3_8B, "num_hidden_layers": 4})
    alone = sized(spec(QWEN3_8B))
    found = sized(spec(QWEN3_8B), draft=small, num_speculative_tokens=5)
    assert line(found, "draft") == small.weights_bytes + small.rope_cache_elements * 2
    assert line(found, "kv_cache") - line(alone, "kv_cache") == 2048 * 4 * 8 * 128 * 2 * 2
    rows = 14.2 * 151_936 * 1024
    assert line(found, "activations") - line(alone, "activations") == pytest.approx(5 * rows, abs=8)
    assert found.inputs["num_speculative_tokens"].value == 5


def test_prediction_layers_are_loaded_only_to_draft() -> None:
    """One MTP layer of the same attention: 576 x 2 B more a token beside 4 x 576 x 2 B."""
    model = spec(DEEPSEEK_LIKE)
    alone, found = sized(model), sized(model, draft="mtp")
    assert line(alone, "draft") == 0
    assert line(found, "draft") == sum(g.bytes for g in model.weights if g.role == "mtp") > 0
    assert line(found, "kv_cache") * 4 == line(alone, "kv_cache") * 5


def test_context_parallel_ranks_hold_a_share_of_the_tokens() -> None:
    model = spec(DEEPSEEK_LIKE)
    assert line(sized(model, 8, dcp=8), "kv_cache") * 8 == line(sized(model, 8), "kv_cache")


def test_prefix_caching_doubles_the_states_of_a_hybrid() -> None:
    """Qwen3-Next's shape: 22 blocks of attention and 3 states, or 6 with prefix caching, as measured on v0.32."""
    model = spec(CONFIGS["qwen3-next-like"])
    on, off = (sized(model, device=RAM, context=8192, prefix_caching=c) for c in (True, False))
    assert line(on, "kv_cache") * 25 == line(off, "kv_cache") * 28


def test_the_cpu_build_is_told_whole_gibibytes_and_takes_no_more() -> None:
    """Llama-3.1-8B, 2 x 2,048 tokens x 131,072 B = 0.5 GiB: 1 GiB is set aside; no graphs, no share of the memory."""
    model = spec({**LLAMA_8B, "num_hidden_layers": 8})
    found = sized(model, device=Device("CPU", 32 * GIB, "cpu", "given"), concurrency=8)
    assert found.kv_pool_bytes == GIB
    assert line(found, "kv_cache") == 8 * 2048 * 32_768
    assert line(found, "cuda_graphs") == 0
    assert found.inputs["eager"].value is True
    assert found.inputs["max_num_seqs"].value == 128


@pytest.mark.parametrize(
    ("config", "count", "settings", "says"),
    [
        (LLAMA_8B, 1, {"expert_parallel": True}, "no experts"),
        (LLAMA_8B, 1, {"num_speculative_tokens": 3}, "nothing guesses"),
        (LLAMA_8B, 1, {"draft": "mtp"}, "no prediction layers"),
        (LLAMA_8B, 1, {"draft": spec(QWEN3_8B)}, "151,936"),
        (LLAMA_8B, 1, {"max_lora_rank": 7}, "adapter rank 7"),
        (LLAMA_8B, 1, {"block_size": 20}, "multiple of 16"),
        (LLAMA_8B, 4, {"dcp": 2}, "8 KV heads"),
        (DEEPSEEK_LIKE, 8, {"dcp": 3}, "do not divide"),
        (MIXTRAL, 1, {"max_loras": 0}, "at least 1"),
    ],
)
def test_contradictions_are_refused(
    config: dict[str, object], count: int, settings: dict[str, object], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        sized(spec(config), count, **settings)


def test_settings_of_vllm_are_refused_for_llama_cpp() -> None:
    with pytest.raises(InputError, match="setting of vLLM"):
        plan(Ask(spec(LLAMA_8B), (RAM,), "llama.cpp", eager=True))


def test_advice_includes_what_helps_hybrids() -> None:
    """18 sequences of 28 blocks are 504, and a GiB holds 455; of 25 blocks they are 450."""
    model = spec(CONFIGS["qwen3-next-like"])
    tight = Device("CPU", int(3.6 * GIB), "cpu", "given")
    found = sized(model, device=tight, context=8192, concurrency=18)
    assert "prefix caching off" in [a.change for a in found.advice]
