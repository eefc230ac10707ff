"""Volumes, prices and currencies as people type them."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.cost.quantities import parse_currency, parse_usd_per_hour, parse_volume
from toolkit.errors import InputError
from toolkit.types import Currency

TODAY = date(2026, 11, 23)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("10M", 10_000_000),
        ("1.5B", 1_500_000_000),
        ("250k", 250_000),
        ("250K", 250_000),
        ("300", 300),
        ("1,000,000", 1_000_000),
        (" 2.5 m ", 2_500_000),
    ],
)
def test_volumes(text, tokens):
    assert parse_volume(text) == tokens


@pytest.mark.parametrize("text", ["", "0", "0M", "-5M", "ten", "10 MB", "nan", "inf", "1e9", "10Q", "1.5.2M", "99999T"])
def test_what_is_no_volume_is_refused(text):
    with pytest.raises(InputError, match="volume"):
        parse_volume(text)


@pytest.mark.parametrize(
    ("text", "usd"),
    [
        ("1.39/h", "1.39"),
        ("$1.39/hour", "1.39"),
        ("24/day", "1"),
        ("730/month", "1"),  # a month is 730 hours
        ("8760/year", "1"),
        ("0.05 / hr", "0.05"),
        ("2 per hour", "2"),
    ],
)
def test_prices_per_hour(text, usd):
    assert parse_usd_per_hour(text) == Decimal(usd)


@pytest.mark.parametrize(
    "text", ["1.39", "0/h", "-1/h", "NaN/h", "inf/h", "1.39/furlong", "", "/h", "900/h", "1,39/h", "€3/h"]
)
def test_what_is_no_price_is_refused(text):
    with pytest.raises(InputError):
        parse_usd_per_hour(text)


def test_a_monthly_price_given_per_hour_is_noticed():
    with pytest.raises(InputError) as caught:
        parse_usd_per_hour("900/h")
    assert "900/month" in caught.value.hint


def test_currency_with_and_without_its_day():
    assert parse_currency("INR=93", TODAY).model_dump() == {
        "code": "INR",
        "per_usd": Decimal(93),
        "on": TODAY,
    }
    assert parse_currency("inr=93@2026-06-24", TODAY).on == date(2026, 6, 24)


@pytest.mark.parametrize("text", ["INR", "INR=", "INR=0", "INR=-93", "RUPEE=93", "INR=93@yesterday", "INR=nan"])
def test_a_currency_without_a_usable_rate_is_refused(text):
    with pytest.raises(InputError):
        parse_currency(text, TODAY)


@settings(deadline=None)
@given(st.decimals("0.000001", 10**9, places=6), st.decimals("0.0001", 10**6, places=4))
def test_a_currency_and_back(usd, rate):
    """The round trip is exact to a billionth of a cent; at 93 to the dollar $450 are ₹41,850, as the article has it."""
    currency = Currency(code="INR", per_usd=rate, on=TODAY)
    assert abs(currency.to_usd(currency.of_usd(usd)) - usd) < Decimal("1e-11")
    article = Currency(code="INR", per_usd=Decimal(93), on=TODAY)
    assert (article.of_usd(Decimal(450)), article.to_usd(Decimal(41_850))) == (41_850, 450)
