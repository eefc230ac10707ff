"""API list prices: the published bills for 300M tokens, matching by name, and what is refused."""

import subprocess
import sys
from datetime import date
from decimal import Decimal

import pytest

from toolkit.cost import sources
from toolkit.cost.api_prices import listed, price_date, quote
from toolkit.cost.traffic import Request
from toolkit.errors import InputError, UnknownNameError

D = Decimal
DAY = date(2026, 11, 23)
THREE_TO_ONE = (Request(750, 250),)


@pytest.mark.parametrize(
    ("name", "usd_for_300m"),
    [
        # 225M input + 75M output at list price per million:
        ("gpt-4o", "1312.50"),  # 225 × 2.50 + 75 × 10
        ("claude-sonnet-4-5", "1800"),  # 225 × 3 + 75 × 15
        ("anthropic:claude-sonnet-4-0", "1800"),
        ("gemini-2.5-flash", "255"),  # 225 × 0.30 + 75 × 2.50
        ("gemini-1.5-flash", "39.375"),  # 225 × 0.075 + 75 × 0.30; retired
        ("gpt-4o-mini", "78.75"),  # 225 × 0.15 + 75 × 0.60
        ("together:meta-llama/Llama-3.3-70B-Instruct-Turbo", "264"),  # 300 × 0.88
    ],
)
def test_list_price_of_300_million_tokens(name, usd_for_300m):
    assert quote(name, THREE_TO_ONE, DAY).usd_per_mtok(D("0.75")) * 300 == D(usd_for_300m)


def test_a_long_prompt_falls_into_its_tier():
    # gemini-1.5-flash doubles above 128k tokens of prompt: that is why one typical request is priced.
    short = quote("gemini-1.5-flash", (Request(1_000, 100),), DAY).price
    long = quote("gemini-1.5-flash", (Request(200_000, 100),), DAY).price
    assert long.usd_per_mtok_input == 2 * short.usd_per_mtok_input


def test_a_loose_match_is_said():
    found = quote("gemini-1.5-flash-8b", THREE_TO_ONE, DAY).price
    assert found.model == "gemini-1.5-flash"
    assert found.note == "gemini-1.5-flash-8b was matched to google:gemini-1.5-flash"
    assert quote("gpt-4o", THREE_TO_ONE, DAY).price.note is None


def test_a_bare_name_means_its_maker():
    assert quote("gpt-4o", THREE_TO_ONE, DAY).price.provider == "openai"
    assert quote("claude-sonnet-4", THREE_TO_ONE, DAY).price.provider == "anthropic"
    assert quote("openrouter:openai/gpt-4o", THREE_TO_ONE, DAY).price.provider == "openrouter"


def test_the_price_date_is_the_packages_version():
    import genai_prices

    assert quote("gpt-4o", THREE_TO_ONE, DAY).price.price_date == f"genai-prices {genai_prices.__version__}"
    assert price_date() == f"genai-prices {genai_prices.__version__}"


def test_a_price_that_changes_with_the_hour_is_the_mean_of_the_day():
    # deepseek-chat input: $0.27 from 00:30 to 16:30 UTC, else $0.135. On the hour: 16 of 24 hours dear
    # (01…16), 8 cheap (00 and 17…23): (16 × 0.27 + 8 × 0.135) / 24 = 0.225.
    found = quote("deepseek:deepseek-chat", THREE_TO_ONE, DAY).price
    assert float(found.usd_per_mtok_input) == pytest.approx(0.225)
    assert "hour" in found.note


def test_a_fee_per_request_is_in_the_price():
    # Perplexity sonar: $1 + $1 per million and a fee per request, so short requests cost more per token.
    short = quote("perplexity:sonar", (Request(75, 25),), DAY).usd_per_mtok(D("0.75"))
    long = quote("perplexity:sonar", (Request(7500, 2500),), DAY).usd_per_mtok(D("0.75"))
    assert short > 10 * long > 10


def test_a_price_depends_on_the_day_it_is_asked_for():
    # Together's Llama 3.3 through Hugging Face rose from $0.88 to $1.04 on 2026-10-19.
    name = "huggingface_together:meta-llama/Llama-3.3-70B-Instruct"
    assert quote(name, THREE_TO_ONE, date(2026, 10, 1)).usd_per_mtok(D("0.75")) == D("0.88")
    after = quote(name, THREE_TO_ONE, date(2026, 11, 1)).usd_per_mtok(D("0.75"))
    assert float(after) == pytest.approx(1.04)


def test_unknown_names_get_the_nearest():
    with pytest.raises(UnknownNameError) as caught:
        quote("gtp-4o", THREE_TO_ONE, DAY)
    assert "gpt-4o" in caught.value.nearest
    with pytest.raises(UnknownNameError) as caught:
        quote("togther:llama", THREE_TO_ONE, DAY)
    assert "together" in caught.value.nearest
    with pytest.raises(UnknownNameError) as caught:
        quote("groq:lama-3.3-70b-versatile", THREE_TO_ONE, DAY)
    assert caught.value.nearest[0] == "llama-3.3-70b-versatile"


def test_a_name_that_many_hosts_have_is_not_guessed():
    with pytest.raises(InputError, match="providers have a model"):
        quote("meta-llama/Llama-3.3-70B-Instruct", THREE_TO_ONE, DAY)


@pytest.mark.parametrize("name", ["openrouter:meta-llama/llama-3.3-70b-instruct:free", "voyage-3", ""])
def test_what_has_no_price_per_token_is_refused(name):
    with pytest.raises(InputError):
        quote(name, THREE_TO_ONE, DAY)


def test_listing_finds_by_part_of_the_name():
    found = list(listed(DAY, "llama-3.3-70b"))
    assert {p.provider for p in found} >= {"together", "groq", "novita"}
    assert all("llama3.370b" in p.model.lower().replace("-", "") for p in found)
    assert list(listed(DAY, "no such model")) == []


def test_a_price_whose_model_is_gone_says_so():
    """OpenAI's last day of gpt-3.5-turbo was 2026-10-23."""
    before, after = (sources.quote("gpt-3.5-turbo", THREE_TO_ONE, date(2026, 10, day)).price for day in (23, 24))
    assert before.retires == after.retires == date(2026, 10, 23)
    assert "switched off" not in before.note
    assert "switched off on 2026-10-23: at this price it can no longer be had" in after.note


def test_the_packages_updater_is_not_imported_and_the_package_works_on():
    code = (
        "import sys; from datetime import date; from toolkit.cost import api_prices\n"
        "api_prices.quote('gpt-4o', (api_prices.TYPICAL,), date(2026, 6, 24))\n"
        "print(sorted({'asyncio', 'httpx2', 'genai_prices.update_prices'} & set(sys.modules)))\n"
        "import genai_prices\n"
        "usage = genai_prices.Usage(input_tokens=10**6, output_tokens=0)\n"
        "print(genai_prices.calc_price(usage, 'gpt-4o', provider_id='openai').total_price)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split("\n")[:2] == ["[]", "2.50"]
