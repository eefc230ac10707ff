"""The speed model against hand arithmetic, limits of physics and published figures."""

from __future__ import annotations

import pytest

from toolkit import profiles
from toolkit.errors import DeclinedError, InputError
from toolkit.models.resolve import resolve
from toolkit.predict import facts, formats, hardware, physics
from toolkit.predict.answer import predict
from toolkit.predict.layout import question
from toolkit.predict.rows import question as question_of_row

LLAMA_8B = facts.of_spec(resolve("llama-3.1-8b"))
MIXTRAL = facts.of_spec(resolve("mixtral-8x7b"))


def ask(
    model=LLAMA_8B, quant="bf16", gpu="H100-SXM-80GB", engine="vllm",
    count=1, *, users=1, prompt=512, answer=256, tp=None,
):  # fmt: skip
    return question(
        model,
        formats.parse(quant),
        hardware.of_gpu(profiles.gpu(gpu)),
        hardware.of_engine(engine, None),
        count,
        tp=tp,
        input_len=prompt,
        output_len=answer,
        concurrency=users,
    )


def test_what_a_dense_step_reads():
    # Meta: 8,030,261,248 parameters; the input embedding, 128,256 × 4,096, is looked up, not read through.
    # The norms, 65 × 4,096, are left out too.
    assert pytest.approx(8_030_261_248 - 128_256 * 4_096 - 65 * 4_096) == LLAMA_8B.active
    assert LLAMA_8B.read_bytes(1, formats.parse("bf16")) == pytest.approx(2 * LLAMA_8B.active)


def test_the_cache_of_grouped_attention():
    # 32 layers × 8 KV heads × 128 × (key and value) = 65,536 elements a token
    assert LLAMA_8B.cache_elements(1000) == 65_536 * 1000


def test_a_sliding_window_bounds_what_is_read():
    # gpt-oss-20b: 12 full and 12 sliding layers (128 tokens), 8 KV heads of 64
    oss = facts.of_spec(resolve("gpt-oss-20b"))
    assert oss.cache_elements(10_000) == 12 * 8 * 64 * 2 * (10_000 + 128)


def test_a_mixture_touches_more_experts_with_more_sequences():
    # 2 of 8 experts a token: one sequence touches 1/4, eight 1 − 0.75⁸ = 0.89989
    fmt = formats.parse("bf16")
    one, eight = MIXTRAL.read_bytes(1, fmt), MIXTRAL.read_bytes(8, fmt)
    assert (eight - one) / (2 * MIXTRAL.expert_params) == pytest.approx(0.89989 - 0.25, rel=1e-4)
    assert MIXTRAL.active == pytest.approx(12.9e9, rel=0.02)  # Mistral: 12.9B active


@pytest.mark.parametrize(
    ("text", "kind", "bits"),
    [
        ("FP16/BF16", "plain", 16),
        ("FP8", "fp8", 8),
        ("AWQ-4bit GEMM", "w4", 4.16),
        ("GPTQ-Int8", "w8", 8.25),
        ("EXL2-3.0bpw", "w4", 3.0),
        ("Q4_K_M (Ollama default)", "gguf", 4.85),
        ("FP4 (MXFP4)", "fp4", 4.5),
        ("nvfp4", "fp4", 4.5),
    ],
)
def test_formats_as_published(text, kind, bits):
    found = formats.parse(text)
    assert (found.kind, found.bits) == (kind, bits)


def test_an_unknown_format_is_refused():
    with pytest.raises(InputError, match="unknown weight format"):
        formats.parse("bogus")


def test_ceiling_is_bandwidth_over_bytes():
    # 3,350 GB/s over 2 × 7.505e9 bytes of weights and 65,536 × 2 × 640 bytes of cache = 222 tokens/s
    found = predict(ask())
    assert found.ceiling_output_tok_s == pytest.approx(3.35e12 / (2 * 7.505e9 + 65_536 * 2 * 640), rel=0.01)
    assert found.bound_by == "bandwidth"
    assert found.output_tok_s.p50 < found.ceiling_output_tok_s


@pytest.mark.parametrize("gpu", ["H100-SXM-80GB", "RTX-4090", "MI300X", "L40S", "Apple-M3-Ultra", "B200-SXM"])
@pytest.mark.parametrize("users", [1, 8, 64, None])
def test_no_device_beats_its_ceiling(gpu, users):
    found = predict(ask(gpu=gpu, users=users))
    assert 0 < found.output_tok_s.p10 < found.output_tok_s.p50 < found.output_tok_s.p90
    assert found.output_tok_s.p50 < found.ceiling_output_tok_s


