"""`predict` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.run import error_of, selfhost


def test_one_configuration_as_json():
    done = selfhost("predict", "llama-3.1-8b", "--gpu", "H100-SXM-80GB:2", "--concurrency", "16", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 0
    assert (found["kind"], found["regime"], found["count"], found["tp"]) == ("prediction", "batched", 2, 2)
    assert found["output_tok_s"]["p10"] < found["output_tok_s"]["p50"] < found["output_tok_s"]["p90"]
    assert found["tpot_s"]["p50"] * found["decode_tok_s_per_user"]["p50"] > 0.999


def test_in_words_with_its_ceiling():
    done = selfhost("predict", "qwen3-8b", "--gpu", "RTX-4090", "--quant", "q4_k_m", "--concurrency", "max")
    assert done.returncode == 0
    assert "ceiling by data sheet" in done.stdout
    assert "llama.cpp" in done.stdout
    assert "not predicted" in done.stdout


def test_a_device_by_four_numbers():
    numbers = ("--bandwidth-gbs", "3350", "--fp16-tflops", "989", "--vram-gib", "80", "--link-gbs", "900")
    done = selfhost("predict", "llama-3.1-8b", "--gpu", "mine:2", *numbers, "--json")
    assert json.loads(done.stdout)["gpu"] == "mine"
    missing = selfhost("predict", "llama-3.1-8b", "--bandwidth-gbs", "3350")
    assert missing.returncode == 2
    assert "--fp16-tflops" in missing.stderr


def test_bad_input():
    unknown = selfhost("predict", "llama-3.1-8b", "--gpu", "H1000")
    assert unknown.returncode == 2
    assert "did you mean" in unknown.stderr
    assert "--bandwidth-gbs" in unknown.stderr
    assert selfhost("predict", "llama-3.1-8b").returncode == 2
    assert selfhost("predict", "--gpu", "L4").returncode == 2
    assert selfhost("predict", "llama-3.1-8b", "--gpu", "L4", "--concurrency", "many").returncode == 2
    too_big = selfhost("predict", "llama-3.1-70b", "--gpu", "L4")
    assert too_big.returncode == 1
    assert "GiB of weights" in too_big.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--gpu", "L4", "--concurrency", "²"), "a concurrency of '²'"),  # a digit to Python's isdigit, not to int
        (("--gpu", "L4", "--concurrency", "9" * 5000), "from 1 to 1,000,000"),  # int() refuses more than 4,300 digits
        (("--gpu", "L4", "--concurrency", "0"), "a concurrency of '0'"),
        (("--gpu", "L4:²"), "'L4:²' is no device"),
        (("--gpu", "L4", "--tp", "0"), "tp is 0; it must be at least 1"),
    ],
)
def test_numbers_that_are_none(words, said):
    assert said in error_of("predict", "llama-3.1-8b", *words)


def test_rows_of_a_file(tmp_path):
    rows = [
        {"id": "a", "engine": "vLLM", "version": "0.9", "model": "Llama-3.1-8B", "params_b": 8.03,
         "quantization": "FP8", "gpu_canonical": "H100 SXM 80GB", "n_gpus": 1, "tp": 1,
         "input_len": 128, "output_len": 128, "concurrency": 4, "regime": "batched", "output_tok_s_total": 5.0},
        {"id": "b", "engine": "vLLM", "model": "Llama-3.1-8B", "gpu_canonical": None, "concurrency": 1},
        {"id": "c", "engine": "llama.cpp", "model": "nobody knows", "params_b": 3.0, "quantization": "Q4_K_M",
         "gpu_canonical": "RTX 4090", "concurrency": "max"},
    ]  # fmt: skip
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    done = selfhost("predict", "--from", str(file))
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert [a["id"] for a in answers] == ["a", "b", "c"]
    assert [a["declined"] for a in answers] == [None, "the row names no device", None]
    assert answers[2]["regime"] == "saturated"


def test_the_rows_of_the_documentation(tmp_path):
    text = (Path(__file__).parents[1] / "docs" / "predict.md").read_text()
    file = tmp_path / "rows.jsonl"
    file.write_text(text.partition("```jsonl\n")[2].partition("```")[0])
    found = {a["id"]: a for a in map(json.loads, selfhost("predict", "--from", file).stdout.splitlines())}
    assert (found["a"]["declined"], found["a"]["tp"], found["a"]["regime"]) == (None, 2, "batched")
    assert (found["b"]["declined"], found["b"]["regime"], found["b"]["input_len"]) == (None, "saturated", 512)
    assert "GiB of weights" in found["c"]["declined"]


@pytest.mark.parametrize(
    "words",
    [("--quant", "fp8"), ("--concurrency", "8"), ("--tp", "2"), ("--engine", "vllm"), ("--input-len", "512"),
     ("--here",), ("--vram-gib", "80"), ("--gpu", "L4"), ("llama-3.1-8b",), ("--measured",)],
)  # fmt: skip
def test_what_each_line_says_is_not_said_beside_the_file(tmp_path, words):
    file = tmp_path / "rows.jsonl"
    file.write_text('{"id": 1, "model": "Llama-3.1-8B", "gpu_canonical": "L4", "concurrency": 1}\n')
    assert "would be ignored" in error_of("predict", *words, "--from", file)


def test_a_file_of_an_editor_that_marks_its_byte_order(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b"\xef\xbb\xbf" + b'{"id": 7, "model": "Llama-3.1-8B", "gpu_canonical": "L4", "concurrency": 1}\n')
    done = selfhost("predict", "--from", file, "--json", "--no-measured")  # both say what is so anyway
    assert (done.returncode, json.loads(done.stdout)["id"]) == (0, 7)


def test_a_line_too_long_says_so(tmp_path):
    file = tmp_path / "rows.jsonl"
    row = '{"model": "Llama-3.1-8B", "gpu_canonical": "L4", "concurrency": 1, "note": "'
    file.write_text(row + "x" * (2**20 - len(row) - 2) + '"}\n')  # 2^20 characters
    assert selfhost("predict", "--from", file).returncode == 0
    file.write_text('{"id": 1}\n' + row + "x" * (2**20 - len(row) - 1) + '"}\n')
    assert "line 2 is longer than 1,048,576 characters" in error_of("predict", "--from", file)


def test_a_broken_file(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text('{"id": 1}\nnot json\n')
    done = selfhost("predict", "--from", str(file))
    assert done.returncode == 2
    assert "line 2" in done.stderr
    assert done.stdout == ""
    assert selfhost("predict", "--from", str(tmp_path / "none")).returncode == 2


def test_a_request_longer_than_the_model_takes_is_answered_and_said():
    # Llama 3 8B: max_position_embeddings 8,192
    words = ("predict", "llama-3-8b", "--gpu", "H100-SXM-80GB", "--input-len")
    assert "8,192 tokens at most" in selfhost(*words, "9000").stdout
    assert "at most" not in selfhost(*words, "4000").stdout
    assert json.loads(selfhost(*words, "4000", "--json").stdout)["max_context"] == 8192
