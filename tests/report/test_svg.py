"""The plot kit: ticks, scales and marks."""

import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.report.svg import Plot, Scale, adaptive, linear, log_ticks, logarithmic, nice_ticks, spread


def test_ticks_are_round_numbers():
    assert nice_ticks(0, 10) == [0, 2, 4, 6, 8, 10]
    assert nice_ticks(0, 1, 4) == [0, 0.25, 0.5, 0.75, 1]
    assert nice_ticks(0, 230, 5) == [0, 50, 100, 150, 200]
    assert log_ticks(0.1, 10, 7) == pytest.approx([0.1, 0.2, 0.5, 1, 2, 5, 10])
    assert log_ticks(1, 1e6, 5) == pytest.approx([1, 10, 100, 1e3, 1e4, 1e5, 1e6])


def test_scales_reach_round_numbers_and_turn_logarithmic_when_wide():
    assert linear([3, 187]).hi == 200
    assert linear([]).hi == 1
    assert linear([0, 0]).hi == 1
    wide = adaptive([0.12, 4.9])
    assert (wide.log, wide.lo, wide.hi) == (True, 0.1, 5)
    assert not adaptive([1, 2, 0]).log
    assert logarithmic([3]).lo == 2
    assert logarithmic([1]).hi > 1


def test_a_scale_maps_its_ends_and_middle():
    assert [Scale(0, 10).share(v) for v in (0, 5, 10, 20, -1)] == [0, 0.5, 1, 1, 0]
    assert Scale(1, 100, log=True).share(10) == pytest.approx(0.5)
    assert Scale(3, 3).share(3) == 0.5


@given(st.floats(1e-6, 1e9), st.integers(2, 12))
def test_ticks_lie_inside_and_ascend(top, about):
    ticks = nice_ticks(0, top, about)
    assert all(0 <= t <= top * (1 + 1e-9) for t in ticks)
    assert ticks == sorted(set(ticks))
    assert 1 <= len(ticks) <= about + 2


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=20))
def test_every_value_lies_on_its_scale(values):
    for scale in (linear(values), logarithmic(values), adaptive(values)):
        assert scale.hi >= max(values) * (1 - 1e-9)
        assert scale.lo <= min(values) * (1 + 1e-9)


@given(st.lists(st.floats(0, 200), min_size=1, max_size=8))
def test_labels_stand_apart_inside_their_room(wanted):
    places = spread(sorted(wanted), 16, 0, 200)
    assert all(b - a >= 16 - 1e-9 for a, b in pairwise(places))
    assert places[-1] <= 200


def test_a_plot_is_well_formed_and_named():
    plot = Plot("a <b> & c", 'say "x"', Scale(0, 10), Scale(0, 1), x_title="s", y_title="share")
    plot.axes({0: "0", 10: "10"}, {0: "0 %", 1: "100 %"})
    plot.steps([(0, 0), (5, 0.5), (10, 1)], "l0")
    plot.area([(0, 0), (10, 1)], "l0")
    plot.dot((5, 0.5), "l0")
    plot.across(0.5, "limit", "slo")
    plot.upright(5, "limit", "slo")
    plot.beside([(0.5, "a"), (0.51, "b")], "api")
    plot.point_at((5, 0.5), "half <script>")
    root = ET.fromstring(plot.render("p1"))  # noqa: S314 - our own drawing
    assert root.find("title").text == "a <b> & c"
    assert root.find("desc").text == 'say "x"'
    assert root.get("aria-labelledby") == "p1-t p1-d"
    assert root.get("data-points") == '[[236.0,133.0,"half <script>"]]'
    # A staircase from (0, 0) by (5, 0.5) to (10, 1) has its corners at the old height: x 46 → 236 → 426.
    steps = next(p for p in root.iter("path") if p.get("class") == "line l0")
    assert steps.get("d") == "M46.0 236.0L236.0 236.0L236.0 133.0L426.0 133.0L426.0 30.0"
