"""Labels keep off one another and off the marks."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.report.labels import CHAR, TALL, places

WITHIN = (0.0, 0.0, 440.0, 280.0)


def boxes(marks: list[tuple[float, float]], texts: list[str]) -> list[tuple[float, float, float, float]]:
    found = []
    for (x, y, anchor), text in zip(places(marks, texts, WITHIN), texts, strict=True):
        wide = CHAR * len(text)
        left = x - {"mid": wide / 2, "end": wide, "": 0}[anchor]
        found.append((left, y - TALL, left + wide, y + 2))
    return found


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return min(a[2], b[2]) > max(a[0], b[0]) and min(a[3], b[3]) > max(a[1], b[1])


def test_a_label_stands_above_its_mark() -> None:
    assert places([(100, 100)], ["8"], WITHIN) == [(100, 89, "mid")]


def test_a_label_stays_in_the_plot() -> None:
    assert places([(100, 5)], ["8"], WITHIN) == [(100, 25, "mid")]
    ((_, _, anchor),) = places([(438, 100)], ["16 knee"], WITHIN)
    assert anchor == "end"


def test_three_loads_of_one_speed_are_all_readable() -> None:
    """A server at its limit: more users, the same throughput and latency."""
    marks = [(300.0, 120.0), (306.0, 121.0), (304.0, 118.0)]
    found = boxes(marks, ["8 knee", "11", "16"])
    assert not any(overlap(a, b) for a, b in combinations(found, 2))


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(20, 420), st.floats(20, 260)), min_size=2, max_size=2))
def test_two_labels_never_touch(marks: list[tuple[float, float]]) -> None:
    first, second = boxes(marks, ["16", "256"])
    assert not overlap(first, second)
