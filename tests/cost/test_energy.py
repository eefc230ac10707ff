"""Measured energy: taken from the bench where a counter ran long enough, else unknown, never zero."""

from decimal import Decimal

from tests.report.made import level_of, rows_of
from toolkit.cost import energy, goodput, machine_price
from toolkit.cost.report import cost_report
from toolkit.cost.scenario import Load, Power, Scenario
from toolkit.types import Energy, Gauge

D = Decimal
ROWS = rows_of((1,), seconds=6)


def level(duration_s, **changes):
    """60 s at 300 W: 18 kJ for 60,000 tokens = 0.3 J each."""
    fields = {
        "gpus": ("L4",), "joules": 18_000.0, "how": "counter", "watts": Gauge(mean=300, max=320), "gpu_busy": None,
        "joules_per_token": 0.3, "joules_per_output_token": 1.2,
    } | changes  # fmt: skip
    return level_of(ROWS, 0, 1).model_copy(update={"duration_s": duration_s, "energy": Energy(**fields)})


def test_half_a_minute_is_the_least():
    assert energy.measured(level(29.0)) is None
    found = energy.measured(level(60.0))
    assert (found.watts, found.joules_per_token) == (300, 0.3)
    assert "counter" in found.how
    assert energy.measured(level_of(ROWS, 0, 1)) is None  # no GPU was read


def test_a_processors_energy_says_what_is_in_it():
    found = energy.measured(level(60.0, source="rapl", gpus=("package-0",)))
    assert (found.watts, found.joules_per_token) == (300, 0.3)
    assert found.how == "RAPL, over 60 s; processor packages only, with all that ran on the machine"


def test_without_a_tariff_it_is_told_and_not_priced():
    speed = goodput.assumed(1000)
    unknown = cost_report(speed, machine_price.given(D(1)))
    assert (unknown.joules_per_token, unknown.energy_usd_per_mtok) == (None, None)
    from dataclasses import replace

    known = cost_report(replace(speed, energy=energy.measured(level(60.0))), machine_price.given(D(1)))
    assert (known.joules_per_token, known.joules_basis, known.energy_usd_per_mtok) == (0.3, "measured", None)


def test_measured_watts_priced_by_hand():
    # 300 W × 730 h × $0.20 × PUE 1.5 = 65.70 a month; 0.3 J × 0.20 × 1.5 / 3.6 = $0.025 per million
    power = Power(D(300), D("0.20"), D("1.5"), "measured")
    report = cost_report(goodput.assumed(1000), machine_price.given(D(1)), (), Scenario(Load(1_000_000), power=power))
    assert report.monthly_usd.other == D("65.70")
    assert float(report.energy_usd_per_mtok) == 0.025
    (line,) = [line for line in report.monthly_lines if line.what == "electricity"]
    assert line.how == "1 × 300 W × 730 h × $0.2/kWh × PUE 1.5"
