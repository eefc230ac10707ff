"""Rows of published measurements: read for their configuration, and what their words and makers imply."""

from __future__ import annotations

import pytest

from toolkit import profiles
from toolkit.errors import DeclinedError, InputError
from toolkit.models.resolve import resolve
from toolkit.predict import facts, formats, physics
from toolkit.predict.answer import predict
from toolkit.predict.rows import question as question_of_row

LLAMA_8B = facts.of_spec(resolve("llama-3.1-8b"))
ROW = {"engine": "vLLM", "model": "x", "params_b": 8.0, "gpu_canonical": "H100 SXM 80GB", "quantization": "BF16",
       "concurrency": 8, "regime": "batched"}  # fmt: skip


def of_row(model=LLAMA_8B, **change):
    """A question of a row of eight H200s under a load that is told in words."""
    row = {"engine": "TensorRT-LLM", "version": "1.0", "model": "x", "quantization": "FP8", "tp": 8, "n_gpus": 8,
           "gpu_canonical": "H200 SXM", "input_len": 128, "output_len": 2048, "regime": "saturated",
           "concurrency": "max throughput"}  # fmt: skip
    return question_of_row(row | change, profiles.gpu, lambda _: model)


def test_a_row_is_read_for_its_configuration_only():
    row = {"engine": "vLLM", "version": "0.9", "model": "Llama-3.1-8B", "params_b": 8.03, "quantization": "BF16",
           "gpu_canonical": "H100 SXM 80GB", "n_gpus": 1, "tp": 1, "input_len": 512, "output_len": 256,
           "concurrency": 8, "regime": "batched"}  # fmt: skip
    measured = row | {"output_tok_s_total": 1.0, "bw_fraction": 0.01, "ttft_ms": 1e6, "decode_tok_s": 1.0}

    def answer(r):
        return predict(question_of_row(r, profiles.gpu, lambda _: LLAMA_8B))

    assert answer(row) == answer(measured)
    assert answer(row).regime == "batched"
    assert answer(row | {"concurrency": "all 100 at once", "regime": "saturated"}).regime == "saturated"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"gpu_canonical": None}, DeclinedError),
        ({"params_b": None}, DeclinedError),
        ({"n_gpus": "four"}, InputError),
        ({"input_len": -1}, InputError),
    ],
)
def test_a_row_that_cannot_be_answered_says_so(change, error):
    row = {"engine": "vLLM", "model": "x", "params_b": 8.0, "gpu_canonical": "L4", "concurrency": 1, "regime": "single"}
    with pytest.raises(error):
        question_of_row(row | change, profiles.gpu, lambda _: None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"concurrency": 0}, "concurrency is 0; it must be at least 1"),
        ({"concurrency": 0, "regime": "single"}, "concurrency is 0; it must be at least 1"),
        ({"concurrency": "all 0 at once"}, "from 1 to 1,000,000 requests"),
        ({"concurrency": "all 12345678 at once"}, "from 1 to 1,000,000 requests"),
        ({"concurrency": 1e9}, "concurrency is 1000000000.0; it must be from 0 to 1,000,000"),
        ({"concurrency": True}, "concurrency is True; it must be a number"),
        ({"concurrency": True, "regime": "single"}, "concurrency is True; it must be a number"),
        ({"n_gpus": 1, "tp": 8}, "tp × pp is 8 ranks, and n_gpus is 1"),
        ({"n_gpus": 4, "tp": 4, "pp": 2}, "tp × pp is 8 ranks, and n_gpus is 4"),
        ({"n_gpus": 0, "tp": 2}, "tp × pp is 2 ranks, and n_gpus is 0"),
        ({"n_gpus": 100_001}, "n_gpus is 100001; it must be from 0 to 100,000"),
        ({"n_gpus": 10**400}, "it must be from 0 to 100,000"),
        ({"n_gpus": 1.5}, "n_gpus is 1.5; it must be a whole number"),
        ({"n_gpus": "²"}, "n_gpus is '²'; it must be a number"),
        ({"input_len": float("inf")}, "input_len is inf; it must be from 0 to 100,000,000"),
    ],
)
def test_counts_that_no_row_can_mean(change, said):
    with pytest.raises(InputError) as refused:
        question_of_row(ROW | change, profiles.gpu, lambda _: None)
    assert said in refused.value.message


