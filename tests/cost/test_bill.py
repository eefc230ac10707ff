"""The lines of the month: they add up, and each can be repeated by hand."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from toolkit.cost import goodput, machine_price
from toolkit.cost.report import cost_report
from toolkit.cost.running import Running
from toolkit.cost.scenario import Load, Other, People, Power, Scenario

D = Decimal


def report_of(scenario, usd="1.39", gpus=1):
    return cost_report(goodput.assumed(1000), machine_price.given(D(usd), gpus), (), scenario, draws=100)


def test_every_kind_of_line_by_hand():
    # 86.4M a day = 1,000 tokens/s, peak 3 → 3 replicas of 2 devices, and one spare. $2/h. Open 365 h, 20 starts of
    # 6 minutes, 10 interruptions of 3 minutes. 4 × 2 × $2 = $16 an hour.
    scenario = Scenario(
        Load(86_400_000, D(3), spare=1),
        Running(D(365), D(20), D("0.1"), D(10), D("0.05")),
        People(D(24), D(12), D(5), D(60), D(250)),
        Power(D(500), D("0.10")),
        (Other("storage", D(40)), Other("disk", D(3), "replica"), Other("egress", D("0.01"), "mtok")),
    )
    bill = {line.what: float(line.usd) for line in report_of(scenario, "2.00", 2).monthly_lines}
    assert bill == {
        "machines": 12 * 365,
        "spare machines": 4 * 365,
        "cold starts": 16 * 2,
        "interruptions": 16 * 0.5,
        "setting up": 120,  # 24 × 60 / 12
        "upkeep": 300,
        "on call": 250,
        "electricity": 4 * 0.5 * 367.5 * 0.10,
        "storage": 40,
        "disk": 12,
        "egress": 26.28,  # 86.4M × 30.41667 = 2,628M tokens × 0.01
    }


amounts = st.decimals("0", "500", places=2)


@given(
    st.integers(1, 10**8),
    st.integers(1, 730),
    st.integers(0, 3),
    amounts,
    amounts,
    st.sampled_from(["month", "replica", "mtok"]),
)
def test_the_lines_add_up(volume, hours, spare, usd, on_call, per):
    scenario = Scenario(
        Load(volume, D(3), spare=spare),
        Running(D(hours)),
        People(on_call_usd_per_month=on_call),
        Power(D(100), D("0.3")),
        (Other("thing", usd, per),),
    )
    report = report_of(scenario)
    assert abs(sum(line.usd for line in report.monthly_lines) - report.monthly_usd.total) < D("1e-15")
    for kind in ("compute", "people", "other"):
        part = sum(line.usd for line in report.monthly_lines if line.kind == kind)
        assert abs(part - getattr(report.monthly_usd, kind)) < D("1e-15")


def test_a_price_by_the_token_moves_break_even():
    # An API at $4.375, egress $0.375 per million: $4.00 saved. $1,014.70 / 4 / 30.41667 = 8.34M a day.
    from datetime import date

    from toolkit.cost import sources
    from toolkit.cost.traffic import TYPICAL

    quotes = sources.quotes(["gpt-4o"], (TYPICAL,), date(2026, 11, 23))
    scenario = Scenario(Load(None, D(1)), others=(Other("egress", D("0.375"), "mtok"),))
    (api,) = cost_report(goodput.assumed(1000), machine_price.given(D("1.39")), quotes, scenario).alternatives
    assert round(api.self_host_wins_tokens_per_day[0][0] / 1e6, 2) == 8.34
    dear = Scenario(Load(None, D(1)), others=(Other("egress", D(5), "mtok"),))
    (api,) = cost_report(goodput.assumed(1000), machine_price.given(D("1.39")), quotes, dear).alternatives
    assert api.self_host_wins_tokens_per_day == ()
