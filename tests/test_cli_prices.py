"""`selfhost prices`: what is listed, found and refused."""

import json
from datetime import date

import pytest

from tests.test_cli_cost import selfhost  # noqa: F401 - a fixture
from toolkit import profiles
from toolkit.cost import api_prices


def test_without_a_name_all_rents_and_the_usual_apis(selfhost):  # noqa: F811 - the fixture
    status, out, _ = selfhost("prices", "--json")
    assert status == 0
    document = json.loads(out)
    assert (document["kind"], document["schema_version"]) == ("price_list", 1)
    assert len(document["gpus"]) >= 39
    assert all(0 < p["usd_per_hour"] < 100 and p["source"] and p["checked"] for p in document["gpus"])
    names = [p["name"] for p in document["apis"]]
    assert {"gpt-4o", "claude-sonnet-4-6", "together:llama-3.3-70b", "lowest:llama-3.3-70b"} <= set(names)
    assert all(p["price_date"] and p["source"] for p in document["apis"])


def test_the_age_is_counted_from_the_day_it_was_read(selfhost):  # noqa: F811
    document = json.loads(selfhost("prices", "H100-SXM-80GB", "--json")[1])
    for price in document["gpus"]:
        assert price["age_days"] == max(0, (date.today() - date.fromisoformat(price["checked"])).days)


@pytest.mark.parametrize(
    ("name", "shows"),
    [
        ("A100-SXM-80GB", "verda"),  # a device
        ("h100", "H100-SXM-80GB"),  # a name that several devices have
        ("verda", "H200"),  # a host of devices
        ("gpt-4o-mini", "openai:gpt-4o-mini"),  # a model
        ("cerebras", "cerebras:"),  # a provider of models
        ("together:llama-3.3", "together:llama-3.3-70b"),  # a short name
    ],
)
def test_a_name_finds_devices_hosts_models_and_providers(selfhost, name, shows):  # noqa: F811
    status, out, _ = selfhost("prices", name)
    assert status == 0
    assert shows in out


def test_list_prices_are_the_packages(selfhost):  # noqa: F811
    apis = json.loads(selfhost("prices", "openai:gpt-4o", "--json")[1])["apis"]
    found = next(p for p in apis if p["model"] == "gpt-4o")
    assert (found["usd_per_mtok_input"], found["usd_per_mtok_output"]) == (2.5, 10.0)


def test_an_unknown_name_is_refused_with_the_nearest(selfhost):  # noqa: F811
    status, out, err = selfhost("prices", "gpt-4o-minni")
    assert (status, out) == (2, "")
    assert "gpt-4o-mini" in err


def test_a_users_own_price_replaces_the_shipped_one(selfhost, tmp_path):  # noqa: F811
    mine = tmp_path / "home" / "profiles" / "prices"
    mine.mkdir(parents=True)
    (mine / "mine.toml").write_text(
        '[[api_model]]\nname = "lowest:llama-3.3-70b"\nprovider = "my host"\nmodel = "Llama"\n'
        'usd_per_mtok_input = 0.1\nusd_per_mtok_output = 0.3\nsource = "my contract"\nchecked = 2026-11-01\n'
    )
    apis = json.loads(selfhost("prices", "--json")[1])["apis"]
    found = next(p for p in apis if p["name"] == "lowest:llama-3.3-70b")
    assert (found["provider"], found["usd_per_mtok_output"], found["price_date"]) == ("my host", 0.3, "2026-11-01")


def test_half_a_price_is_refused_with_its_file(selfhost, tmp_path):  # noqa: F811
    mine = tmp_path / "home" / "profiles" / "prices"
    mine.mkdir(parents=True)
    (mine / "mine.toml").write_text(
        '[[api_model]]\nname = "x:y"\nprovider = "x"\nmodel = "y"\nusd_per_mtok_input = 0.1\n'
        'source = "my contract"\nchecked = 2026-11-01\n'
    )
    status, _, err = selfhost("prices")
    assert status == 2
    assert "mine.toml" in err
    assert "both" in err