def test_a_thousand_with_its_comma():
    asked = question_of_row(ROW | {"concurrency": "all 1,000 at once"}, profiles.gpu, lambda _: None)
    assert asked.at_most == 1000


@pytest.mark.parametrize("regime", ["single", "batched"])
def test_a_whole_number_with_a_point_is_that_number(regime):
    asked = [
        question_of_row(ROW | {"concurrency": n, "regime": regime}, profiles.gpu, lambda _: None) for n in (8, 8.0)
    ]
    assert asked[0] == asked[1]
    assert asked[0].concurrency == 8


def test_weights_far_beyond_the_memory_are_declined_and_near_it_answered():
    # 405e9 × 2 bytes = 754 GiB against the 24 GiB of one RTX 4090 and the 8 × 80 of an H100 server
    big = ROW | {"params_b": 405, "n_gpus": 1, "gpu_canonical": "RTX 4090"}
    with pytest.raises(DeclinedError, match="GiB of weights, and 1 × RTX-4090 hold"):
        question_of_row(big, profiles.gpu, lambda _: None)
    near = big | {"n_gpus": 8, "gpu_canonical": "H100 SXM 80GB"}
    assert predict(question_of_row(near, profiles.gpu, lambda _: None)).quant == "bf16"
    # a CPU has as much memory as its owner bought: unknown, so nothing is too large for it
    host = big | {"engine": "llama.cpp", "quantization": "Q4_K_M", "gpu_canonical": "CPU AmpereOne A192-32X"}
    assert predict(question_of_row(host | {"n_gpus": 0}, profiles.gpu, lambda _: None)).declined is None


def test_a_load_in_words_says_how_many_requests_there_are():
    row = {"engine": "TensorRT-LLM", "version": "1.0", "model": "x", "quantization": "FP8", "tp": 1, "n_gpus": 1,
           "gpu_canonical": "H200 SXM", "input_len": 200, "output_len": 200, "regime": "saturated"}  # fmt: skip

    def running(words):
        return predict(question_of_row(row | {"concurrency": words}, profiles.gpu, lambda _: LLAMA_8B)).running

    assert running("all 100 at once") == 100
    assert running("max throughput (64 parallel)") == 64
    assert running("max throughput") == 2048  # TensorRT-LLM's default batch


def test_an_unstated_format_that_cannot_fit_is_taken_as_fp8():
    # 405e9 parameters: 810 GB in bf16 is more than the 8 × 80 GB of the row, 405 GB in fp8 is not
    row = {"engine": "vLLM", "model": "big", "params_b": 405, "quantization": None, "n_gpus": 8,
           "gpu_canonical": "H100 SXM 80GB", "concurrency": 4, "regime": "batched"}  # fmt: skip
    assert predict(question_of_row(row, profiles.gpu, lambda _: None)).quant == "fp8"


def test_a_model_too_big_for_its_ranks_shares_all_devices():
    # 235e9 parameters in fp8 do not fit one H200 of 141 GB: its experts are spread over all eight
    row = {"engine": "SGLang", "model": "moe", "params_b": 235, "active_params_b": 22, "quantization": "FP8", "tp": 1,
           "n_gpus": 8, "gpu_canonical": "H200 SXM", "concurrency": 4, "regime": "batched"}  # fmt: skip
    assert predict(question_of_row(row, profiles.gpu, lambda _: None)).tp == 8


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 0.9}, {"regime": "batched"}),
        ({"n_gpus": "2", "tp": float("nan")}, {"tp": 2}),
        ({"quantization": "n/a"}, {"quant": "bf16"}),
        ({"quantization": "compressed-tensors FP8"}, {"quant": "fp8"}),
        ({"model": "Yi-34B", "params_b": None}, {"model": "Yi-34B"}),
        ({"engine": None, "version": None, "regime": None}, {"engine": "other"}),
    ],
)
def test_odd_values_of_a_row_are_read_as_they_are_meant(change, said):
    row = {"engine": "vLLM", "version": "0.9", "model": "x", "params_b": 8.0, "quantization": "BF16", "n_gpus": 1,
           "gpu_canonical": "H100 SXM 80GB", "concurrency": 8, "regime": "batched"}  # fmt: skip
    found = predict(question_of_row(row | change, profiles.gpu, lambda _: None))
    assert {key: getattr(found, key) for key in said} == said


