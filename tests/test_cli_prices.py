"""`selfhost prices`: what is listed, found and refused."""

import json
from datetime import date

import pytest

from tests.test_cli_cost import selfhost  # noqa: F401 - a fixture


def test_without_a_name_all_rents_and_the_usual_apis(selfhost):  # noqa: F811 - the fixture
    status, out, _ = selfhost("prices", "--json")
    assert status == 0
    document = json.loads(out)
    assert (document["kind"], document["schema_version"]) == ("price_list", 1)
    assert len(document["gpus"]) >= 39
    assert all(0 < p["usd_per_hour"] < 100 and p["source"] and p["checked"] for p in document["gpus"])
    names = [p["name"] for p in document["apis"]]
    assert {"gpt-4o", "claude-sonnet-4-5", "together:llama-3.3-70b", "lowest:llama-3.3-70b"} <= set(names)
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
