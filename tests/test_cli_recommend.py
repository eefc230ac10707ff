"""`recommend` as a user runs it."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from tests.cli.run import document, error_of, selfhost

MINE = ("--gpu", "mine", "--bandwidth-gbs", "900", "--fp16-tflops", "200", "--vram-gib", "48")


def test_users_cheapest_per_token_first():
    found = document("recommend", "llama-3.1-8b", "--context", "4096", "--users", "16")
    cost = [option["usd_per_mtok"]["p50"] for option in found["options"]]
    assert found["kind"] == "recommendation"
    assert len(cost) > 10
    assert cost == sorted(cost)
    money = [
        usd for option in found["options"] for usd in (*option["usd_per_hour"].values(), option["usd_per_mtok"]["p25"])
    ]
    assert money == [round(usd, 6) for usd in money]  # $2.29, not $2.2899999999999996
    assert {"MI355X"} <= {left["gpu"] for left in found["not_judged"]}  # no dated price on record


def test_dollars_per_million_tokens_by_hand():
    # one device at $0.50/h; a quarter of each request's tokens is output, so all tokens are 4 × the output
    found = document("recommend", "llama-3.1-8b", "--users", "4", *MINE, "--gpu-price", "0.5/h")
    option = found["options"][0]
    tokens_per_hour = 4 * option["output_tok_s"]["p50"] * 3600
    assert (option["count"], option["replicas"], option["usd_per_hour"]["p50"]) == (1, 1, 0.5)
    assert option["usd_per_mtok"]["p50"] == pytest.approx(0.5 / tokens_per_hour * 1e6, rel=1e-6)


def test_tokens_per_day_pays_for_whole_replicas():
    # a small volume needs one replica all month: $0.50 × 24 h over 1 million tokens a day is $12 per million
    found = document("recommend", "llama-3.1-8b", "--tokens-per-day", "1M", *MINE, "--gpu-price", "0.5/h")
    option = found["options"][0]
    assert option["replicas"] == 1
    assert option["usd_per_mtok"]["p50"] == pytest.approx(12.0)


def test_more_volume_more_replicas():
    found = document("recommend", "llama-3.1-8b", "--tokens-per-day", "10B", *MINE, "--gpu-price", "0.5/h")
    option = found["options"][0]
    peak = 3 * 10e9 / 86_400
    assert (option["replicas"] - 1) * 4 * option["output_tok_s"]["p50"] / option["replicas"] < peak
    assert 4 * option["output_tok_s"]["p50"] >= peak


def test_a_tighter_service_level_costs_more():
    loose = document("recommend", "llama-3.1-8b", "--users", "64", *MINE, "--gpu-price", "0.5/h")["options"][0]
    tight = document(
        "recommend", "llama-3.1-8b", "--users", "64", *MINE, "--gpu-price", "0.5/h", "--slo", "tpot_p50<40ms"
    )["options"][0]
    assert tight["tpot_s"]["p50"] <= 0.040
    assert tight["usd_per_mtok"]["p50"] >= loose["usd_per_mtok"]["p50"]


def test_formats_class_and_budget():
    found = document(
        "recommend", "llama-3.1-8b", "--users", "8", "--quants", "bf16,awq", "--only", "consumer",
        "--max-usd-per-hour", "1.2",
    )  # fmt: skip
    assert {option["quant"] for option in found["options"]} == {"bf16", "awq"}
    assert all(option["gpu"].startswith("RTX") for option in found["options"])
    assert all(option["usd_per_hour"]["p50"] <= 1.2 for option in found["options"])


def test_no_fp8_on_volta():
    found = document("recommend", "llama-3.1-8b", "--users", "8", "--quants", "fp8,bf16")
    volta = {option["quant"] for option in found["options"] if option["gpu"].startswith("V100")}
    assert volta == {"bf16"}


def test_the_table():
    done = selfhost("recommend", "llama-3.1-8b", "--users", "4")
    assert done.returncode == 0
    assert "$/M tokens" in done.stdout
    assert "not ranked: " in done.stdout


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("--users", "8", "--slo", "ttft_p50<1us"), 1, "ttft of about"),
        (("--users", "8", "--max-usd-per-hour", "0.01"), 1, "budget"),
        (("--users", "8", "--gpu", "Gaudi2"), 1, "no dated rental price"),
        ((), 2, "load is not stated"),
        (("--users", "8", "--tokens-per-day", "1M"), 2, "stated twice"),
        (("--users", "8", "--gpu", "L44"), 2, "did you mean"),
        (("--users", "8", "--quants", "q9"), 2, "unknown weight format"),
        (("--users", "8", "--quants", ","), 2, "names no weight format"),
        (("--users", "8", "--slo", "speed<3"), 2, "service level"),
        (("--users", "8", *MINE), 2, "no list price"),
        (("--users", "8", "--context", "10M"), 2, ""),
        (("--users", "8", "--context", "1000000"), 2, "takes 131,072 tokens"),
    ],
)
def test_bad_input(words, status, said):
    assert said in error_of("recommend", "llama-3.1-8b", *words, status=status)


def test_nothing_fits_says_what_would():
    # 405e9 weights on 8 × 48 GiB: 754 GiB in bf16 and 377 GiB in fp8 are more than 0.9 × 384, 197 GiB in awq is not
    words = ("recommend", "llama-3.1-405b", "--users", "1", *MINE, "--gpu-price", "0.5/h")
    message = error_of(*words, status=1)
    assert "does not fit" in message
    assert "awq with 8,192 tokens fits mine" in message


def test_nothing_within_the_budget_names_the_least():
    # one device holds 15 GiB of weights in its 48, so the least is one hour of one
    words = ("recommend", "llama-3.1-8b", "--users", "1", *MINE, "--gpu-price", "0.5/h", "--max-usd-per-hour", "0.4")
    said = error_of(*words, status=1)
    assert "the least is 1 × (1 × mine) for $0.50 per hour" in said


def test_a_device_too_small_names_the_cheapest_that_would_do():
    # 405e9 weights: 197 GiB in 4 bits are more than 8 × 22 GiB; the first that holds 754 GiB has at least 8 × 96
    said = error_of("recommend", "llama-3.1-405b", "--users", "1", "--gpu", "L4", status=1)
    assert "does not fit on up to 8 × L4" in said
    assert "would hold it (bf16), for $" in said


def test_the_plot_as_picture_page_and_characters(tmp_path):
    words = ("recommend", "llama-3.1-8b", "--users", "8", "--only", "consumer", "--quants", "bf16,awq")
    picture, page = tmp_path / "plot.svg", tmp_path / "plot.html"
    found = document(*words, "--plot", str(picture))
    root = ElementTree.fromstring(picture.read_text())  # noqa: S314  # written by us just now
    dots = list(root.iter("{http://www.w3.org/2000/svg}circle"))
    assert len(dots) == len(found["options"])
    assert selfhost(*words, "--plot", str(page)).returncode == 0
    text = page.read_text()
    assert "default-src 'none'" in text
    assert text.count("<tr role=") == len(found["options"])
    drawn = selfhost(*words, "--plot", "-").stdout
    assert "A  1 × 1 " in drawn  # the cheapest is always named
    assert "weight formats:" in drawn
    assert "quality: the reference" in drawn
    assert ".svg" in error_of(*words, "--plot", str(tmp_path / "plot.jpg"))


def test_quality_lost_by_a_format_has_its_source():
    found = document("recommend", "llama-3.1-8b", "--users", "4", "--gpu", "RTX-4090", "--quants", "q4_k_m,q8_0,fp8")
    quality = {option["quant"].lower(): option["quality"] for option in found["options"]}
    # llama.cpp's tools/perplexity/README.md, LLaMA 3 8B: 6.4071 against 6.2316 is +2.8 %; Q8_0 6.2343, +0.04 %
    assert quality["q4_k_m"].startswith("perplexity +2.8 %")
    assert quality["q8_0"].startswith("perplexity +0.043 %")
    assert "LLaMA 3 8B" in quality["q4_k_m"]
    assert "perplexity/README.md" in quality["q4_k_m"]
    assert "OpenLLM" in quality["fp8"]