def test_a_last_batch_that_is_partly_filled_takes_as_long_as_a_full_one():
    # 3,000 requests (NVIDIA's table of 128 tokens in and 2,048 out) and room for 2,048: two rounds of an answer's
    # length, where an ever full batch would have needed 3,000 / 2,048 of one
    asked = of_row(version="0.14")
    assert asked.at_most == 3_000
    assert physics.rounds(asked, 2_048) == pytest.approx(2 / (3_000 / 2_048))
    assert physics.rounds(asked, 300) == pytest.approx(1.0)  # ten full batches
    assert physics.rounds(of_row(input_len=999), 2_048) == 1.0  # no table says how many


def test_the_longest_answers_of_a_trace_run_on_in_an_empty_batch():
    # 1,000 exponential answers: the longest is on average H(1000) = 1 + 1/2 + … + 1/1000 of their mean
    harmonic = sum(1 / n for n in range(1, 1_001))
    asked = of_row(concurrency="all 1000 at once")
    assert not asked.uniform
    assert physics.rounds(asked, 1_000) == pytest.approx(harmonic, rel=1e-3)
    # half of them wait at first: one more batch's worth of steps is done with all places taken
    assert 2 * physics.rounds(asked, 500) == pytest.approx(1 + sum(1 / n for n in range(1, 501)), rel=1e-3)
    closed = of_row(concurrency=1_000, regime="batched")  # whoever is done asks again: it never empties
    assert physics.rounds(closed, 1_000) == 1.0


def test_a_burst_is_slower_than_the_same_load_kept_up():
    burst, kept_up = (
        predict(of_row(engine="vLLM", version="0.11", tp=1, n_gpus=1, input_len=200, output_len=200, **load))
        for load in ({"concurrency": "all 800 at once"}, {"concurrency": 800, "regime": "batched"})
    )
    assert burst.running == kept_up.running == 800
    assert burst.output_tok_s.p50 < kept_up.output_tok_s.p50


def test_sequences_of_a_rank_of_their_own():
    # NVIDIA's tables run mixtures with attention data parallelism: each rank its own sequences and all dense weights
    deepseek = facts.of_spec(resolve("deepseek-r1"))
    own, shared = of_row(deepseek), of_row(deepseek, version="0.14")
    assert (own.attention, shared.attention) == (8, 1)
    assert (own.kv_copies, shared.kv_copies) == (1, 8)
    fp8 = formats.parse("fp8")
    dense = deepseek.body + 2 * deepseek.head  # a byte a weight, the output matrix in 16 bits
    assert deepseek.read_bytes(1, fp8, 8) - deepseek.read_bytes(1, fp8) == pytest.approx(7 * dense)
    assert of_row(deepseek, concurrency=8, regime="batched").attention == 1  # a load that those tables do not have
    assert of_row(deepseek, version="0.14", attention_dp=4) == shared  # no field that rows are read for
    assert of_row().attention == 1  # no experts: copies, not this


def test_deepspeed_on_a_gaudi_is_intels_own():
    assert of_row(engine="Deepspeed", gpu_canonical="Gaudi2").engine.family == "habana"
    assert of_row(engine="Deepspeed").engine.family == "deepspeed"


@pytest.mark.parametrize(
    ("engine", "version", "quant", "size"),
    [
        ("vllm", "0.17", "nvfp4", 1), ("vllm", "0.17", "mxfp4", 2), ("vllm", "0.17", "fp8", 2),
        ("vllm", "0.5", "fp4", 2),
        ("tensorrt-llm", "1.0", "fp8", 1), ("tensorrt-llm", "1.0", "bf16", 2), ("sglang", None, "nvfp4", 2),
    ],
)  # fmt: skip
def test_bytes_of_a_cached_element(engine, version, quant, size):
    # NVIDIA's FP4 checkpoints name an FP8 cache, which vLLM follows; gpt-oss's MXFP4 names none
    row = {"engine": engine, "version": version, "model": "x", "quantization": quant, "concurrency": 8,
           "gpu_canonical": "B200 SXM", "regime": "batched"}  # fmt: skip
    assert question_of_row(row, profiles.gpu, lambda _: LLAMA_8B).kv_bytes == size
