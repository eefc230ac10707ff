"""Opening hours, cold starts, spot interruptions and own hardware, by hand."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.cost import machine_price
from toolkit.cost.formulas import Hosting, capex_usd_per_hour, month, replicas, usage_usd_per_mtok
from toolkit.cost.running import Running, checked, schedule
from toolkit.errors import InputError

D = Decimal
WEEKS = D(730) / 168  # 4.345 in a month


@pytest.mark.parametrize(
    ("text", "hours_a_week", "openings_a_week"),
    [
        ("mon-fri 8-20", 60, 5),
        ("mon-fri 8-20, sat 9:30-14", D("64.5"), 6),
        ("daily 22-6", 56, 7),  # past midnight
        ("sat-mon 0-24", 72, 1),  # three days without a stop, over the end of the week
        ("daily 0-24", 168, 0),  # never closed, so never opened
        ("mon 8-12, mon 10-14", 6, 1),  # overlapping parts count once
        ("sun 23-1", 2, 1),
        ("Monday-Friday 09:00-17:00", 40, 5),
    ],
)
def test_opening_hours_by_hand(text, hours_a_week, openings_a_week):
    hours, openings = schedule(text)
    assert float(hours) == pytest.approx(float(hours_a_week * WEEKS))
    assert float(openings) == pytest.approx(float(openings_a_week * WEEKS))


@pytest.mark.parametrize(
    "text", ["", "8-20", "mon-fri", "mon-fri 8-8", "mon-fri 8-25", "xyz 8-9", "mon 8:70-9", "mon-"]
)
def test_what_is_no_opening_hours(text):
    with pytest.raises(InputError):
        schedule(text)


def test_cold_starts_and_interruptions_are_paid_hours():
    # 200 h open, 100 starts of 6 min = 10 h, 12 interruptions of 5 + 10 min = 3 h: 213 h are paid.
    running = Running(D(200), D(100), D(6) / 60, D(12), D(15) / 60)
    assert running.extra_hours == 13
    assert running.paid_hours == 213
    assert checked(running) is running
    m = month(Hosting(D(1000), 2, D("1.50"), open_hours=D(200), paid_hours=running.paid_hours), 1_000_000)
    assert m.compute_usd == 2 * D("1.50") * 213  # $639.00


@pytest.mark.parametrize(
    "running",
    [
        Running(D(0)),
        Running(D(731)),
        Running(D(700), D(100), D(1)),
        Running(D(10), interruptions=D(50), lost_hours=D(1)),
    ],
)
def test_a_month_has_730_hours(running):
    with pytest.raises(InputError):
        checked(running)


def test_a_schedule_squeezes_the_load_into_its_hours():
    # 86.4M a day is 1,000 tokens/s over all hours. Open 365 of 730 h: all of it comes in half the time, so the mean
    # of the open hours is 2,000 tokens/s whatever the peak ratio says below 2.
    half = Hosting(D(1000), 1, D(1), peak_ratio=D("1.5"), open_hours=D(365), paid_hours=D(365))
    assert half.peak_over_mean == 2
    assert replicas(half, 86_400_000) == 2
    m = month(half, 86_400_000)
    assert m.utilisation == 1  # two replicas, both busy whenever they are open
    assert m.compute_usd == 2 * 365
    # Busy all the open time, a token costs what usage says: 1 / 3.6 = $0.2778.
    assert float(m.allocation_usd_per_mtok) == pytest.approx(float(usage_usd_per_mtok(1, D(1), D(1000))))


def test_a_spot_mix_by_hand():
    # 80 % at 0.45 and 20 % at 1.00: 0.36 + 0.20 = 0.56
    mixed = machine_price.spot_mix(machine_price.given(D("0.45")), machine_price.given(D(1)), D("0.8"))
    assert mixed.usd_per_gpu_hour == D("0.56")
    assert "80% spot" in mixed.how
    assert machine_price.spot_mix(machine_price.given(D("0.45")), None).usd_per_gpu_hour == D("0.45")
    with pytest.raises(InputError, match="not below on demand"):
        machine_price.spot_mix(machine_price.given(D("1.00")), machine_price.given(D(1)))
    with pytest.raises(InputError, match="not known"):
        machine_price.spot_mix(machine_price.given(D("0.45")), None, D("0.8"))


def test_own_hardware_by_hand():
    # $2,000, a fifth left after 3 years, running half the hours: 1,600 / (3 × 8,760 × 0.5) = $0.12177 per hour
    assert float(capex_usd_per_hour(D(2000), D("0.2"), D(3), D("0.5"))) == pytest.approx(0.121766, abs=1e-6)
    # The month costs the same whether it runs or not: 1,600 / 36 = $44.44.
    for hours in (D(730), D(365), D(73)):
        price = machine_price.owned(D(2000), D("0.2"), D(3), hours)
        assert float(price.usd_per_gpu_hour * hours) == pytest.approx(1600 / 36)
    assert machine_price.owned(D(2000), D("0.2"), D(3), D(730)).hardware == "owned"


@given(st.integers(1, 10**9), st.integers(1, 730), st.integers(1, 20), st.integers(1, 5000), st.integers(0, 100))
def test_usage_is_never_above_allocation(volume, hours, peak, speed, extra):
    """Whatever the schedule: paying for idle hours can only make a token dearer."""
    hosting = Hosting(D(speed), 1, D("1.39"), peak_ratio=D(peak), open_hours=D(hours), paid_hours=D(hours + extra))
    usage = usage_usd_per_mtok(1, D("1.39"), D(speed))
    assert usage <= month(hosting, volume).allocation_usd_per_mtok * (1 + D("1e-20"))


@given(st.integers(1, 10**8), st.integers(1, 10**8), st.integers(1, 730))
def test_more_volume_never_costs_less(a, b, hours):
    hosting = Hosting(
        D(100), 1, D(1), peak_ratio=D(3), other_usd_per_mtok=D("0.02"), open_hours=D(hours), paid_hours=D(hours)
    )
    low, high = sorted((a, b))
    assert month(hosting, low).total_usd <= month(hosting, high).total_usd


@given(st.decimals("0.01", "50", places=2), st.decimals("0.01", "50", places=2))
def test_a_dearer_machine_never_makes_a_cheaper_month(a, b):
    low, high = sorted((a, b))
    months = [month(Hosting(D(100), 1, usd, peak_ratio=D(2), spare=1), 5_000_000) for usd in (low, high)]
    assert months[0].total_usd <= months[1].total_usd


@given(st.decimals("0.05", "0.99", places=2), st.decimals("1", "20", places=2), st.decimals("0.01", "1", places=2))
def test_a_mix_lies_between_its_prices(spot, on_demand, share):
    mixed = machine_price.spot_mix(machine_price.given(spot), machine_price.given(on_demand), share)
    assert spot <= mixed.usd_per_gpu_hour <= on_demand
