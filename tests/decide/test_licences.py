"""Licence records: every clause the design states, by model and version."""

import re
from datetime import date

import pytest

from toolkit import profiles


def test_at_least_twenty_five_families_each_with_source_and_date():
    records = profiles.licences()
    assert len(records) >= 25
    assert all(r.source.startswith("https://") and r.checked for r in records.values())
    assert all(r.mau_counted for r in records.values() if r.mau_limit)
    assert not any(r.osi and (r.commercial != "yes" or r.mau_limit or r.region_exclusion) for r in records.values())


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("meta-llama/Llama-3.3-70B-Instruct", "llama-3.3"),
        ("Meta-Llama-3-8B-Instruct", "llama-3"),
        ("llama-3.2-3b", "llama-3.2"),
        ("Llama-3.2-11B-Vision-Instruct", "llama-3.2-11b-vision"),
        ("llama-3.9-70b", None),
        ("Qwen/Qwen2.5-7B-Instruct", "qwen2.5"),
        ("Qwen/Qwen2.5-72B-Instruct", "qwen2.5-72b"),
        ("deepseek-r1-distill-llama-8b", "deepseek-r1-distill-llama"),
        ("deepseek-r1", "deepseek-r1"),
        ("gemma-4-31b", "gemma-4"),
        ("mistral-large-2411", "mistral-large-2"),
        ("llama3:8b", None),
        ("", None),
    ],
)
def test_a_model_finds_the_licence_of_its_version(model, name):
    found = profiles.licence_of(model)
    assert (found and found.name) == name


def test_the_clauses_the_design_states():
    of = profiles.licences()
    by = {record.name: record for record in of.values()}
    for version in ("2", "3", "3.1", "3.2", "3.3", "4"):
        assert by[f"llama-{version}"].mau_limit == 700_000_000
        assert "release date" in by[f"llama-{version}"].mau_counted
    assert by["llama-3"].output_training == "not_allowed"
    assert "Built with" in by["llama-3"].attribution
    for version in ("3.1", "3.2", "3.3"):
        assert by[f"llama-{version}"].output_training == "with_name_prefix"
        assert by[f"llama-{version}"].name_prefix == "Llama"
    assert by["llama-4"].region_exclusion == ("EU",)
    assert by["llama-3.3"].region_exclusion == ()
    assert (by["gemma-3"].osi, by["gemma-4"].licence) == (False, "Apache-2.0")
    assert {by[n].licence for n in ("mistral-7b", "mixtral", "mistral-nemo", "mistral-large-3")} == {"Apache-2.0"}
    assert {by[n].commercial for n in ("mistral-large-2", "codestral")} == {"no"}
    assert by["qwen2.5-72b"].mau_limit == 100_000_000
    assert {by[n].licence for n in ("deepseek-v3", "deepseek-r1")} == {"MIT"}
    assert not by["bloom"].osi
    assert not by["starcoder2"].osi


def test_they_agree_with_the_model_profiles():
    for name, model in profiles.models().items():
        found = profiles.licence_of(name)
        if model.licence is not None and found is not None:
            assert found.licence == model.licence, name


def test_each_says_how_it_was_checked():
    """Meta's licences of 3 to 4 were read in Meta's repositories; a record from memory may not pass as read."""
    records = profiles.licences().values()
    assert all(r.checked_how for r in records)
    read = {r.name for r in records if r.checked_how == "text"}
    assert {"llama-3", "llama-3.1", "llama-3.2", "llama-3.3", "llama-4"} <= read
    assert {"llama-2", "gemma-3", "qwen2.5-3b", "qwen2-72b", "deepseek-v2"} <= read
    assert all(
        re.search(r"github.com/[^/]+/[^/]+/blob/.*licen[sc]e", r.source, re.I) for r in records if r.name in read
    )
    stated = [r for r in records if r.checked_how == "maker"]
    assert len(read) + len(stated) >= 25
    assert all(r.checked >= date(2026, 11, 30) for r in stated)


def test_clauses_as_the_licence_texts_have_them():
    """Meta's texts: 700 million in the month before the release date; section 1.b.i and, for 3, 1.b.v."""
    by = {record.name: record for record in profiles.licences().values()}
    dates = {"3": "2024-04-18", "3.1": "2024-07-23", "3.2": "2024-09-25", "3.3": "2024-12-06", "4": "2025-04-05"}
    for version, day in dates.items():
        assert day in by[f"llama-{version}"].mau_counted
    assert by["llama-3"].attribution.startswith("Built with Meta Llama 3")
    assert by["llama-3"].name_prefix == "Llama 3"
    assert by["llama-3.1"].attribution.startswith("Built with Llama")
    # DeepSeek 1.0: a model trained on synthetic data of it is a derivative, section 1; restrictions go on, section 4.a
    assert by["deepseek-v2"].output_training == "same_terms"
    # Qwen research licence of 2024-09-19, sections 2.a and 4.b
    assert (by["qwen2.5-3b"].commercial, by["qwen2.5-3b"].output_training) == ("no", "with_attribution")
    # Tongyi Qianwen, sections 4 and 5.b: 100 million, and no output may improve another language model
    assert (by["qwen2-72b"].mau_limit, by["qwen2-72b"].output_training) == (100_000_000, "not_allowed")