def test_two_sources_where_they_disagree(selfhost, tmp_path):  # noqa: F811
    """Mistral Large: LiteLLM has 0.5/1.5 for it, the package 2/6, so four times as much."""
    theirs = tmp_path / "litellm.json"
    row = {"litellm_provider": "mistral", "mode": "chat"}
    theirs.write_text(
        json.dumps(
            {
                "mistral/mistral-large-latest": {**row, "input_cost_per_token": 5e-7, "output_cost_per_token": 1.5e-6},
                "gpt-4o": {
                    "litellm_provider": "openai",
                    "input_cost_per_token": 2.5e-6,
                    "output_cost_per_token": 1e-5,
                },
                "mistral/nobody-else-has-it": {**row, "input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6},
            }
        )
    )
    document = json.loads(selfhost("prices", "diff", theirs, "genai-prices", "--json")[1])
    assert (document["kind"], document["schema_version"]) == ("price_diff", 1)
    (row,) = document["rows"]
    assert (row["a_input"], row["a_output"], row["b_input"], row["b_output"]) == (0.5, 1.5, 2, 6)
    assert (row["ratio"], row["unit"]) == (4, "usd_per_mtok")
    assert (document["same"], document["only_a"]) == (1, 1)
    status, out, _ = selfhost("prices", "diff", theirs, "genai-prices", "mistral")
    assert status == 0
    assert "mistral-large-latest" in out
    assert "1 priced differently, 0 alike, 1 only in" in out


def test_two_files_of_rents(selfhost, tmp_path):  # noqa: F811
    files = []
    for name, usd in (("a", 1.2), ("b", 1.8)):
        files.append(tmp_path / f"{name}.toml")
        files[-1].write_text(
            f'[[gpu_price]]\nprovider = "acme"\ngpu = "A10G"\nusd_per_hour = {usd}\nkind = "on_demand"\n'
            'source = "my contract"\nchecked = 2026-11-01\n'
        )
    (row,) = json.loads(selfhost("prices", "diff", *files, "--json")[1])["rows"]
    assert (row["a_input"], row["b_input"], row["unit"]) == (1.2, 1.8, "usd_per_hour")
    assert row["ratio"] == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([], "needs two sources"),
        (["ours"], "needs two sources"),
        (["ours", "ours"], "given twice"),
        (["ours", "our"], "unknown price source 'our'"),
        (["ours", "nowhere.toml"], "cannot read"),
        (["ours", "genai-prices"], "give a file of prices"),
    ],
)
def test_a_diff_that_cannot_be_made(selfhost, args, says):  # noqa: F811
    status, out, err = selfhost("prices", "diff", *args)
    assert (status, out) == (2, "")
    assert says in err.lower()


def test_announced_last_days_are_listed(selfhost):  # noqa: F811
    """OpenAI's deprecations page: gpt-3.5-turbo until 2026-10-23, gpt-5 until 2026-12-11."""
    for name, day in (("openai:gpt-3.5-turbo", "2026-10-23"), ("openai:gpt-5", "2026-12-11")):
        status, out, _ = selfhost("prices", name)
        assert status == 0
        assert f"last day {day}" in out
    apis = json.loads(selfhost("prices", "openai:gpt-5", "--json")[1])["apis"]
    assert next(p for p in apis if p["model"] == "gpt-5")["retires"] == "2026-12-11"


def test_every_announced_last_day_is_of_a_model_that_has_a_price():
    known = set(api_prices.known_names())
    records = profiles.api_retirements()
    assert len(records) >= 40
    assert [r.name for r in records.values() if r.name not in known] == []


def test_show_gives_one_model_with_all_it_charges_for(selfhost):  # noqa: F811
    # OpenAI's list: gpt-4o 2.50 in, 1.25 cached, 10 out; half of it as batch.
    apis = json.loads(selfhost("prices", "show", "gpt-4o", "--json")[1])["apis"]
    by_terms = {p["terms"]: (p["usd_per_mtok_input"], p["usd_per_mtok_output"]) for p in apis}
    assert by_terms[None] == (2.5, 10.0)
    assert by_terms["batch"] == (1.25, 5.0)
    assert apis[0]["usd_per_mtok_cached"] == 1.25
    # Google's list: gemini-2.5-pro 1.25 and 10 up to 200,000 tokens of prompt, 2.50 and 15 above.
    status, out, _ = selfhost("prices", "show", "gemini-2.5-pro")
    assert status == 0
    long = next(line for line in out.splitlines() if "above 200,000 input tokens" in line)
    assert long.split()[-4:] == ["$2.50", "$0.25", "–", "$15.00"]
    rents = json.loads(selfhost("prices", "show", "A10G", "--json")[1])
    assert rents["gpus"]
    assert rents["apis"] == []


def test_list_is_the_command_without_a_word(selfhost):  # noqa: F811
    assert selfhost("prices", "list", "--json")[1] == selfhost("prices", "--json")[1]
    assert selfhost("prices", "list", "A10G", "--json")[1] == selfhost("prices", "A10G", "--json")[1]


@pytest.mark.parametrize(("words", "says"), [(["show"], "nothing was named"), (["show", "gtp-4o"], "did you mean")])
def test_what_cannot_be_shown(selfhost, words, says):  # noqa: F811
    status, out, err = selfhost("prices", *words)
    assert (status, out) == (2, "")
    assert says in err
