"""`size` and `plan` by hand: documents, exit statuses, errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.run import document, error_of, selfhost
from tests.models.make_gguf import TINY_DATA, write_tiny
from tests.vllm.kv_configs import CONFIGS


def test_a_gguf_file(tmp_path: Path) -> None:
    """Weights are the file's tensor bytes; KV = 2 heads x 16 x 2 (K, V) x 2 B = 128 B a token."""
    plan = document("size", write_tiny(tmp_path / "tiny.gguf"), "--context", "512", "--concurrency", "2")
    assert (plan["schema_version"], plan["kind"], plan["engine"], plan["quant"]) == (
        1,
        "memory_plan",
        "llama.cpp",
        "Q4_0",
    )
    (device,) = plan["devices"]
    lines = {line["what"]: line for line in device["lines"]}
    assert device["name"] == "CPU"
    assert lines["weights"]["bytes"] == TINY_DATA
    assert plan["kv_bytes_per_token"] == 128
    assert lines["kv_cache"]["bytes"] == 2 * 512 * 128
    assert sum(line["bytes"] for line in device["lines"]) == device["total_bytes"]
    assert device["free_bytes"] == device["usable_bytes"] - device["total_bytes"]
    assert (plan["fits"], plan["certainty"]) == (True, "sure")
    assert plan["max_context"] == 2048
    assert plan["inputs"]["context"] == {"value": 512, "from": "user"}
    assert plan["inputs"]["ubatch"] == {"value": 512, "from": "engine_default"}


def test_a_profile_on_a_card_it_fits() -> None:
    """Llama-3.1-8B: 2 x 32 layers x 8 heads x 128 x 2 B = 131,072 B a token; 14.96 GiB of weights."""
    plan = document("size", "llama-3.1-8b", "--gpu", "h100 sxm 80gb", "--engine-version", "0.19", "--context", "8192")
    assert (plan["engine"], plan["engine_version"], plan["kv_bytes_per_token"]) == ("vllm", "0.19", 131_072)
    (device,) = plan["devices"]
    assert device["name"] == "H100-SXM-80GB"
    weights = next(line["bytes"] for line in device["lines"] if line["what"] == "weights")
    assert weights / 2**30 == pytest.approx(14.99, abs=0.01)  # as vLLM 0.19 logs it
    assert plan["max_concurrency"] > 1


def test_what_does_not_fit_exits_1_and_says_what_would() -> None:
    plan = document("size", "llama-3.1-8b", "--gpu", "RTX-4080", "--context", "8192", status=1)
    assert (plan["fits"], plan["certainty"]) == (False, "no")
    done = selfhost("size", "llama-3.1-8b", "--gpu", "L4", "--context", "32768", "--concurrency", "8")
    assert done.returncode == 1
    assert "does not fit" in done.stdout
    assert "fits then" in done.stdout


def test_a_gguf_type_is_imagined() -> None:
    """Llama-3.1-8B in Q4_K_M is 4.58 GiB, of which the 0.27 GiB input embedding stays off the GPU."""
    plan = document("size", "llama-3.1-8b", "--gpu", "RTX-4080", "--quant", "q4_k_m", "--context", "8192")
    assert (plan["engine"], plan["quant"]) == ("llama.cpp", "Q4_K_M")
    weights = plan["devices"][0]["lines"][0]
    embedding = 128256 * 4096 // 256 * 144  # Q4_K: 144 bytes per 256 weights
    assert (weights["bytes"] + embedding) / 2**30 == pytest.approx(4.58, abs=0.01)
    assert weights["basis"] == "computed"


def test_folder_with_a_config(tmp_path: Path) -> None:
    config = {
        "architectures": ["Qwen3ForCausalLM"],
        "head_dim": 128,
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "max_position_embeddings": 40960,
        "num_attention_heads": 16,
        "num_hidden_layers": 28,
        "num_key_value_heads": 8,
        "tie_word_embeddings": True,
        "vocab_size": 151936,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    plan = document("size", tmp_path, "--gpu", "L4", "--context", "4096")
    assert plan["kv_bytes_per_token"] == 2 * 28 * 8 * 128 * 2  # head_dim 128, not 1024 / 16
    assert plan["inputs"]["model_path"]["value"] == str(tmp_path)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["lama-3.1-8b", "--gpu", "L4"], ["unknown model 'lama-3.1-8b'", "did you mean llama-3.1-8b"]),
        (["llama-3.1-8b", "--gpu", "H1000"], ["unknown GPU 'H1000'", "did you mean"]),
        (["llama-3.1-8b", "--gpu", "H100"], ["H100-SXM-80GB", "H100-PCIe-80GB"]),
        (["llama-3.1-8b", "--gpu", "L4:0"], ["count of 1 to 1,024"]),
        (["llama-3.1-8b", "--gpu", "L4", "--concurrency", "0"], ["concurrency is 0"]),
        (["llama-3.1-8b", "--gpu", "L4", "--quant", "q99"], ["unknown weight format 'q99'"]),
        (["llama-3.1-8b", "--gpu", "L4", "--kv-dtype", "fp9"], ["unknown KV cache dtype 'fp9'", "fp8"]),
        (["llama-3.1-8b", "--gpu", "L4", "--engine-version", "latest"], ["no vLLM version"]),
        (["llama-3.1-8b", "--gpu", "L4", "--vram-gib", "-3"], ["makes no sense"]),
        (["llama-3.1-8b", "--gpu", "L4", "--engine", "llama.cpp"], ["llama.cpp runs GGUF files", "Q4_K_M"]),
        (["llama-3.1-8b", "--gpu", "L4", "--engine", "vllm", "--quant", "Q4_K_M"], ["which vLLM does not run"]),
        (["./nothing.gguf"], ["no such file"]),
        (["/"], ["no config.json"]),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_2(words: list[str], says: list[str]) -> None:
    text = error_of("size", *words)
    assert text.startswith("error: ")
    for part in says:
        assert part.lower() in text.lower()


