"""The tornado as bars: ends and the stated price on one scale."""

import re

import pytest

from tests.report.test_monthly import D, report
from toolkit.cost.scenario import People
from toolkit.report.tornado import bars, table


def test_the_mark_is_the_price_as_stated():
    # One replica whatever the speed and the peak, so people's hours alone move it: 1,014.70 + 100 × 0.62 … 2.4.
    cost = report(people=People(upkeep_hours=D(2), usd_per_hour=D(50)))
    html = bars(cost)
    (start, width), (mark,) = (
        [float(v) for v in found]
        for found in (
            re.findall(r"(?:margin-left|width):([\d.]+)%", html),
            re.findall(r"left:([\d.]+)%\"></i>", html),
        )
    )
    assert (start, width) == (0, 100)
    assert mark == pytest.approx((100 - 62) / (240 - 62) * 100, abs=0.01)
    # 1,114.70 ÷ 304.1667 million tokens = 3.66
    assert "with all as stated it is $3.66." in table(cost).caption


def test_nothing_to_show_without_a_volume():
    cost = report(volume=None)
    assert bars(cost) == ""
    assert table(cost).rows == ()
