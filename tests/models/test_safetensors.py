"""Weights from safetensors headers: exact where published totals are known, and never trusted."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.models.make_safetensors import (
    LLAMA_8B,
    LLAMA_8B_CONFIG,
    TINY,
    TINY_CONFIG,
    TINY_PARAMS,
    Row,
    framed,
    header,
    llama,
    write,
    write_folder,
)
from toolkit.errors import DeclinedError, ModelFileError
from toolkit.models import roles, safetensors
from toolkit.models.resolve import resolve
from toolkit.types import ModelSpec


def role_bytes(spec: ModelSpec, role: str) -> int:
    return sum(g.bytes for g in spec.weights if g.role == role)


# --- totals that others published -----------------------------------------------------------------------------------


def test_llama_8b_equals_its_published_index(tmp_path: Path) -> None:
    """meta-llama/Llama-3.1-8B model.safetensors.index.json: total_size 16060522496, 291 tensors, 4 shards."""
    assert len(LLAMA_8B) == 291
    spec = resolve(str(write_folder(tmp_path / "m", LLAMA_8B_CONFIG, LLAMA_8B, shards=4)))
    assert (spec.weights_bytes, spec.params) == (16_060_522_496, 8_030_261_248)
    assert (spec.weights_basis, spec.quant, spec.source, spec.tied_embeddings) == ("engine", "bf16", "folder", False)
    assert role_bytes(spec, "embedding") == role_bytes(spec, "head") == 128_256 * 4096 * 2
    assert {g.layer for g in spec.weights if g.role == "attention"} == set(range(32))


def gpt_oss_20b() -> list[Row]:
    rows: list[Row] = [("model.embed_tokens.weight", "BF16", (201_088, 2880))]
    for i in range(24):
        a, m = f"model.layers.{i}.self_attn", f"model.layers.{i}.mlp"
        for name, out, into in (("q", 4096, 2880), ("k", 512, 2880), ("v", 512, 2880), ("o", 2880, 4096)):
            rows += [(f"{a}.{name}_proj.weight", "BF16", (out, into)), (f"{a}.{name}_proj.bias", "BF16", (out,))]
        rows += [
            (f"{a}.sinks", "BF16", (64,)),
            (f"{m}.router.weight", "BF16", (32, 2880)),
            (f"{m}.router.bias", "BF16", (32,)),
            (f"{m}.experts.gate_up_proj_blocks", "U8", (32, 5760, 90, 16)),
            (f"{m}.experts.gate_up_proj_scales", "U8", (32, 5760, 90)),
            (f"{m}.experts.gate_up_proj_bias", "BF16", (32, 5760)),
            (f"{m}.experts.down_proj_blocks", "U8", (32, 2880, 90, 16)),
            (f"{m}.experts.down_proj_scales", "U8", (32, 2880, 90)),
            (f"{m}.experts.down_proj_bias", "BF16", (32, 2880)),
            (f"model.layers.{i}.input_layernorm.weight", "BF16", (2880,)),
            (f"model.layers.{i}.post_attention_layernorm.weight", "BF16", (2880,)),
        ]
    return [*rows, ("model.norm.weight", "BF16", (2880,)), ("lm_head.weight", "BF16", (201_088, 2880))]


def test_mxfp4_blocks_are_bytes_and_two_weights_each(tmp_path: Path) -> None:
    """openai/gpt-oss-20b: index total_size 13761264768; model card (arXiv 2508.10925, table 1): 20.91 B parameters.

    A trap of other calculators: the U8 blocks counted as two bytes each.
    """
    config = {
        "architectures": ["GptOssForCausalLM"],
        "head_dim": 64,
        "hidden_size": 2880,
        "intermediate_size": 2880,
        "max_position_embeddings": 131072,
        "num_attention_heads": 64,
        "num_experts_per_tok": 4,
        "num_hidden_layers": 24,
        "num_key_value_heads": 8,
        "num_local_experts": 32,
        "sliding_window": 128,
        "layer_types": ["sliding_attention", "full_attention"] * 12,
        "tie_word_embeddings": False,
        "vocab_size": 201_088,
        "quantization_config": {"quant_method": "mxfp4"},
    }
    spec = resolve(str(write_folder(tmp_path / "m", config, gpt_oss_20b(), shards=3)))
    assert spec.weights_bytes == 13_761_264_768
    assert spec.params == pytest.approx(20.91e9, rel=0.0005)
    assert spec.quant == "mxfp4"
    assert (role_bytes(spec, "router"), spec.experts) == (24 * (32 * 2880 + 32) * 2, 32)
    # 24 layers x 32 experts x 8,640 x 2,880 weights x 17 bytes / 32, and a 16-bit bias of 8,640.
    assert role_bytes(spec, "experts") == 24 * 32 * (8640 * 2880 * 17 // 32 + 8640 * 2)


def awq(rows: list[Row]) -> list[Row]:
    """Every projection as AutoAWQ packs it: 4 bits in I32 along the outputs, groups of 128."""
    packed: list[Row] = []
    for name, dtype, shape in rows:
        stem = name.removesuffix(".weight")
        if not stem.endswith("_proj"):
            packed.append((name, "F16" if dtype == "BF16" else dtype, shape))
            continue
        out, into = shape
        packed += [
            (f"{stem}.qweight", "I32", (into, out // 8)),
            (f"{stem}.qzeros", "I32", (into // 128, out // 8)),
            (f"{stem}.scales", "F16", (into // 128, out)),
        ]
    return packed


def test_awq_keeps_embeddings_and_counts_real_weights(tmp_path: Path) -> None:
    """hugging-quants/Meta-Llama-3.1-8B-Instruct-AWQ-INT4: files of 4.68 + 1.05 GB; still 8,030,261,248 weights.

    6,979,321,856 weights in 4 bits, one scale (2 B) and zero (0.5 B) per 128; 1,050,939,392 in 16 bits.
    """
    config = {**LLAMA_8B_CONFIG, "quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 128}}
    spec = resolve(str(write_folder(tmp_path / "m", config, awq(LLAMA_8B), shards=2)))
    assert spec.params == 8_030_261_248
    assert spec.weights_bytes == 6_979_321_856 // 2 + 6_979_321_856 // 128 * 5 // 2 + 1_050_939_392 * 2
    assert spec.weights_bytes == pytest.approx(5.73e9, rel=0.001)
    assert spec.quant == "awq"


# --- packed formats, by hand ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "name", "shape", "bits", "weights"),
    [
        ("I32", "q_proj.qweight", (4096 * 4 // 32, 4096), 4, 4096 * 4096),  # GPTQ packs the inputs
        ("I32", "q_proj.qweight", (4096 * 3 // 32, 4096), 3, 4096 * 4096),  # 3 bits: 384 words for 4,096 weights
        ("I32", "q_proj.qweight", (4096 * 8 // 32, 4096), 8, 4096 * 4096),
        ("I32", "q_proj.qzeros", (32, 512), 4, 0),
        ("F16", "q_proj.scales", (32, 4096), 4, 0),
        ("I32", "q_proj.g_idx", (4096,), 4, 0),
        ("I32", "q_proj.weight_packed", (4096, 512), 4, 4096 * 4096),  # compressed-tensors, int4
        ("I64", "q_proj.weight_shape", (2,), 4, 0),
        ("U8", "q_proj.weight_packed", (4096, 2048), 4, 4096 * 4096),  # compressed-tensors, nvfp4
        ("U8", "q_proj.weight", (4096, 2048), 4, 4096 * 4096),  # ModelOpt nvfp4
        ("F8_E4M3", "q_proj.weight_scale", (4096, 256), 4, 0),
        ("F32", "q_proj.weight_scale_2", (), 4, 0),
        ("F32", "q_proj.input_scale", (), 4, 0),
        ("F8_E4M3", "q_proj.weight", (4096, 4096), 4, 4096 * 4096),
        ("F32", "q_proj.weight_scale_inv", (32, 32), 4, 0),
        ("F4", "q_proj.weight", (4096, 4096), 4, 4096 * 4096),
        ("U8", "q_proj.weight.absmax", (65536,), 4, 0),  # bitsandbytes
        ("BF16", "q_proj.bias", (4096,), 4, 4096),
    ],
)
def test_weights_inside_packed_tensors(dtype: str, name: str, shape: tuple[int, ...], bits: int, weights: int) -> None:
    tensor = safetensors.Tensor(f"model.layers.0.self_attn.{name}", shape, dtype, 0)
    assert roles.params(tensor, bits) == weights


@pytest.mark.parametrize(
    ("name", "role", "layer"),
    [
        ("model.embed_tokens.weight", "embedding", None),
        ("lm_head.weight", "head", None),
        ("model.norm.weight", "norm", None),
        ("model.layers.3.self_attn.q_proj.weight", "attention", 3),
        ("model.layers.3.self_attn.q_norm.weight", "norm", 3),
        ("model.layers.3.self_attn.kv_a_proj_with_mqa.weight_scale_inv", "latent", 3),
        ("model.layers.3.mlp.gate_proj.weight", "mlp", 3),
        ("model.layers.3.mlp.gate.weight", "router", 3),
        ("model.layers.3.mlp.gate.e_score_correction_bias", "router", 3),
        ("model.layers.3.mlp.experts.17.gate_proj.weight", "experts", 3),
        ("model.layers.3.mlp.experts.17.down_proj.weight_packed", "experts", 3),
        ("model.layers.3.mlp.experts.gate_up_proj_blocks", "experts", 3),
        ("model.layers.3.mlp.router.weight", "router", 3),
        ("model.layers.3.mlp.shared_experts.up_proj.weight", "mlp", 3),
        ("model.layers.3.mlp.shared_expert_gate.weight", "router", 3),
        ("model.layers.3.block_sparse_moe.gate.weight", "router", 3),
        ("model.layers.3.block_sparse_moe.experts.0.w1.weight", "experts", 3),
        ("language_model.model.layers.3.feed_forward.experts.gate_up_proj", "experts", 3),
        ("language_model.model.layers.3.feed_forward.shared_expert.up_proj.weight", "mlp", 3),
        ("model.language_model.layers.3.linear_attn.in_proj_qkvz.weight", "recurrent", 3),
        ("model.language_model.layers.3.linear_attn.norm.weight", "norm", 3),
        ("backbone.layers.3.mixer.A_log", "recurrent", 3),
        ("backbone.layers.3.mixer.out_proj.weight", "recurrent", 3),
        ("backbone.layers.3.mixer.q_proj.weight", "attention", 3),
        ("backbone.layers.3.mixer.up_proj.weight", "mlp", 3),
        ("backbone.layers.3.mixer.experts.5.up_proj.weight", "experts", 3),
        ("backbone.embeddings.weight", "embedding", None),
        ("model.layers.8.eh_proj.weight", "mtp", None),  # DeepSeek: one layer more than config.json says
        ("model.layers.8.mlp.experts.0.up_proj.weight", "mtp", None),
        ("mtp.layers.0.self_attn.q_proj.weight", "mtp", None),
        ("mtp.fc.weight", "mtp", None),
        ("visual.blocks.3.attn.qkv.weight", "vision", None),
        ("model.visual.merger.linear_fc1.weight", "vision", None),
        ("vision_tower.vision_model.encoder.layers.3.self_attn.q_proj.weight", "vision", None),
        ("model.multi_modal_projector.linear_1.weight", "vision", None),
        ("audio_tower.layers.3.self_attn.q_proj.weight", "other", None),
        ("layers.3.attention.wq.weight", "attention", 3),  # Mistral's own layout
        ("layers.3.feed_forward.w1.weight", "mlp", 3),
        ("layers.3.attention_norm.weight", "norm", 3),
        ("tok_embeddings.weight", "embedding", None),
        ("output.weight", "head", None),
    ],
)
def test_roles_by_name_in_a_model_of_eight_layers(name: str, role: str, layer: int | None) -> None:
    assert roles.of(name, 8) == (role, layer)


# --- a checkpoint and its config ------------------------------------------------------------------------------------


def test_a_name_in_the_path_decides_nothing(tmp_path: Path) -> None:
    """A trap of other calculators: a folder called after another model."""
    folder = write_folder(tmp_path / "deepseek-ai" / "DeepSeek-R1-671B-FP8", TINY_CONFIG, TINY)
    spec = resolve(str(folder))
    assert (spec.architecture, spec.layers, spec.quant) == ("LlamaForCausalLM", 2, "bf16")
    assert spec.params == TINY_PARAMS
    assert spec.weights_bytes == 2 * TINY_PARAMS


def test_a_format_imagined_is_computed_and_the_own_one_is_read(tmp_path: Path) -> None:
    folder = str(write_folder(tmp_path / "m", TINY_CONFIG, TINY))
    assert resolve(folder, "bf16").weights_basis == "engine"
    fp8 = resolve(folder, "fp8")
    assert (fp8.weights_basis, fp8.quant) == ("computed", "fp8")
    # Projections lose a byte each: 2 layers x (36,992 - 128).
    assert fp8.weights_bytes == 2 * TINY_PARAMS - 2 * (36_992 - 128)


def test_a_folder_without_weights_is_computed(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(TINY_CONFIG))
    spec = resolve(str(tmp_path))
    assert (spec.weights_basis, spec.params) == ("computed", TINY_PARAMS)


def test_a_tied_head_that_is_stored_is_not_loaded(tmp_path: Path) -> None:
    spec = resolve(str(write_folder(tmp_path / "m", {**TINY_CONFIG, "tie_word_embeddings": True}, TINY)))
    assert spec.tied_embeddings
    assert spec.params == TINY_PARAMS - 6_400


def test_a_missing_head_is_tied_whatever_the_config_leaves_out(tmp_path: Path) -> None:
    config = {k: v for k, v in TINY_CONFIG.items() if k != "tie_word_embeddings"}
    spec = resolve(str(write_folder(tmp_path / "m", config, llama(2, 64, 128, 4, 2, 16, 100, tied=True))))
    assert spec.tied_embeddings


def test_modelopt_names_its_format_beside_a_silent_config(tmp_path: Path) -> None:
    rows: list[Row] = []
    for name, dtype, shape in TINY:
        stem = name.removesuffix(".weight")
        if stem.endswith("_proj"):
            rows += [
                (name, "U8", (shape[0], shape[1] // 2)),
                (f"{stem}.weight_scale", "F8_E4M3", (shape[0], shape[1] // 16)),
                (f"{stem}.weight_scale_2", "F32", ()),
                (f"{stem}.input_scale", "F32", ()),
            ]
        else:
            rows.append((name, dtype, shape))
    folder = write_folder(tmp_path / "m", TINY_CONFIG, rows)
    declared = {"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8", "exclude_modules": ["lm_head"]}
    (folder / "hf_quant_config.json").write_text(json.dumps({"quantization": declared}))
    spec = resolve(str(folder))
    assert (spec.quant, spec.params) == ("nvfp4", TINY_PARAMS)
    # 73,728 projection weights: half a byte, and a scale byte per 16; 2 x 7 pairs of fp32 scales.
    assert spec.weights_bytes == 73_728 // 2 + 73_728 // 16 + 14 * 8 + 2 * (TINY_PARAMS - 73_728)
    assert any("FP8 KV cache" in note for note in spec.notes)


def test_mixed_formats_need_no_width_when_headers_are_there(tmp_path: Path) -> None:
    config = {**TINY_CONFIG, "quantization_config": {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION"}}
    spec = resolve(str(write_folder(tmp_path / "m", config, TINY)))
    assert (spec.quant, spec.weights_bytes) == ("mixed_precision", 2 * TINY_PARAMS)


def test_config_and_weights_of_different_models_are_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m", {**TINY_CONFIG, "num_hidden_layers": 3}, TINY)
    with pytest.raises(ModelFileError, match=r"says 3 layers, and the weights have 2; number 2 is missing"):
        resolve(str(folder))


# --- architectures without a reader ---------------------------------------------------------------------------------


def test_a_plain_decoder_of_an_unknown_architecture_is_proved_by_its_headers(tmp_path: Path) -> None:
    """allenai/OLMo-2-1124-7B's shape: 7,298,617,344 weights ("7.3B"); KV of 32 heads of 128."""
    norms: list[Row] = [
        (f"model.layers.{i}.self_attn.{n}_norm.weight", "BF16", (4096,)) for i in range(32) for n in "qk"
    ]
    config = {
        **LLAMA_8B_CONFIG,
        "architectures": ["Olmo2ForCausalLM"],
        "num_key_value_heads": 32,
        "intermediate_size": 11008,
        "vocab_size": 100_352,
    }
    spec = resolve(str(write_folder(tmp_path / "m", config, [*llama(32, 4096, 11008, 32, 32, 128, 100_352), *norms])))
    layer = 4 * 4096**2 + 3 * 4096 * 11008 + 4 * 4096
    assert spec.params == 2 * 100_352 * 4096 + 32 * layer + 4096 == 7_298_617_344
    assert spec.architecture == "Olmo2ForCausalLM"
    assert {(a.kind, a.kv_heads, a.head_dim_k, a.head_dim_v) for a in spec.attention} == {("full", 32, 128, 128)}


