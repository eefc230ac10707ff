"""The small calculator that claims are written in."""

from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.cost.arithmetic import evaluate
from toolkit.errors import InputError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2 + 3 * 4", 14),
        ("(2 + 3) * 4", 20),
        ("10 - 2 - 3", 5),
        ("100 / 10 / 5", 2),
        ("-(2 + 3) * 4", -20),
        ("450 × 93", 41_850),
        ("10M * 30", 300_000_000),
        ("1.5k", 1_500),
        ("1,333", 1_333),
        ("62%", Decimal("0.62")),
        ("9 − 1 ÷ 4", Decimal("8.75")),
    ],
)
def test_values_by_hand(text, value):
    assert evaluate(text) == value


@pytest.mark.parametrize(
    "text", ["", "2 +", "(2", "2)", "2 3", "1/0", "0/0", "__import__", "2 ** 3", "1e400", "9" * 201, "+", "nan"]
)
def test_anything_else_is_refused(text):
    with pytest.raises(InputError):
        evaluate(text)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 10**6))
def test_it_agrees_with_python(a, b, c):
    assert evaluate(f"{a} + {b} * {c} - {a}") == a + b * c - a
    assert evaluate(f"({a} - {b}) / {c}") == Decimal(a - b) / c


@given(st.text(max_size=60))
def test_any_text_is_a_value_or_one_clear_error(text):
    with suppress(InputError):  # the only error there is
        assert evaluate(text).is_finite()