def test_more_users_more_tokens_but_fewer_each():
    few, many = predict(ask(users=4)), predict(ask(users=64))
    assert many.output_tok_s.p50 > few.output_tok_s.p50
    assert many.decode_tok_s_per_user.p50 < few.decode_tok_s_per_user.p50
    assert many.ttft_s.p50 > few.ttft_s.p50


def test_no_first_token_time_without_a_load():
    assert predict(ask(users=None)).ttft_s is None


def test_requests_beyond_the_cache_wait():
    # an L4 shows 22 GiB: 0.9 of it less 15 GB of weights leaves ≈ 6 GB; a request of 8,000 needs 131 kB × 7,750 ≈ 1 GB
    found = predict(ask(gpu="L4", users=100, prompt=7_500, answer=500))
    assert 4 < found.running < 8


def test_what_does_not_fit_is_declined():
    with pytest.raises(DeclinedError, match="GiB of weights"):
        ask(gpu="L4", model=facts.of_spec(resolve("llama-3.1-70b")))


def test_ranks_must_divide_the_devices():
    with pytest.raises(InputError, match="cannot be shared"):
        ask(count=4, tp=3)


def test_copies_double_the_throughput_and_not_the_speed():
    one, two = predict(ask(users=16)), predict(ask(users=32, count=2, tp=1))
    assert two.output_tok_s.p50 == pytest.approx(2 * one.output_tok_s.p50)
    assert two.decode_tok_s_per_user.p50 == pytest.approx(one.decode_tok_s_per_user.p50)


@pytest.mark.parametrize(
    ("gpu", "model", "quant", "engine", "tok_s"),
    [
        # llama-bench tg512/tg1024 of May 2024, XiongjieDai/GPU-Benchmarks-on-LLM-Inference, and Ollama runs of
        # geerlingguy/ai-benchmarks (2025), read 2026-11-23; within the P90 bar, 35 %
        ("RTX-4090", "llama-3-8b", "q4_k_m", "llama.cpp", 127.7),
        ("RTX-A6000", "llama-3-8b", "q4_k_m", "llama.cpp", 102.2),
        ("A100-PCIe-80GB", "llama-3-8b", "f16", "llama.cpp", 54.6),
        ("RTX-4070-Ti", "llama-3.2-3b", "q4_k_m", "llama.cpp", 196.2),
    ],
)
def test_published_single_streams(gpu, model, quant, engine, tok_s):
    found = predict(ask(facts.of_spec(resolve(model)), quant, gpu, engine))
    assert found.decode_tok_s_per_user.p50 == pytest.approx(tok_s, rel=0.35)


def test_parameter_counts_alone_stay_near_the_profile():
    known, guessed = predict(ask()), predict(ask(facts.of_params("some 8B", 8.03)))
    assert guessed.model_basis == "parameter counts"
    assert guessed.output_tok_s.p50 == pytest.approx(known.output_tok_s.p50, rel=0.15)


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


ROW = {"engine": "vLLM", "model": "x", "params_b": 8.0, "gpu_canonical": "H100 SXM 80GB", "quantization": "BF16",
       "concurrency": 8, "regime": "batched"}  # fmt: skip


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


def test_the_smooth_maximum_is_at_least_the_maximum():
    assert physics.smooth_max(1.0, 1.0) == pytest.approx(2 ** (2 / 3))  # corner 1.5
    assert physics.smooth_max(1.0, 0.0) == 1.0


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


def test_one_request_is_no_faster_for_a_second_device_that_waits_for_the_first():
    # llama.cpp deals layers out: a token passes one device after the other, so a lone request gains nothing and the
    # hand-over costs: llama-bench, Llama 3 8B Q4_K_M tg1024, 127.74 tokens/s on one RTX 4090, 122.56 on two, 116.13 on
    # eight (XiongjieDai/GPU-Benchmarks-on-LLM-Inference)
    one, two, eight = (predict(ask(quant="q4_k_m", gpu="RTX-4090", engine="llama.cpp", count=n)) for n in (1, 2, 8))
    assert two.output_tok_s.p50 / one.output_tok_s.p50 == pytest.approx(122.56 / 127.74, abs=0.05)
    assert eight.output_tok_s.p50 < two.output_tok_s.p50
    assert two.ceiling_output_tok_s == pytest.approx(one.ceiling_output_tok_s)


