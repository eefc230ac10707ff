"""The stage as a whole: a bench and prices in, a CostReport out, checked by hand arithmetic."""

from datetime import date
from decimal import Decimal

import pytest

from tests.report.made import level_of, result_of, rows_of
from toolkit.cost import goodput, machine_price, sources
from toolkit.cost.report import DEFAULT_COMPARE, cost_report
from toolkit.cost.scenario import Load, People, Power, Scenario
from toolkit.cost.traffic import TYPICAL
from toolkit.errors import DeclinedError, InputError, UnknownNameError
from toolkit.types import GpuPrice, VcpuPrice

D = Decimal
DAY = date(2026, 11, 23)
USERS = (1, 4)
ROWS = rows_of(USERS, seconds=6)


def bench(**changes):
    return result_of(ROWS, USERS, **changes)


def with_levels(*changes):
    levels = tuple(
        level_of(ROWS, i, n).model_copy(update=c) for i, (n, c) in enumerate(zip(USERS, changes, strict=True))
    )
    return bench(levels=levels, best_under_slo=None)


def test_the_published_example_through_the_whole_stage():
    # 70B at 4 bits, 1,000 tokens/s assumed, $1.39/h, 10M tokens a day, 20 h set-up over 24 months, 8 h a month, $50/h.
    speed = goodput.assumed(1000)
    price = machine_price.given(D("1.39"))
    people = People(D(20), D(24), D(8), D(50))
    names = ["gpt-4o", "claude-sonnet-4-5", "together:llama-3.3-70b", "lowest:llama-3.3-70b"]
    quotes = sources.quotes(names, (speed.request,), DAY)
    report = cost_report(speed, price, quotes, Scenario(Load(10_000_000), people=people))

    # 1.39 / 3.6 = 0.3861; (730 × 1.39 + 41.67 + 400) / 304.17 Mtok = 1,456.37 / 304.17 = 4.788
    assert float(report.usage_usd_per_mtok) == pytest.approx(0.386111, abs=1e-6)
    assert float(report.allocation_usd_per_mtok) == pytest.approx(4.78805, abs=1e-5)
    assert report.monthly_usd.compute == D("1014.70")
    assert float(report.monthly_usd.people) == pytest.approx(441.6667, abs=1e-4)
    assert report.replicas == 1
    firsts = [a.self_host_wins_tokens_per_day[:1] for a in report.alternatives]
    assert [f"{f[0][0] / 1e6:.1f}" if f else "never" for f in firsts] == ["10.9", "8.0", "never", "never"]
    # GPT-4o at 3:1 costs 4.375 per million; 304.1667 Mtok a month = $1,330.73
    assert float(report.alternatives[0].usd_per_month) == pytest.approx(1330.73, abs=0.005)
    assert report.searched_up_to_tokens_per_day == 1_000_000_000


def test_goodput_of_the_best_level_under_the_slo():
    result = bench()
    speed = goodput.measured(result)
    best = max((lv for lv in result.levels if lv.slo_met), key=lambda lv: lv.goodput_total_tok_s)
    assert speed.tok_s == D(str(best.goodput_total_tok_s))
    assert speed.basis == "measured"
    assert speed.level == f"{best.concurrency} users"
    assert float(speed.input_share) == pytest.approx(best.input_tokens / (best.input_tokens + best.output_tokens))


def test_an_invalid_bench_is_refused_unless_allowed():
    broken = with_levels({"valid": False, "why_invalid": "client-bound"}, {"valid": False, "why_invalid": "restarted"})
    with pytest.raises(DeclinedError, match="not valid at 4 users: restarted"):
        goodput.measured(broken)
    speed = goodput.measured(broken, allow_invalid=True)
    assert "not valid" in " ".join(speed.notes)


def test_a_faster_but_invalid_level_is_left_out_and_said():
    half = with_levels({}, {"valid": False, "why_invalid": "client-bound"})
    speed = goodput.measured(half)
    assert speed.level == "1 user"
    assert "4 users went faster but is not valid (client-bound)" in speed.notes[-1]


def test_no_level_and_no_good_request_are_refused():
    with pytest.raises(DeclinedError, match="nothing was measured"):
        goodput.measured(bench(levels=(), best_under_slo=None))
    nothing = with_levels({"goodput_total_tok_s": 0.0}, {"goodput_total_tok_s": 0.0})
    with pytest.raises(DeclinedError, match="goodput is zero"):
        goodput.measured(nothing)


def test_a_stated_speed_keeps_the_mix_of_the_bench():
    speed = goodput.stated(bench(), 500)
    assert (speed.tok_s, speed.basis) == (D("500.0"), "assumed")
    assert speed.input_share_basis == "measured"
    assert speed.model == "SmolLM2-135M-Instruct"


@pytest.mark.parametrize("bad", [0, -5, float("nan"), float("inf")])
def test_a_stated_speed_must_be_a_speed(bad):
    with pytest.raises(InputError):
        goodput.assumed(bad)


def rent(usd, provider, kind="on_demand"):
    return GpuPrice(
        provider=provider, gpu="H100-SXM-80GB", usd_per_hour=usd, kind=kind, source="made for this test", checked=DAY
    )


CPU = VcpuPrice(name="cloud-vcpu", usd_per_vcpu_hour="0.05", basis="assumed", source="made for this test", checked=DAY)