@pytest.mark.parametrize(
    ("change", "rows", "says"),
    [
        ({"kv_lora_rank": 512}, [], "latent attention"),
        ({"num_key_value_heads": 4}, [], "does not hold keys and values of 4 heads"),
        ({"head_dim": 32}, [], "does not hold keys and values"),
        ({"sliding_window": 1024}, [], "not which layers slide"),
        ({"layer_types": ["full_attention", "linear_attention"]}, [], "'linear_attention'"),
        ({}, [("model.layers.1.self_attn.compressor.weight", "BF16", (8, 64))], "no known attention"),
        ({}, [("model.layers.1.mamba.A_log", "F32", (8,))], "keeps a state"),
        ({"hidden_size": None}, [], "hidden_size"),
    ],
)
def test_what_the_headers_do_not_prove_is_declined(
    tmp_path: Path, change: dict[str, object], rows: list[Row], says: str
) -> None:
    config = {**TINY_CONFIG, "architectures": ["FooForCausalLM"], **change}
    folder = write_folder(tmp_path / "m", config, [*TINY, *rows])
    with pytest.raises(DeclinedError, match="FooForCausalLM is not modelled") as caught:
        resolve(str(folder))
    assert says in caught.value.message


def test_a_window_with_its_layers_listed_is_read(tmp_path: Path) -> None:
    config = {
        **TINY_CONFIG,
        "architectures": ["FooForCausalLM"],
        "sliding_window": 256,
        "layer_types": ["sliding_attention", "full_attention"],
    }
    spec = resolve(str(write_folder(tmp_path / "m", config, TINY)))
    assert [a.window for a in spec.attention] == [256, None]


