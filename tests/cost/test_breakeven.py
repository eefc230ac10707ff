"""The staircase: the published check values, hand-made stairs, and a brute-force search as the second opinion."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.cost.breakeven import SEARCH_TOKENS_PER_DAY, break_even, search_limit
from toolkit.cost.formulas import Hosting, month, mtok_per_month, people_usd_per_month

D = Decimal

# A 70B model at 4 bits, 1,000 tokens/s assumed, $1.39/h. Prices per million at 3:1 input:output:
# GPT-4o 0.75 × 2.50 + 0.25 × 10 = 4.375; Sonnet 0.75 × 3 + 0.25 × 15 = 6; Llama-70B on Together 0.88;
# the cheapest host 0.155. First winning volume per day in millions, as published with the cost model.
PEOPLE = people_usd_per_month(D(20), D(24), D(8), D(50))
FLAT = Hosting(D(1000), 1, D("1.39"))
PEAKS = Hosting(D(1000), 1, D("1.39"), D(3), 0, PEOPLE)
SPARE = Hosting(D(1000), 1, D("1.39"), D(3), 1, PEOPLE)


@pytest.mark.parametrize(
    ("hosting", "price", "first_millions"),
    [
        (FLAT, "4.375", "7.6"), (FLAT, "6", "5.6"), (FLAT, "0.88", "37.9"), (FLAT, "0.155", None),
        (PEAKS, "4.375", "10.9"), (PEAKS, "6", "8.0"), (PEAKS, "0.88", None), (PEAKS, "0.155", None),
        (SPARE, "4.375", "18.6"), (SPARE, "6", "13.5"), (SPARE, "0.88", None), (SPARE, "0.155", None),
    ],
)  # fmt: skip
def test_published_check_values(hosting, price, first_millions):
    found = break_even(hosting, D(price))
    assert found.searched_up_to == SEARCH_TOKENS_PER_DAY
    if first_millions is None:
        assert found.wins == ()
        assert found.utilisation_needed is None
    else:
        assert f"{found.wins[0][0] / 1e6:.1f}" == first_millions
        assert found.wins[-1][1] is None


def test_utilisation_needed_by_hand():
    # 37.909M a day on a machine that carries 86.4M a day: 43.9 %.
    assert float(break_even(FLAT, D("0.88")).utilisation_needed) == pytest.approx(0.4388, abs=0.0001)


def test_a_stair_that_loses_at_its_start_wins_at_its_end():
    # k = 86.4M a day; a machine costs $1,014.70 a month; at $0.45 per million one machine breaks even at
    # 1,014.70 / 0.45 / 30.41667 = 74.1333M. Two machines: 148.2667M, past the start of their stair (86.4M).
    # Three: 222.4M, four: 296.533M, five 370.667M, six 444.8M > 5k = 432M, seven: 518.933M > 6k = 518.4M;
    # eight: 593.0667M < 7k = 604.8M, so from 518.93M on there is no losing gap any more.
    found = break_even(FLAT, D("0.45"))
    starts = [start for start, _ in found.wins]
    ends = [end for _, end in found.wins]
    assert [f"{s / 1e6:.2f}" for s in starts] == [
        "74.13", "148.27", "222.40", "296.53", "370.67", "444.80", "518.93",
    ]  # fmt: skip
    assert ends == [86_400_000, 172_800_000, 259_200_000, 345_600_000, 432_000_000, 518_400_000, None]


def test_a_tie_is_no_win():
    # 8 × 730 × $2.95 = $17,228 a month; at $6 per million that is 2,871⅓M tokens, 2,871⅓ × 24 ÷ 730 = 94.4M a day to
    # the token: there both cost the same, and one token more wins.
    eight = Hosting(D(12_000), 8, D("2.95"), D(3))
    assert break_even(eight, D(6)).wins == ((94_400_001, None),)


def test_a_free_api_is_never_beaten():
    assert break_even(FLAT, D(0)).wins == ()


def test_a_slow_machine_is_searched_only_as_far_as_a_thousand_of_it():
    # 1 token/s carries 86,400 tokens a day; a thousand of them 86.4M.
    slow = Hosting(D(1), 1, D("0.10"))
    assert search_limit(slow) == 86_400_000
    assert break_even(slow, D(1)).wins == ()


hostings = st.builds(
    Hosting,
    goodput_tok_s=st.decimals("0.01", "0.5", places=2),
    gpus=st.just(1),
    usd_per_gpu_hour=st.decimals("0.01", "3", places=2),
    peak_ratio=st.decimals(1, 4, places=1),
    spare=st.integers(0, 2),
    people_usd_per_month=st.decimals(0, 500, places=2),
)


@settings(deadline=None, max_examples=60)
@given(hostings, st.decimals("0.5", "200", places=2), st.integers(1, 40_000))
def test_a_volume_is_in_an_interval_exactly_when_self_hosting_is_cheaper(hosting, price, volume):
    found = break_even(hosting, price)
    if volume > found.searched_up_to:
        return
    inside = any(start <= volume and (end is None or volume <= end) for start, end in found.wins)
    own, api = month(hosting, volume).total_usd, price * mtok_per_month(volume)
    if abs(own - api) > D("1e-15"):
        assert inside == (own < api)


@settings(deadline=None, max_examples=60)
@given(hostings, st.decimals("0.5", "200", places=2), st.decimals("0", "50", places=2))
def test_a_dearer_api_is_beaten_no_later(hosting, price, more):
    cheap, dear = break_even(hosting, price).wins, break_even(hosting, price + more).wins
    if cheap:
        assert dear
        assert dear[0][0] <= cheap[0][0]
