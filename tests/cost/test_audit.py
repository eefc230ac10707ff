"""Verdicts on claims, against figures worked out by hand."""

from datetime import date
from decimal import Decimal

import pytest

from toolkit.cost.api_prices import Quote
from toolkit.cost.audit import Figures, MemoryNeed, judge, pairs_needed
from toolkit.cost.claims import read_claim, read_claims
from toolkit.cost.rental_audit import Market, market_of
from toolkit.errors import InputError, UnknownNameError
from toolkit.types import ApiPrice, GpuPrice

ON = date(2026, 6, 24)


def quote(name, into, out):
    price = ApiPrice(
        name=name,
        provider="maker",
        model=name,
        usd_per_mtok_input=into,
        usd_per_mtok_output=out,
        price_date="list",
        source="the test",
    )
    return Quote(price)


def verdict(table, figures=None):
    return judge(read_claim({"claim": "it is said", **table}), figures or Figures())


def api(usd, **more):
    quotes = {"big": quote("big", "2.50", "10"), "small": quote("small", "0.10", "0.40"), "flat": quote("flat", 1, 1)}
    table = {"kind": "api_cost", "apis": ["big"], "tokens_per_month": "300M", "usd_per_month": usd, **more}
    return verdict(table, Figures(quotes=quotes))


def test_below_the_least_possible_cannot_hold():
    found = api(450)
    # 300 × 2.50 = 750 at least; 300 × (0.75 × 2.50 + 0.25 × 10) = 1,312.50 at three to one
    assert found.verdict == "cannot_hold"
    assert found.implied["least_usd_per_month"] == 750
    assert found.implied["usd_per_month_3_to_1"] == 1312.5
    # half price: 300 × (2.50 x + 10 (1 − x)) / 2 = 450 → x = 7/7.5 = 93.33 %
    assert "93.33 % input" in found.because
    assert "even batch at half price is at least $375.00" in api(300).because


def test_above_the_most_possible_cannot_hold():
    assert api(3001).verdict == "depends"  # 300 × 10 = 3,000: one dollar is rounding
    assert api(3100).verdict == "cannot_hold"


def test_a_price_of_some_mix_depends_on_the_mix():
    found = api(75, apis=["small"])
    assert found.verdict == "depends"
    assert found.implied["input_share_needed"] == pytest.approx(0.5)  # 300 × (0.10 + 0.40) / 2 = 75
    assert api(75, apis=["small"], input_share=0.5).verdict == "holds"
    assert api(75, apis=["small"], input_share=0.75).verdict == "cannot_hold"  # that is 52.50
    assert api(52.5, apis=["small"]).verdict == "holds"  # three to one


def test_an_unnamed_model_of_several_depends_unless_none_fits():
    assert api(75, apis=["small", "big"]).verdict == "depends"
    assert api(5, apis=["small", "big"]).verdict == "cannot_hold"
    assert api(300, apis=["flat"]).verdict == "holds"


def rent(market=(2, 3), devices=1, **table):
    claim = read_claim({"claim": "c", "kind": "rental", "hardware": "A100", **table})
    low, high = (Decimal(str(usd)) for usd in market)
    return judge(claim, Figures(rents={claim: Market(low, high, devices, "the test")}))


def test_money_for_a_part_of_the_month_depends_on_hours_and_speed():
    found = rent(usd_per_month=180, tokens_per_month="300M")
    assert found.verdict == "depends"
    assert found.implied["usd_per_hour_around_the_clock"] == pytest.approx(0.2466)  # 180 / 730
    assert found.implied["market_usd_per_month"] == (1460, 2190)
    assert found.implied["hours_per_month"] == (60, 90)
    assert found.implied["tok_s_needed"] == (925.9, 1388.9)  # 300e6 / (90 × 3,600) and / (60 × 3,600)
    assert "60–90 h a month at 926–1,389 tokens/s" in found.because


def test_around_the_clock_below_the_market_cannot_hold():
    found = rent((0.3739, 0.4423), usd_per_month=110, hours_per_month=730)
    assert found.verdict == "cannot_hold"
    assert "$0.151 per hour" in found.because
    assert "$273–323" in found.because
    assert rent(usd_per_hour=1.5).verdict == "cannot_hold"


