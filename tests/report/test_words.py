"""Numbers as people read them."""

from decimal import Decimal

import pytest

from toolkit.report import words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"), (0.00042, "0.42 ms"), (0.18, "180 ms"), (0.9996, "1 s"), (1.234, "1.23 s"), (99.96, "100 s"),
        (125, "2 min 5 s"), (180, "3 min"),
    ],
)  # fmt: skip
def test_seconds(value, text):
    assert words.seconds(value) == text


def test_columns_keep_their_zeros():
    assert [words.seconds(v, pad=True) for v in (0.021, 0.0205, 4)] == ["21.0 ms", "20.5 ms", "4.00 s"]
    assert words.significant(100.2, pad=True) == "100"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1234.5, "1,234"), (12.34, "12.3"), (0.0000123, "0.0000123"), (999.7, "1,000"), (5, "5"), (100, "100")],
)
def test_significant(value, text):
    assert words.significant(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1312.5"), "$1,312.50"), (Decimal("0.41"), "$0.41"), (Decimal("0.155"), "$0.155"),
        (Decimal("0.386111"), "$0.386"), (Decimal("0.0032"), "$0.0032"), (Decimal(0), "$0"), (None, "–"),
        (Decimal("12345.6"), "$12,346"), (4.375, "$4.38"), (Decimal("0.10"), "$0.10"),
    ],
)  # fmt: skip
def test_dollars(value, text):
    assert words.usd(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(850, "850"), (250_000, "250k"), (10_000_000, "10M"), (1.5e9, "1.5B"), (999_600, "1M"), (None, "–")],
)
def test_token_volumes(value, text):
    assert words.tokens(value) == text


def test_percent_and_count_and_listing():
    assert [words.percent(s) for s in (0.4388, 0.075, 0, 1, None)] == ["44 %", "7.5 %", "0 %", "100 %", "–"]
    assert [words.count(n, "user") for n in (1, 16)] == ["1 user", "16 users"]


@pytest.mark.parametrize(
    ("intervals", "text"),
    [
        ((), "never up to 1B a day"),
        (((7_625_143, None),), "above 7.63M a day"),
        (((74_133_334, 86_400_000), (148_266_667, None)), "74.1M–86.4M, above 148M a day"),
        (((1000, 2000), (3000, 4000), (5000, None)), "above 1k a day, with gaps up to 5k"),
        (((1000, 2000), (3000, 4000), (5000, 6000)), "1k–2k, 3k–4k a day and 1 more interval"),
    ],
)
def test_winning_volumes(intervals, text):
    assert words.wins(intervals, 1_000_000_000) == text