# --- damaged and incomplete folders ---------------------------------------------------------------------------------


def refused(folder: Path, says: str) -> None:
    with pytest.raises(ModelFileError, match=says):
        resolve(str(folder))


def test_a_truncated_shard_names_both_sizes(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m", TINY_CONFIG, TINY, shards=2)
    path = folder / "model-00002-of-00002.safetensors"
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(size - 1)
    refused(folder, f"model-00002-of-00002.safetensors is truncated: {size - 1:,} of {size:,} bytes")


def test_bytes_that_belong_to_no_tensor(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m", TINY_CONFIG, TINY)
    with (folder / "model.safetensors").open("ab") as file:
        file.write(b"x" * 5)
    refused(folder, "5 bytes after its last tensor belong to none")


@pytest.mark.parametrize("index", [True, False])
def test_a_missing_shard_is_named(tmp_path: Path, index: bool) -> None:
    folder = write_folder(tmp_path / "m", TINY_CONFIG, TINY, shards=3, index=index)
    (folder / "model-00002-of-00003.safetensors").unlink()
    refused(folder, "model-00002-of-00003.safetensors is missing" if index else "2 of 3 shards; number 2 is missing")


def test_shards_without_an_index_are_a_checkpoint(tmp_path: Path) -> None:
    assert resolve(str(write_folder(tmp_path / "m", TINY_CONFIG, TINY, shards=3, index=False))).params == TINY_PARAMS


def test_an_index_of_another_download(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m", TINY_CONFIG, TINY, shards=2)
    index = folder / "model.safetensors.index.json"
    index.write_text(index.read_text().replace("layers.1.mlp.down_proj", "layers.1.mlp.other"))
    refused(folder, "does not hold 'model.layers.1.mlp.other")


def test_an_index_may_not_leave_its_folder(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m", TINY_CONFIG, TINY, shards=2)
    index = folder / "model.safetensors.index.json"
    index.write_text(index.read_text().replace("model-00002-of", "../model-00002-of"))
    refused(folder, "is no safetensors file beside it")


def test_one_tensor_in_two_shards(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m", TINY_CONFIG, TINY, shards=2)
    write(folder / "model-00002-of-00002.safetensors", [*TINY[11:], TINY[0]])
    refused(folder, "'model.embed_tokens.weight' lies in two files")


@pytest.mark.parametrize("suffix", [".part", ".incomplete", ".crdownload", ".aria2"])
def test_an_unfinished_download(tmp_path: Path, suffix: str) -> None:
    folder = write_folder(tmp_path / "m", TINY_CONFIG, TINY)
    (folder / "model.safetensors").rename(folder / f"model.safetensors{suffix}")
    refused(folder, "is an unfinished download")


def test_pickles_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(TINY_CONFIG))
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x02")
    refused(tmp_path, r"only as pickles \(pytorch_model.bin\), which are not read")


def test_pickles_beside_safetensors_do_no_harm(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m", TINY_CONFIG, TINY)
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x02")
    assert resolve(str(folder)).params == TINY_PARAMS


def test_the_second_layout_of_the_same_weights_is_not_added(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m", TINY_CONFIG, TINY, shards=2)
    write(folder / "consolidated.safetensors", TINY)
    write(folder / "adapter_model.safetensors", TINY[:2])
    assert resolve(str(folder)).params == TINY_PARAMS


def test_a_git_lfs_pointer(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m", TINY_CONFIG, TINY)
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 16060522496\n"
    (folder / "model.safetensors").write_text(pointer)
    refused(folder, "is a Git LFS pointer")


def test_a_shard_instead_of_its_folder(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m", TINY_CONFIG, TINY)
    refused(folder / "model.safetensors", "is one file of a model")


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ({"a": {"dtype": "F16", "shape": [2], "data_offsets": [0, 5]}}, "32 bits by its shape and 5 bytes"),
        ({"a": {"dtype": "F4", "shape": [3], "data_offsets": [0, 1]}}, "12 bits by its shape"),
        ({"a": {"dtype": "Q4", "shape": [2], "data_offsets": [0, 4]}}, "unknown type 'Q4'"),
        ({"a": {"dtype": "F16", "shape": [-2], "data_offsets": [0, 4]}}, "has no shape"),
        ({"a": {"dtype": "F16", "shape": [True], "data_offsets": [0, 2]}}, "has no shape"),
        ({"a": {"dtype": "F16", "shape": [2**61], "data_offsets": [0, 4]}}, "has no shape"),
        ({"a": {"dtype": "F16", "shape": [1] * 17, "data_offsets": [0, 2]}}, "has no shape"),
        ({"a": {"dtype": "F16", "shape": [2], "data_offsets": [4, 0]}}, "bytes by its place"),
        ({"a": {"dtype": "F16", "shape": [2]}}, "has no offsets"),
        ({"a": 5}, "is no object"),
        ({"a": {"dtype": "U8", "shape": [4], "data_offsets": [4, 8]}}, "leaves a gap"),
        (
            {
                "a": {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]},
                "b": {"dtype": "U8", "shape": [8], "data_offsets": [4, 12]},
            },
            "'b' overlaps the one before it",
        ),
        ({"__metadata__": {"a": 5}}, "__metadata__ is not text"),
        ([], "no JSON object"),
    ],
)
def test_every_field_is_checked(tmp_path: Path, rows: object, says: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(framed(json.dumps(rows).encode()) + b"\0" * 8)
    with pytest.raises(ModelFileError, match=says):
        safetensors.read_file(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "truncated"),
        (b"\x05\0\0\0", "truncated"),
        (b"PK\x03\x04" + b"\0" * 60, "truncated"),
        (b"\xff" * 64, "its header claims 18,446,744,073,709,551,615 bytes"),
        ((100_000_001).to_bytes(8, "little") + b"{}", "claims 100,000,001 bytes"),
        (framed(b"{x"), "no JSON"),
        (framed(b"[" * 100_000), "no JSON"),
        (framed(b'{"\xff": 1}'), "no JSON"),
        (framed(b'{"a": ' + b"[" * 3000 + b"]" * 3000 + b"}"), "corrupt"),
    ],
)
def test_bad_files_are_errors_not_crashes(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=says):
        safetensors.read_file(path)


def test_a_header_of_a_hundred_megabytes_of_nothing_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    """33 million empty objects would take gigabytes as Python objects."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(framed(b'{"a":[' + b"{}," * 33_000_000 + b"{}]}"))
    started = time.monotonic()
    with pytest.raises(ModelFileError, match="more than 1,000,000 tensors"):
        safetensors.read_file(path)
    assert time.monotonic() - started < 1.5


def test_metadata_and_scalars_are_fine() -> None:
    head, data = header([("a", "F32", ()), ("b", "BF16", (0, 4)), ("c", "F4", (2, 3))], {"format": "pt"})
    found = safetensors.parse_header(head[8:], "x", len(head) + data)
    assert [(t.name, t.shape, t.bytes) for t in found] == [("a", (), 4), ("b", (0, 4), 0), ("c", (2, 3), 3)]


def test_thirty_shards_are_quick(tmp_path: Path) -> None:
    """80 layers of 723 tensors in 30 files: the reading alone, without the start of Python."""
    rows = llama(80, 8192, 28672, 64, 8, 128, 128_256)
    config = {**LLAMA_8B_CONFIG, "hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80}
    folder = write_folder(tmp_path / "m", {**config, "num_attention_heads": 64}, rows, shards=30)
    resolve(str(folder))
    started = time.perf_counter()
    spec = resolve(str(folder))
    assert time.perf_counter() - started < 0.2
    assert spec.params == 70_553_706_496  # meta-llama/Llama-3.1-70B: total_size 141107412992 bytes