def test_money_within_and_above_the_market():
    assert rent(usd_per_hour=2.5).verdict == "depends"
    assert rent(usd_per_hour=3).verdict == "holds"
    assert rent(usd_per_month=2190).verdict == "holds"
    assert rent(devices=2, usd_per_hour=3).verdict == "cannot_hold"  # two cost at least 4 an hour


def test_an_hourly_and_a_monthly_price_that_disagree():
    found = rent(usd_per_month=900, usd_per_hour=3)
    assert found.verdict == "depends"
    assert found.implied["hours_per_month"] == (300, 300)


def test_the_market_is_the_claims_own_or_dated():
    claim = read_claim({"claim": "c", "kind": "rental", "hardware": "A10G", "usd_per_month": 110})
    prices = [
        GpuPrice(source="test", checked=ON, provider=p, gpu="A10G", usd_per_hour=u, kind="spot")
        for p, u in (("a", "0.5"), ("b", "0.7"))
    ]
    found = market_of(claim, 1, prices)
    assert (found.low, found.high) == (Decimal("0.5"), Decimal("0.7"))
    assert "2026-06-24" in found.how
    assert market_of(claim, 1, []) is None


def test_money_without_a_market_says_what_it_implies():
    claim = read_claim({"claim": "c", "kind": "rental", "usd_per_month": 180, "tokens_per_day": "10M"})
    found = judge(claim, Figures(rents={claim: None}))
    assert found.verdict == "depends"
    # 180 / 730 = 0.2466 an hour; 10M × 30.4167 = 304.17M a month: 180 / 304.17 = 0.5918; 10M / 86,400 = 115.7 a second
    assert found.implied["usd_per_hour_around_the_clock"] == pytest.approx(0.2466)
    assert found.implied["usd_per_mtok"] == pytest.approx(0.5918)
    assert found.implied["mean_tok_s"] == pytest.approx(115.7)
    assert "does not say what is rented" in found.because


def test_break_even_against_the_authors_own_bars():
    table = {
        "kind": "break_even",
        "self_host_usd_per_month": 180,
        "bars": {"a": 450, "b": 75},
        "bars_tokens_per_day": "10M",
    }
    # 180 / 450 × 10M = 4M; 180 / 75 × 10M = 24M
    found = verdict({**table, "tokens_per_day": "5M"})
    assert found.verdict == "depends"
    assert found.implied == {"tokens_per_day a": 4_000_000, "tokens_per_day b": 24_000_000}
    assert verdict({**table, "tokens_per_day": "5M/month"}).verdict == "cannot_hold"
    assert verdict({**table, "tokens_per_day": "25M"}).verdict == "holds"
    by_price = {"kind": "break_even", "self_host_usd_per_month": 730, "apis": ["flat"], "tokens_per_day": "1M"}
    found = verdict(by_price, Figures(quotes={"flat": quote("flat", 1, 1)}))
    assert found.implied == {"tokens_per_day flat": 24_000_000}  # 730 / 30.4167 days = 24 dollars a day, $1 a million
    assert found.verdict == "cannot_hold"


def test_bytes_per_weight():
    found = verdict({"kind": "weight_size", "gb_per_billion": 2, "bits": 4})
    assert found.verdict == "cannot_hold"
    assert "0.53–0.61" in found.because  # 17 bytes / 32 weights; 4.8944 bits / 8
    assert "FP16" in found.because
    assert verdict({"kind": "weight_size", "gb_per_billion": 2, "bits": 16}).verdict == "holds"
    assert verdict({"kind": "weight_size", "gb_per_billion": 0.55, "bits": 4}).verdict == "holds"


def test_quality_flips_at_a_failures_cost():
    found = verdict({"kind": "quality", "cheap_accuracy": 0.84, "dear_accuracy": 0.89, "cost_ratio": 6})
    assert found.verdict == "depends"
    assert found.implied["flip_failure_cost_in_cheap_requests"] == 100  # (6 − 1) / (0.89 − 0.84)


