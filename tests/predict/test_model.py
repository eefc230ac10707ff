"""The speed model against hand arithmetic, limits of physics and published figures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from toolkit import profiles
from toolkit.errors import DeclinedError, InputError
from toolkit.models.resolve import resolve
from toolkit.predict import facts, formats, hardware, physics
from toolkit.predict.answer import predict
from toolkit.predict.layout import question

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


def test_the_smooth_maximum_is_at_least_the_maximum():
    assert physics.smooth_max(1.0, 1.0) == pytest.approx(2 ** (2 / 3))  # corner 1.5
    assert physics.smooth_max(1.0, 0.0) == 1.0


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


def test_more_ranks_than_kv_heads_keep_the_same_cache():
    # Llama 3.1 8B has 8 KV heads: 8 ranks split its cache, 16 keep it twice. DeepSeek's latent has no heads to split
    deepseek = facts.of_spec(resolve("deepseek-r1"))
    assert [ask(count=n).kv_copies for n in (1, 8, 16)] == [1, 1, 2]
    assert [ask(deepseek, "fp8", "B200-SXM", count=n).kv_copies for n in (4, 8)] == [4, 8]
    # 61 layers × 576 elements × 2 bytes × 640 tokens, read by each of the 8 ranks
    of_cache = physics.terms(ask(deepseek, "fp8", "B200-SXM", count=8)).cache_mem
    assert of_cache == pytest.approx(61 * 576 * 2 * 640 / profiles.gpu("B200-SXM").mem_bw_gbs / 1e9)


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


def test_weights_that_leave_no_room_run_one_request():
    # Llama 3.3 70B in bf16: 141.1 GB less the input embedding are 139 GB; an H200 of 141 GB gives engines 0.9 of it.
    # What ran and says so must have been another format; what is asked about cannot run more than one
    llama = facts.of_spec(resolve("llama-3.3-70b"))
    asked = ask(llama, gpu="H200-SXM", users=None)
    assert physics.room(asked) < 0
    assert physics.running(asked) == 1
    assert physics.running(replace(asked, ran=True)) == 1024


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
