"""The peak ratio of a log, counted by hand."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.cost.request_log import read
from toolkit.errors import InputError


def day(busiest=9, others=1):
    """24 hours of ``others`` requests an hour but for one of ``busiest``: (ISO time) strings."""
    return [f"2026-11-23T{h:02d}:{m:02d}:00" for h in range(24) for m in range(busiest if h == 14 else others)]


def test_requests_of_a_day_by_hand():
    found = read(["timestamp\n", *(f"{t}\n" for t in day())])
    # 23 hours of 1 and one of 9: mean 32 / 24 = 1.333, peak 9 → 6.75
    assert (found.peak, found.requests, found.hours, found.by) == (Decimal("6.75"), 32, 24, "requests")


def test_tokens_weigh_where_every_row_has_them():
    rows = [json.dumps({"at": t, "input_tokens": 90, "output_tokens": 910 if "T14" in t else 10}) for t in day(1)]
    found = read(rows)
    # 23 × 100 and 1,000: mean 3,300 / 24 = 137.5 → 7.27
    assert (found.by, round(found.peak, 2)) == ("tokens", Decimal("7.27"))
    assert read([*rows, json.dumps({"at": day()[0]})]).by == "requests"


def test_unix_seconds_and_milliseconds_are_the_same_hours():
    seconds = [json.dumps({"time": 1_700_000_000 + 3600 * h}) for h in range(48)]
    millis = [json.dumps({"time": 1000 * (1_700_000_000 + 3600 * h)}) for h in range(48)]
    assert read(seconds) == read(millis)
    assert read(seconds).peak == 1


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "no rows"),
        (["timestamp\n"], "no rows"),
        (["when\n", "2026-11-23T00:00:00\n"], "no time"),
        (["timestamp\n", "yesterday\n"], "not a time"),
        (["timestamp\n", "nan\n"], "not a time"),
        (["timestamp\n", *(f"2026-11-23T{h:02d}:00:00\n" for h in range(23))], "23 hours"),
        (['{"at": 1}', "{"], "row 2 of the log is no JSON"),
        (['{"at": 1}', "[]"], "row 2 of the log is no JSON object"),
        (['{"at": 1, "tokens": "many"}'], "not a number"),
        (['{"at": 1, "tokens": -1}'], "below zero"),
    ],
)
def test_a_log_that_is_none(lines, message):
    with pytest.raises(InputError, match=message):
        read(lines)


@given(st.lists(st.integers(0, 24 * 3600 * 7), min_size=1, max_size=200))
def test_a_peak_is_at_least_the_mean(times):
    rows = [json.dumps({"at": t}) for t in [0, *times, 24 * 3600 * 7]]
    found = read(rows)
    assert 1 <= found.peak <= found.hours


@pytest.mark.parametrize(
    "head",
    ["timestamp", "\ufefftimestamp", "Timestamp", "created_at", "ts", "x;Time", "x\ttime", "x, timestamp "],
)
def test_the_ways_in_which_a_log_names_and_parts_its_columns(head):
    # twenty-three hours of one request, one of nine: 32 / 24 = 1.33 an hour, 9 / 1.33 = 6.75
    hours = [hour for hour in range(24) for _ in range(9 if hour == 12 else 1)]
    mark = next((m for m in ";\t," if m in head), "")
    rows = [f"{f'1{mark}' if mark else ''}2026-01-01T{hour:02}:10:00Z" for hour in hours]
    assert float(read([head, *rows]).peak) == pytest.approx(6.75)


def test_openais_names_of_tokens():
    rows = [
        f'{{"created": {1767225600 + 3600 * hour}, "prompt_tokens": 600, "completion_tokens": 200}}'
        for hour in range(24)
    ]
    found = read(rows)
    assert (found.by, found.classes[0].input_tokens, found.classes[0].output_tokens) == ("tokens", 600, 200)


def test_an_array_is_told_as_one():
    with pytest.raises(InputError, match="JSON array"):
        read(['[{"timestamp": 1}]'])