def test_how_many_examples():
    found = verdict({"kind": "evaluation", "examples": 200, "accuracy": 0.85})
    assert "± 4.9 points" in found.because  # 1.96 × √(0.85 × 0.15 / 200) = 0.0495
    table = {"kind": "evaluation", "accuracy": 0.84, "better_accuracy": 0.89}
    assert verdict({**table, "examples": 500}).implied["pairs_needed"] == (343, 626)
    assert verdict({**table, "examples": 500}).verdict == "depends"
    assert verdict({**table, "examples": 200}).verdict == "cannot_hold"
    assert verdict({**table, "examples": 700}).verdict == "holds"
    # By hand: ψ = 0.2, d = 0.1: (1.96 √0.2 + 0.8416 √0.19)² / 0.01 = (0.87652 + 0.36685)² / 0.01 = 154.6
    assert pairs_needed(0.1, 0.2) == 155


def test_memory_claims_follow_the_memory_model():
    claim = read_claim({"claim": "c", "kind": "memory", "model": "m", "hardware": "A100"})

    def with_need(fits, certainty):
        need = MemoryNeed(40 * 2**30, 48 * 2**30, certainty, fits, "weights 40")
        return judge(claim, Figures(memory={claim: need})).verdict

    assert with_need(True, "sure") == "holds"
    small = MemoryNeed(40 * 2**30, 79 * 2**30, "sure", True, "weights 39")
    large = MemoryNeed(134 * 2**30, 79 * 2**30, "no", False, "weights 131", small)
    found = judge(claim, Figures(memory={claim: large}))
    assert found.verdict == "depends"  # the claim leaves the format open, and one format makes it true
    assert "134.0 GiB, and there are 79.0 GiB; in Q4_K_M, 40.0 GiB" in found.because
    assert with_need(True, "close") == "depends"
    assert with_need(False, "no") == "cannot_hold"


def test_arithmetic_allows_rounding_only():
    def said(compute, says, **more):
        return verdict({"kind": "arithmetic", "compute": compute, "says": says, **more})

    assert said("10M * 365 / 12", "300M").verdict == "holds"
    assert said("20 * 50 / 50", "40").verdict == "cannot_hold"
    assert "30 times off" in said("5M * 30", "5M").because
    assert said("450 * 93", "41851", tolerance=0.0).verdict == "cannot_hold"
    with pytest.raises(InputError, match="says zero"):
        said("1 - 1", "0")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "no kind"),
        ({"kind": "rent"}, "unknown kind of claim"),
        ({"kind": "quality", "cheap_acuracy": 1}, "unknown key"),
        ({"kind": "quality", "cheap_accuracy": 0.9, "dear_accuracy": 0.8, "cost_ratio": 2}, "must be above"),
        ({"kind": "rental", "hardware": "L4"}, "usd_per_month or usd_per_hour"),
        ({"kind": "rental", "hardware": "L4", "usd_per_month": -1}, "greater than 0"),
        ({"kind": "rental", "hardware": "L4", "usd_per_month": float("nan")}, "finite"),
        ({"kind": "rental", "hardware": "L4", "usd_per_hour": 1, "market_usd_per_hour": [3, 2]}, "lower price first"),
        ({"kind": "api_cost", "apis": ["a"], "usd_per_month": 1}, "tokens_per_day or tokens_per_month"),
        ({"kind": "api_cost", "apis": ["a"], "usd_per_month": 1, "tokens_per_day": "10M/week"}, "per day or per month"),
        ({"kind": "api_cost", "apis": ["a"], "usd_per_month": 1, "tokens_per_day": 1, "tokens_per_month": 1}, "both"),
        ({"kind": "memory", "model": "m"}, "hardware or vram_gib"),
        ({"kind": "break_even", "tokens_per_day": 1, "self_host_usd_per_month": 1}, "bars or apis"),
        ({"kind": "break_even", "tokens_per_day": 1, "self_host_usd_per_month": 1, "bars": {"a": 1}}, "together"),
        ({"kind": "evaluation", "examples": 200, "accuracy": 0.8, "better_accuracy": 0.7}, "above accuracy"),
    ],
)
def test_a_claim_that_makes_no_sense_is_refused(table, message):
    with pytest.raises(InputError, match=message):
        read_claim({"claim": "c", **table} if table else {"claim": "c"})


def test_a_file_of_claims():
    with pytest.raises(UnknownNameError) as error:
        read_claims({"source": "me", "claims": []})
    assert error.value.nearest == ["claim"]
    file, claims = read_claims(
        {"source": "me!", "prices_on": ON, "claim": [{"claim": "c", "kind": "arithmetic", "compute": "1", "says": "1"}]}
    )
    assert (file.prices_on, len(claims)) == (ON, 1)