def test_a_gpu_costs_the_median_over_providers_never_the_cheapest():
    # One provider lists two offers (2 and 4, its median 3); others 5 and 10: the median of 3, 5, 10 is 5. Spot is out.
    prices = [rent("2", "a"), rent("4", "a"), rent("5", "b"), rent("10", "c"), rent("0.1", "d", "spot")]
    found = machine_price.of_gpu("H100-SXM-80GB", prices)
    assert found.usd_per_gpu_hour == D(5)
    assert "3 providers, 2.00–10.00" in found.how


def test_every_gpu_of_the_machine_is_paid_for():
    for gpu in ("NVIDIA H100 80GB HBM3", {"name": "NVIDIA H100 80GB HBM3"}):
        machine = {"gpus": [gpu] * 2, "cores": 16}
        found = machine_price.of_machine(machine, lambda name: [rent("3", "a")] if "H100" in name else [], lambda: CPU)
        assert (found.gpus, found.usd_per_gpu_hour, found.basis) == (2, D(3), "priced")


def test_a_machine_without_a_gpu_is_priced_by_an_assumption_that_says_so():
    found = machine_price.of_machine({"gpus": [], "cores": 2}, lambda _: [], lambda: CPU)
    assert (found.usd_per_gpu_hour, found.basis) == (D("0.10"), "assumed")
    assert (found.spread[0], found.spread[2], found.spread[4]) == (0.5, 1, 2)  # nobody named it: half to twice
    assert machine_price.given(D("0.10")).spread == (1, 1, 1, 1, 1)
    rented = machine_price.of_machine({"gpus": [], "cores": 64, "usable_cores": 4}, lambda _: [], lambda: CPU)
    assert rented.usd_per_gpu_hour == D("0.20")  # a container pays for its share


@pytest.mark.parametrize("machine", [{}, {"gpus": []}, {"gpus": [{"name": "Mystery 9000"}]}])
def test_an_unknown_machine_asks_for_its_price(machine):
    with pytest.raises(InputError) as caught:
        machine_price.of_machine(machine, lambda _: [], lambda: CPU)
    assert "1.39/h" in caught.value.hint


def test_another_machines_price_is_not_guessed_from_this_one():
    with pytest.raises(InputError, match=r"gpu\.example\.com"):
        sources.price_of_machine(bench(target="https://gpu.example.com/v1"))
    assert sources.price_of_machine(bench()).basis == "assumed"
    environment = bench().environment
    elsewhere = environment.model_copy(update={"machine": {"cores": 2, "runs_the_server_too": False}})
    with pytest.raises(InputError, match="another machine"):
        sources.price_of_machine(bench(target="my-server", environment=elsewhere))


def test_defaults_give_a_whole_report():
    speed = goodput.measured(bench())
    quotes = sources.quotes(DEFAULT_COMPARE, (speed.request,), DAY)
    report = cost_report(speed, sources.price_of_machine(bench()), quotes)
    assert [a.name for a in report.alternatives] == list(DEFAULT_COMPARE)
    assert report.allocation_usd_per_mtok is None
    assert any("No people's time" in note for note in report.notes)


def test_power_and_currency_and_their_arithmetic():
    # 400 W at 1,000 tokens/s = 0.4 J per token; × $0.12 × PUE 1.3 / 3.6 = $0.0173 per million;
    # a month: 0.4 × 730 × 0.12 × 1.3 = $45.552 per replica.
    report = cost_report(
        goodput.assumed(1000),
        machine_price.given(D("1.39")),
        scenario=Scenario(Load(1_000_000, D(1)), power=Power(D(400), D("0.12"), D("1.3"))),
    )
    assert report.joules_per_token == pytest.approx(0.4)
    assert float(report.energy_usd_per_mtok) == pytest.approx(0.017333, abs=1e-6)
    assert report.monthly_usd.other == D("45.552")


def test_a_volume_that_needs_thousands_of_replicas_is_refused():
    # 10 tokens/s carry 864k a day; 10B a day need 11,575 of them.
    with pytest.raises(InputError, match=r"11,575 replicas"):
        cost_report(goodput.assumed(10), machine_price.given(D(1)), scenario=Scenario(Load(10_000_000_000, D(1))))


def test_every_short_name_has_a_price_and_a_date():
    prices = sources.priced_models(DAY)
    assert len(prices) >= 5
    for price in prices:
        assert price.usd_per_mtok_input > 0
        assert price.price_date
        assert sources.quote(price.name, (TYPICAL,), DAY).price.name == price.name


def test_unknown_short_names_get_short_names_back():
    with pytest.raises(UnknownNameError) as caught:
        sources.quote("together:lama-3.3-70b", (TYPICAL,), DAY)
    assert caught.value.nearest[0] == "together:llama-3.3-70b"


def test_forty_alternatives_take_less_than_half_a_second():
    import time

    speed = goodput.assumed(1000)
    names = [p.name for p in sources.priced_models(DAY)]
    from toolkit.cost.api_prices import listed

    names += [p.name for p in listed(DAY, "openrouter:")][: 40 - len(names)]
    assert len(names) == 40
    start = time.perf_counter()
    report = cost_report(speed, machine_price.given(D("1.39")), sources.quotes(names, (speed.request,), DAY))
    assert len(report.alternatives) == 40
    assert time.perf_counter() - start < 0.5
