"""Cached, batch, tiers, retries and classes of requests on the API side, by hand from the published price lists."""

from datetime import date
from decimal import Decimal

import pytest

from toolkit.cost import sources
from toolkit.cost.api_prices import split_variant
from toolkit.cost.traffic import STANDARD, Request, Terms, input_share, mean_request, parse_requests
from toolkit.errors import InputError, UnknownNameError

D = Decimal
DAY = date(2026, 11, 23)
ONE = (Request(750, 250),)


def price(name, terms=STANDARD, share="0.75", requests=ONE, day=DAY):
    found = sources.quote(name, requests, day, terms)
    return found.usd_per_mtok(D(share)), found.price


def test_cached_input():
    # gpt-4o: $2.50 in, $1.25 cached, $10 out. Half the input cached: 0.75 × 1.875 + 0.25 × 10 = 3.90625
    usd, found = price("gpt-4o", Terms(cached_share=D("0.5")))
    assert usd == D("3.90625")
    assert found.usd_per_mtok_cached == D("1.25")
    assert "50 % of the input cached" in found.note
    # claude-sonnet-4-5: $3 in, $0.30 cached, $15 out. All cached: 0.75 × 0.3 + 0.25 × 15 = 3.975
    assert price("claude-sonnet-4-5", Terms(cached_share=D(1)))[0] == D("3.975")
    # Together lists no cached price: said, and priced as new.
    usd, found = price("together:llama-3.3-70b", Terms(cached_share=D("0.5")))
    assert usd == D("0.88")
    assert "no cached price is listed" in found.note


def test_input_written_to_the_cache():
    # claude-sonnet-4-5: $3 in, $0.30 read, $3.75 written, $15 out, by Anthropic's price page, read 2026-11-24.
    # 0.75 × (0.3 × 3 + 0.6 × 0.3 + 0.1 × 3.75) + 0.25 × 15 = 0.75 × 1.455 + 3.75 = 4.84125
    usd, found = price("claude-sonnet-4-5", Terms(cached_share=D("0.6"), written_share=D("0.1")))
    assert usd == D("4.84125")
    assert found.usd_per_mtok_cache_write == D("3.75")
    assert "10 % of the input written to the cache at $3.75 per million" in found.note
    # Without the share the price is named, and not counted: 0.75 × (0.4 × 3 + 0.6 × 0.3) + 3.75 = 4.785
    usd, found = price("claude-sonnet-4-5", Terms(cached_share=D("0.6")))
    assert usd == D("4.785")
    assert "writing to its cache, $3.75 per million, is not counted" in found.note
    # gpt-4o charges nothing for it: 0.75 × 2.5 + 0.25 × 10 whatever is written
    usd, found = price("gpt-4o", Terms(written_share=D("0.5")))
    assert (usd, found.usd_per_mtok_cache_write) == (D("4.375"), None)


def test_batch_of_one_and_of_all():
    # Half price: gpt-4o 0.75 × 1.25 + 0.25 × 5 = 2.1875; Sonnet 4.5 0.75 × 1.5 + 0.25 × 7.5 = 3.00
    assert price("gpt-4o@batch")[0] == D("2.1875")
    assert price("claude-sonnet-4-5@batch")[0] == D(3)
    usd, found = price("gpt-4o", Terms(batch=True))
    assert (usd, found.terms) == (D("2.1875"), "batch")
    usd, found = price("together:llama-3.3-70b", Terms(batch=True))
    assert (usd, found.terms) == (D("0.88"), None)
    assert "no batch price is listed: this is the standard one" in found.note


def test_other_kinds_of_processing():
    # gpt-4o priority: $4.25 in, $17 out: 0.75 × 4.25 + 0.25 × 17 = 7.4375
    usd, found = price("gpt-4o@priority")
    assert (usd, found.terms, found.name) == (D("7.4375"), "priority", "gpt-4o@priority")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("gpt-4o@bach", "did you mean batch"),
        ("gpt-4o@flex", "It has priority"),
        ("together:llama-3.3-70b@batch", "only its standard price"),
        ("lowest:llama-3.3-70b@batch", "only its standard price"),
    ],
)
def test_a_kind_of_processing_a_model_lacks_is_no_silent_standard_price(name, says):
    with pytest.raises(UnknownNameError) as caught:
        price(name)
    assert says in caught.value.hint


def test_a_batch_price_that_did_not_exist_yet_is_refused():
    # The package knows gpt-4o's batch price from 2026-10-14.
    with pytest.raises(UnknownNameError, match="2026-06-24"):
        price("gpt-4o@batch", day=date(2026, 6, 24))


def test_an_at_sign_in_a_name_is_not_a_kind_of_processing():
    assert split_variant("google:claude-3-5-sonnet@20240620") == ("google:claude-3-5-sonnet@20240620", None)
    assert split_variant("gpt-4o@Batch") == ("gpt-4o", "batch")


def test_retries_are_paid():
    # 4.375 × 1.02 = 4.4625
    assert price("gpt-4o", Terms(retried_share=D("0.02")))[0] == D("4.4625")


def test_classes_weigh_by_their_tokens():
    # gemini-1.5-flash doubles above 128k: 0.075 → 0.15 in, 0.30 → 0.60 out. Nine requests of 1,000/100 and one of
    # 200,000/100: input 9 × 1,000 × 0.075 + 200,000 × 0.15 = 30,675 over 209,000 tokens = $0.146770 per million.
    classes = parse_requests("1000/100x9, 200000/100x1")
    found = sources.quote("gemini-1.5-flash", classes, DAY).price
    assert float(found.usd_per_mtok_input) == pytest.approx(30_675 / 209_000)
    # Output: (9 × 100 × 0.30 + 100 × 0.60) / 1,000 = 0.33
    assert found.usd_per_mtok_output == D("0.33")
    assert input_share(classes) == D(209_000) / 210_000
    assert mean_request(classes).input_tokens == 20_900


@pytest.mark.parametrize(
    "text", ["", "600", "600/", "0/0", "600/200x0", "600/200y3", "99999999/1", ",".join(["1/1"] * 51)]
)
def test_what_is_no_class_of_requests(text):
    with pytest.raises(InputError):
        parse_requests(text)
