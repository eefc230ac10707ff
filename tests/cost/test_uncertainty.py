"""Monte Carlo and tornado: against closed forms, and properties that any such figures have."""

import time
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.cost import machine_price
from toolkit.cost.formulas import Hosting, month
from toolkit.cost.uncertainty import Factor, Factors, simulate
from toolkit.types import GpuPrice

FLAT = (1, 1, 1, 1, 1)


def factor(what="x", points=FLAT):
    return Factor(what, points, "assumed", "the test")


def uncertain(**points):
    return Factors(**{key: factor(key, points.get(key, FLAT)) for key in ("speed", "price", "people", "peak")})


def hosting(**more):
    told = {"goodput_tok_s": Decimal(1000), "gpus": 1, "usd_per_gpu_hour": Decimal(1)}
    return Hosting(**{**told, **more})


def test_the_quantile_function_is_straight_between_five_numbers():
    f = factor(points=(0.5, 0.8, 1, 1.5, 3))
    assert [f.quantile(q) for q in (0, 0.25, 0.5, 0.75, 1)] == [0.5, 0.8, 1, 1.5, 3]
    assert f.quantile(0.1) == pytest.approx(0.62)  # 0.5 + 0.3 × 0.1/0.25
    assert f.quantile(0.9) == pytest.approx(2.4)  # 1.5 + 1.5 × 0.15/0.25


def test_nothing_uncertain_is_the_point_estimate():
    at = hosting(people_usd_per_month=Decimal(400), peak_ratio=Decimal(3), spare=1)
    point = month(at, 30_000_000)  # 30M × 3 / 86.4M = 1.04 → 2 replicas and a spare: 3 × 730 + 400 = 2,590
    assert point.total_usd == 2590
    found, cheaper = simulate(at, 30_000_000, uncertain(), [Decimal(2), Decimal(3)], 500)
    assert {found.monthly_usd.p10, found.monthly_usd.p50, found.monthly_usd.p90} == {Decimal(2590)}
    assert float(found.allocation_usd_per_mtok.p50) == pytest.approx(float(point.allocation_usd_per_mtok))
    assert cheaper == [0, 1]  # 912.5 Mtok: 2 → 1,825; 3 → 2,737.50
    assert found.tornado == ()


def test_an_equal_price_is_not_cheaper():
    # 730 a month for 24M a day = 730 Mtok: exactly one dollar
    _, cheaper = simulate(hosting(), 24_000_000, uncertain(), [Decimal(1), Decimal("1.0001")], 100)
    assert cheaper == [0, 1]


def test_a_linear_cost_has_the_percentiles_of_its_input():
    # One replica whatever happens: the month is 730 × price factor, uniform from 0.5 to 1.5.
    found, cheaper = simulate(
        hosting(), 1_000_000, uncertain(price=(0.5, 0.75, 1, 1.25, 1.5)), [Decimal(18), Decimal(24)], 10_000
    )
    assert float(found.monthly_usd.p10) == pytest.approx(730 * 0.6, rel=0.02)
    assert float(found.monthly_usd.p50) == pytest.approx(730, rel=0.02)
    assert float(found.monthly_usd.p90) == pytest.approx(730 * 1.4, rel=0.02)
    # 30.4167 Mtok: 18 → 547.50 = 730 × 0.75, a quarter of the draws; 24 → 730, half of them
    assert cheaper == pytest.approx([0.25, 0.5], abs=0.02)


def test_the_tornado_is_each_input_alone_and_widest_first():
    found, _ = simulate(
        hosting(people_usd_per_month=Decimal(100)),
        1_000_000,
        uncertain(price=(0.5, 0.75, 1, 1.25, 1.5), people=(0, 0.5, 1, 1.5, 2)),
        [],
        100,
    )
    assert [s.what for s in found.tornado] == ["price", "people"]  # speed and peak change nothing for one replica
    mtok = 30.416667
    price, people = found.tornado
    assert price.usd_per_mtok_at_p10 * mtok == pytest.approx(730 * 0.6 + 100)
    assert price.usd_per_mtok_at_p90 * mtok == pytest.approx(730 * 1.4 + 100)
    assert people.usd_per_mtok_at_p10 * mtok == pytest.approx(730 + 100 * 0.2)


def test_a_peak_is_never_below_the_mean():
    at = hosting(peak_ratio=Decimal(2))
    found, _ = simulate(at, 86_400_000, uncertain(peak=(0.1, 0.1, 1, 1, 1)), [], 1000)
    assert found.monthly_usd.p10 == 730  # mean load is 1,000 tokens/s: one replica, not a tenth of two


def test_the_price_of_a_gpu_spreads_over_its_providers():
    from datetime import date

    def price(provider, usd):
        return GpuPrice(
            source="test", checked=date(2026, 11, 23), provider=provider, gpu="L4", usd_per_hour=usd, kind="on_demand"
        )

    found = machine_price.of_gpu("L4", [price(p, u) for p, u in zip("abcde", ("1", "2", "4", "5", "8"), strict=True)])
    assert found.usd_per_gpu_hour == 4
    assert found.spread == (0.25, 0.5, 1, 1.25, 2)
    assert machine_price.of_gpu("L4", [price("a", "1")]).spread == FLAT
    assert machine_price.given(Decimal(1)).spread == FLAT


def test_ten_thousand_draws_take_well_under_two_seconds():
    wide = (0.5, 0.8, 1, 1.4, 2)
    started = time.perf_counter()
    simulate(hosting(), 10**8, uncertain(speed=wide, price=wide, people=wide, peak=wide), [Decimal(1)] * 40)
    assert time.perf_counter() - started < 2


WIDE = {"speed": (0.5, 0.8, 1, 1.1, 1.3), "price": (0.6, 0.9, 1, 1.2, 1.6), "peak": (0.4, 0.7, 1, 1.4, 2)}


@settings(max_examples=40, deadline=None)
@given(st.integers(10**5, 10**9), st.integers(0, 10**6), st.decimals("0.05", "50", places=3), st.integers(0, 3))
def test_properties(volume, seed, usd, spare):
    at = hosting(people_usd_per_month=Decimal(200), peak_ratio=Decimal(3), spare=spare)
    found, (p, dearer) = simulate(at, volume, uncertain(**WIDE), [usd, usd * 2], 200, seed)
    band = found.monthly_usd
    assert band.p10 <= band.p50 <= band.p90
    assert 0 <= p <= dearer <= 1  # an API that costs more is beaten at least as often
    assert simulate(at, volume, uncertain(**WIDE), [usd], 200, seed)[0] == found  # the same seed, the same
    more, _ = simulate(
        hosting(**{**vars(at), "usd_per_gpu_hour": Decimal(2)}), volume, uncertain(**WIDE), [], 200, seed
    )
    assert more.monthly_usd.p50 > band.p50  # a dearer machine costs more
    swings = [abs(s.usd_per_mtok_at_p90 - s.usd_per_mtok_at_p10) for s in found.tornado]
    assert swings == sorted(swings, reverse=True)
