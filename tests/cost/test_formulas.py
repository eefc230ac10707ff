"""Formulas 1–4 and 10 of the cost model against arithmetic done by hand, and the properties they must have."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.cost.formulas import (
    Hosting,
    energy_usd_per_mtok,
    joules_per_token,
    mean_load_tok_s,
    month,
    mtok_per_month,
    people_usd_per_month,
    power_usd_per_month,
    replicas,
    usage_usd_per_mtok,
)

D = Decimal
ONE_A100 = Hosting(goodput_tok_s=D(1000), gpus=1, usd_per_gpu_hour=D("1.39"))


def test_usage_price_by_hand():
    # One hour at 1,000 tokens/s is 3.6 million tokens; 1.39 / 3.6 = 0.386111…
    assert usage_usd_per_mtok(1, D("1.39"), D(1000)) == pytest.approx(D("0.386111"), abs=D("0.000001"))
    # Two devices at 2.00 serving 500 tokens/s: 4.00 per 1.8 million = 2.222…
    assert usage_usd_per_mtok(2, D(2), D(500)) == pytest.approx(D("2.222222"), abs=D("0.000001"))


def test_load_and_replicas_by_hand():
    # 86.4M a day is 1,000 tokens/s; peaks of three times that need 3 replicas of 1,000.
    assert mean_load_tok_s(86_400_000) == 1000
    peaky = Hosting(D(1000), 1, D("1.39"), peak_ratio=D(3))
    assert replicas(peaky, 86_400_000) == 3
    assert replicas(peaky, 86_400_001) == 4
    assert replicas(peaky, 1) == 1
    assert replicas(Hosting(D(1000), 1, D("1.39"), peak_ratio=D(3), spare=1), 86_400_000) == 4


def test_a_month_by_hand():
    # 10M a day: L = 10e6/86,400 = 115.74 tokens/s, one replica, U = 11.57 %.
    # Compute 730 h × $1.39 = $1,014.70; people 20 h × $50 / 24 + 8 h × $50 = 41.666… + 400 = $441.67.
    people = people_usd_per_month(D(20), D(24), D(8), D(50))
    assert people == pytest.approx(D("441.6667"), abs=D("0.0001"))
    m = month(Hosting(D(1000), 1, D("1.39"), D(3), people_usd_per_month=people), 10_000_000)
    assert m.replicas == 1
    assert m.compute_usd == D("1014.70")
    assert float(m.utilisation) == pytest.approx(0.115741, abs=1e-6)
    # 1,456.37 a month over 10 × 30.41667 = 304.1667 million tokens = $4.788 per million.
    assert mtok_per_month(10_000_000) == pytest.approx(D("304.1667"), abs=D("0.0001"))
    assert m.allocation_usd_per_mtok == pytest.approx(D("4.78804"), abs=D("0.0001"))


def test_the_articles_spot_price_implies_less_than_a_quarter_dollar_an_hour():
    # $180 a month around the clock: 180 / 730 = $0.2466 per hour (the audit table says $0.247).
    m = month(Hosting(D(1000), 1, D(180) / 730), 10_000_000)
    assert m.compute_usd == pytest.approx(D(180), abs=D("1e-20"))


def test_energy_by_hand():
    # 400 W at 1,000 tokens/s is 0.4 J/token; a million tokens are 0.4 MJ = 0.1111 kWh;
    # at $0.12 and PUE 1.3: 0.4 × 0.12 × 1.3 / 3.6 = $0.017333.
    joules = joules_per_token(D(400), D(1000))
    assert joules == D("0.4")
    assert energy_usd_per_mtok(joules, D("0.12"), D("1.3")) == pytest.approx(D("0.0173333"), abs=D("1e-7"))
    # The same machine all month: 0.4 kW × 730 h = 292 kWh × 0.12 × 1.3 = $45.552.
    assert power_usd_per_month(D(400), D("0.12"), D("1.3")) == D("45.552")


speeds = st.decimals("0.1", "100000", places=2)
prices = st.decimals("0.01", "99", places=2)
volumes = st.integers(1, 10**10)
hostings = st.builds(
    Hosting,
    goodput_tok_s=speeds,
    gpus=st.integers(1, 16),
    usd_per_gpu_hour=prices,
    peak_ratio=st.decimals(1, 10, places=1),
    spare=st.integers(0, 3),
    people_usd_per_month=st.decimals(0, 10_000, places=2),
    power_usd_per_replica_month=st.decimals(0, 1_000, places=2),
)


@given(hostings, volumes)
def test_usage_never_exceeds_allocation(hosting, volume):
    usage = usage_usd_per_mtok(hosting.gpus, hosting.usd_per_gpu_hour, hosting.goodput_tok_s)
    assert usage <= month(hosting, volume).allocation_usd_per_mtok * (1 + D("1e-20"))


@given(hostings, volumes)
def test_replicas_carry_the_peak_and_one_fewer_would_not(hosting, volume):
    n = replicas(hosting, volume) - hosting.spare
    peak = mean_load_tok_s(volume) * hosting.peak_ratio
    slack = D("1e-18") * peak
    assert n * hosting.goodput_tok_s >= peak - slack
    assert n == 1 or (n - 1) * hosting.goodput_tok_s < peak + slack


@given(hostings, volumes, volumes)
def test_a_greater_volume_never_costs_less(hosting, a, b):
    low, high = sorted((a, b))
    assert month(hosting, low).total_usd <= month(hosting, high).total_usd


@given(speeds, prices, prices)
def test_a_dearer_hour_never_makes_a_cheaper_token(speed, a, b):
    low, high = sorted((a, b))
    assert usage_usd_per_mtok(1, low, speed) <= usage_usd_per_mtok(1, high, speed)


@given(prices, speeds, speeds)
def test_a_faster_machine_never_makes_a_dearer_token(price, a, b):
    slow, fast = sorted((a, b))
    assert usage_usd_per_mtok(1, price, fast) <= usage_usd_per_mtok(1, price, slow)


@given(hostings, volumes)
def test_utilisation_is_a_share(hosting, volume):
    assert 0 < month(hosting, volume).utilisation <= 1 + D("1e-20")