def test_copies_without_requests_deliver_nothing():
    # four copies of one rank each and one request: three of them stand idle
    one, four = (predict(ask(count=n, tp=1)) for n in (1, 4))
    assert four.output_tok_s.p50 == pytest.approx(one.output_tok_s.p50)
    assert four.running == 1


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


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("Yi-34B-Chat", (34, None)),
        ("Qwen3-30B-A3B", (30, 3)),
        ("Qwen2.5-0.5B", (0.5, None)),
        ("Llama-4-Maverick-17B-128E", None),  # 17 B are active; the whole, 400 B, is not in its name
        ("Phi-3-mini", None),
    ],
)
def test_sizes_that_a_name_states(name, sizes):
    assert facts.sizes_in_name(name) == sizes


def test_a_mixture_named_by_its_experts():
    # Mistral: Mixtral 8x7B has 46.7 B parameters, 12.9 B of them active; 8x22B has 141 B and 39 B
    for name, total, active in (("Mixtral-8x7B", 46.7, 12.9), ("Mixtral-8x22B", 141, 39)):
        assert facts.sizes_in_name(name) == (pytest.approx(total, rel=0.1), pytest.approx(active, rel=0.1))


def test_vllm_takes_fewer_sequences_on_an_a100_and_on_small_devices():
    # vllm/engine/arg_utils.py: 1,024 from 70 GiB on, but on A100 256; releases before that, 256
    tiny = facts.of_params("tiny", 0.5)
    running = {
        (gpu, version): predict(
            question(tiny, formats.parse("bf16"), hardware.of_gpu(profiles.gpu(gpu)),
                     hardware.of_engine("vllm", version), 1, input_len=64, output_len=64, concurrency=None)
        ).running
        for gpu in ("H100-SXM-80GB", "A100-SXM-80GB", "L4") for version in ("0.11", "0.5")
    }  # fmt: skip
    assert running == {
        ("H100-SXM-80GB", "0.11"): 1024, ("H100-SXM-80GB", "0.5"): 256, ("A100-SXM-80GB", "0.11"): 256,
        ("A100-SXM-80GB", "0.5"): 256, ("L4", "0.11"): 256, ("L4", "0.5"): 256,
    }  # fmt: skip


def test_tensorrt_llm_keeps_room_for_whole_answers():
    # its default policy, GUARANTEED_NO_EVICT: a request of 100 + 3,900 tokens holds 4,000, elsewhere 2,050 on average
    often, whole = (predict(ask(users=None, engine=e, prompt=100, answer=3900)).running for e in ("sglang", "trt"))
    assert often / whole == pytest.approx(4000 / 2050, rel=0.01)


def of_row(model=LLAMA_8B, **change):
    """A question of a row of eight H200s under a load that is told in words."""
    row = {"engine": "TensorRT-LLM", "version": "1.0", "model": "x", "quantization": "FP8", "tp": 8, "n_gpus": 8,
           "gpu_canonical": "H200 SXM", "input_len": 128, "output_len": 2048, "regime": "saturated",
           "concurrency": "max throughput"}  # fmt: skip
    return question_of_row(row | change, profiles.gpu, lambda _: model)


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


def test_more_ranks_than_kv_heads_keep_the_same_cache():
    # Llama 3.1 8B has 8 KV heads: 8 ranks split its cache, 16 keep it twice. DeepSeek's latent has no heads to split
    deepseek = facts.of_spec(resolve("deepseek-r1"))
    assert [ask(count=n).kv_copies for n in (1, 8, 16)] == [1, 1, 2]
    assert [ask(deepseek, "fp8", "B200-SXM", count=n).kv_copies for n in (4, 8)] == [4, 8]
    # 61 layers × 576 elements × 2 bytes × 640 tokens, read by each of the 8 ranks
    of_cache = physics.terms(ask(deepseek, "fp8", "B200-SXM", count=8)).cache_mem
    assert of_cache == pytest.approx(61 * 576 * 2 * 640 / profiles.gpu("B200-SXM").mem_bw_gbs / 1e9)


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


def test_a_card_with_less_power_sustains_less():
    # data sheets: A100 PCIe 300 W, SXM 400 W, both 312 TFLOPS; H100 PCIe 350 W for 756, SXM 700 W for 989
    def sustained(gpu):
        return hardware.of_gpu(profiles.gpu(gpu)).sustained

    assert sustained("A100-SXM-80GB") == pytest.approx(1, rel=0.01)
    assert sustained("A100-PCIe-80GB") == pytest.approx(0.75**0.7, rel=0.01)
    assert sustained("H100-PCIe-80GB") == pytest.approx((350 / 756.5 / 0.71) ** 0.7)
    assert sustained("Apple-M3-Ultra") == sustained("Gaudi2") == 1  # no such pair of cards
    long = {"users": 64, "prompt": 4_000, "answer": 64}
    assert predict(ask(gpu="A100-PCIe-80GB", **long)).ttft_s.p50 > predict(ask(gpu="A100-SXM-80GB", **long)).ttft_s.p50


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