def test_bad_files(tmp_path: Path) -> None:
    (tmp_path / "text.gguf").write_text("hello")
    assert "no GGUF file" in error_of("size", tmp_path / "text.gguf")
    assert "truncated" in error_of("size", write_tiny(tmp_path / "cut.gguf", missing=100))
    (tmp_path / "m.gguf.part").write_bytes(b"GGUF")
    assert "unfinished download" in error_of("size", tmp_path / "m.gguf.part")
    (tmp_path / "config.json").write_text("{")
    assert "is no JSON" in error_of("size", tmp_path)


def test_a_broken_user_profile_names_file_key_and_reason(tmp_path: Path) -> None:
    folder = tmp_path / "profiles" / "gpus"
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text('[[gpu]]\nname = "MyCard"\nvram_gib = "lots"\n')
    text = error_of("size", "llama-3.1-8b", "--gpu", "MyCard", home=tmp_path)
    assert "mine.toml" in text
    assert "vram_gib" in text


def test_plan_reads_the_documents_it_is_given(tmp_path: Path) -> None:
    other = tmp_path / "gpus.json"
    other.write_text(json.dumps({"schema_version": 1, "kind": "gpu_list"}))
    assert "gpu_list" in error_of("plan", other)
    other.write_text(json.dumps({"schema_version": 99, "kind": "memory_plan"}))
    assert "schema version 99" in error_of("plan", other)
    other.write_text(json.dumps({"schema_version": 1, "kind": "memory_plan", "model": 5}))
    assert "gpus.json" in error_of("plan", other)
    assert "no such file" in error_of("plan", tmp_path / "missing.json")


def test_unknown_commands_get_did_you_mean() -> None:
    assert "did you mean size" in error_of("siez")
    assert "did you mean" in error_of("plan", "smollm2-135m", "--backend", "vlm")


def test_start_up_is_for_free() -> None:
    """Nothing of a stage is imported for --version."""
    done = selfhost("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("selfhost 0.")


def test_side_by_side_and_markdown() -> None:
    plan = document("size", "qwen3-8b", "--vs", "llama-3.1-8b", "--gpu", "L4", "--context", "8192")
    assert (plan["model"], plan["versus"]["model"]) == ("qwen3-8b", "llama-3.1-8b")
    done = selfhost("size", "qwen3-8b", "--gpu", "L4", "--context", "8192", "--markdown")
    assert "| weights | 15.27 GiB |" in done.stdout  # vLLM 0.19 logs 15.27 GiB for Qwen3-8B


def test_the_fewest_of_every_gpu() -> None:
    """Llama-3.3-70B in 16 bits is 131.4 GiB, 65.7 on each of two ranks: an H100 gives vLLM 0.92 x 79.19 = 72.9 GiB, so
    two hold it with 7 GiB for everything else; one H200 gives 0.92 x 139.8 = 128.6 GiB and cannot; a 12 GB card would
    need more than eight."""
    plan = document("size", "llama-3.3-70b", "--every-gpu", "--context", "4096")
    fewest = {m["gpu"]: m["count"] for m in plan["minimum_gpus"]}
    assert (fewest["H100-SXM-80GB"], fewest["H200-SXM"], fewest["RTX-3060-12GB"]) == (2, 2, None)
    assert len(fewest) > 50
    assert "named too" in error_of("size", "llama-3.3-70b", "--every-gpu", "--gpu", "L4")


def test_the_grid_is_the_edge() -> None:
    plan = document("size", "llama-3.1-8b", "--gpu", "L4", "--context", "8192")
    at = {row["context"]: row["max_concurrency"] for row in plan["grid"]}
    assert at[8192] == plan["max_concurrency"]
    assert list(at.values()) == sorted(at.values(), reverse=True)


def test_vllms_settings_reach_the_plan() -> None:
    found = document(
        *("size", "llama-3.1-8b", "--gpu", "H100-SXM-80GB", "--context", "4096", "--eager", "--max-loras", "2"),
        *("--no-prefix-caching", "--draft", "llama-3.1-8b", "--num-speculative-tokens", "2"),
    )
    told = {k: found["inputs"][k]["value"] for k in ("eager", "max_loras", "max_lora_rank", "prefix_caching")}
    assert told == {"eager": True, "max_loras": 2, "max_lora_rank": 16, "prefix_caching": False}
    lines = {each["what"]: each["bytes"] for each in found["devices"][0]["lines"]}
    assert lines["draft"] == lines["weights"]
    assert lines["lora"] > 0 == lines["cuda_graphs"]


def test_a_folder_is_planned_for_vllms_cpu_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by its program and the metadata beside it; nothing of it is started."""
    (tmp_path / "lib" / "python3.12" / "site-packages" / "vllm-0.32.0+cpu.dist-info").mkdir(parents=True)
    program = tmp_path / "bin" / "vllm"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("SELFHOST_VLLM", str(program))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIGS["qwen3-like"]))
    found = document("plan", folder, "--backend", "vllm", "--context", "4096", "--concurrency", "2")
    assert found["env"]["VLLM_CPU_KVCACHE_SPACE"] == "1"  # 2 x 4,096 tokens x 8 KiB = 64 MiB, in whole GiB
    assert found["argv"][found["argv"].index("--dtype") + 1] == "float16"
    assert found["memory"]["devices"][0]["name"] == "CPU"
    assert found["memory"]["engine_version"] == "0.32.0"