def test_weights_that_leave_no_room_run_one_request():
    # Llama 3.3 70B in bf16: 141.1 GB less the input embedding are 139 GB; an H200 of 141 GB gives engines 0.9 of it.
    # What ran and says so must have been another format; what is asked about cannot run more than one
    llama = facts.of_spec(resolve("llama-3.3-70b"))
    asked = ask(llama, gpu="H200-SXM", users=None)
    assert physics.room(asked) < 0
    assert physics.running(asked) == 1
    ran = of_row(llama, engine="vLLM", version="0.11", tp=1, n_gpus=1, quantization="BF16")
    assert physics.running(ran) == 1024


def test_a_request_that_the_cache_cannot_hold_is_declined():
    # 200,256 tokens × 131,072 bytes = 24.4 GiB beside 14 GiB of weights, on a card that shows 22 GiB
    with pytest.raises(DeclinedError, match=r"one request of 200,256 tokens needs 24\.4 GiB"):
        ask(gpu="L4", prompt=200_000)


def test_those_who_wait_wait_for_whole_answers():
    # 60,000 tokens of context take 7.3 GiB: beside 14 GiB of weights one request fits a card of 24 GiB
    one, many = (predict(ask(gpu="RTX-4090", users=n, prompt=60_000)) for n in (1, 64))
    assert many.running == 1
    assert many.ttft_s.p50 > 63 * 256 * one.tpot_s.p50


@pytest.mark.parametrize(("engine", "limit"), [("llama.cpp", 64), ("vllm", 256), ("sglang", 1024)])
def test_an_engine_runs_no_more_for_users_that_are_counted(engine, limit):
    tiny = facts.of_params("tiny", 0.5)
    stated, most = (predict(ask(tiny, gpu="RTX-4090", engine=engine, users=n, prompt=32, answer=32))
                    for n in (5_000, None))  # fmt: skip
    assert stated.running == most.running == limit
    assert stated.ttft_s.p50 > 5_000 / limit * 32 * stated.tpot_s.p10  # the others wait


def test_eight_cards_on_pcie_are_bound_by_it():
    # prompts of 1,024 tokens: 2 × 80 layers × 8,192 × 2 bytes × 2 × 7/8 of each token pass 32 GB/s, 147 ms; arithmetic
    # takes 24 ms of 8 × 733 TFLOPS of FP8
    llama = facts.of_spec(resolve("llama-3.3-70b"))
    asked = ask(llama, "fp8", "L40S", count=8, users=None, prompt=1_024)
    t = physics.terms(asked)
    assert t.bulk_link == pytest.approx(1_024 * 2 * 80 * 8_192 * 2 * 2 * 7 / 8 / asked.device.link)
    assert t.bulk_link > 5 * t.bulk_flop
    assert predict(asked).bound_by == "interconnect"


@pytest.mark.parametrize("gpu", ["RTX-4060-Ti-16GB", "RTX-4090", "L4", "H100-SXM-80GB", "Apple-M3-Ultra"])
@pytest.mark.parametrize("quant", ["bf16", "q4_k_m"])
def test_no_interval_reaches_above_the_ceiling(gpu, quant):
    for users in (1, 8):
        found = predict(ask(quant=quant, gpu=gpu, users=users, prompt=16, answer=64))
        assert found.output_tok_s.p90 <= found.ceiling_output_tok_s
        assert found.decode_tok_s_per_user.p90 * users <= found.ceiling_output_tok_s * 1.000001
        assert found.tpot_s.p10 == pytest.approx(1 / found.decode_tok_s_per_user.p90)


@pytest.mark.parametrize("gpu", ["RTX-5090", "RTX-PRO-6000-Blackwell-WS", "RTX-4090", "H100-SXM-80GB", "L40S"])
def test_eight_bits_are_not_slower_where_the_card_multiplies_them(gpu):
    # NVIDIA's Ada, Hopper and Blackwell whitepapers: FP8 at twice the rate of FP16
    card = hardware.of_gpu(profiles.gpu(gpu))
    assert card.fp8 == pytest.approx(2 * card.fp16, rel=0.03)
    wide, narrow = (predict(ask(quant=quant, gpu=gpu, users=None)).output_tok_s.p50 for quant in ("bf16", "fp8"))
    assert narrow > wide
