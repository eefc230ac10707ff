"""Prompts: lengths drawn as asked, texts cut to size, sizes corrected by a tokenizer that is not ours."""

from __future__ import annotations

import json
import re
from pathlib import Path
from statistics import mean, stdev

import pytest

from toolkit import profiles
from toolkit.errors import InputError, UnknownNameError
from toolkit.load.lengths import draw_lengths, with_lengths
from toolkit.load.prompts import (
    GAP,
    NONCE_WORDS,
    Calibration,
    Material,
    bank,
    bodies,
    calibrate,
)
from toolkit.paths import data_root
from toolkit.types import Lengths, Workload

FOLDER = data_root() / "bench" / "prompts"
PROSE = Material("prose", FOLDER)


def workload(given: Lengths, made: Lengths = Lengths(mean=8), shared: float = 0.0) -> Workload:  # noqa: B008  # frozen
    return Workload(
        name="w", description="d", input_tokens=given, output_tokens=made, shared_prefix_share=shared,
        source="made for tests", checked="2026-11-23",
    )  # fmt: skip


def quarter(text: str) -> int:
    """A tokenizer: one token for four characters, 17 more for the template."""
    return -(-len(text) // 4) + 17


def syllables(text: str) -> int:
    """Another: a token for every three letters of a word begun, one a symbol, 40 for the template."""
    return 40 + sum(-(-len(part) // 3) for part in re.findall(r"\w+|[^\w\s]", text))


@pytest.mark.parametrize("count", [quarter, syllables])
@pytest.mark.parametrize("material", ["prose", "code"])
@pytest.mark.parametrize("asked", [96, 128, 512, 2000])
def test_asked_lengths_are_hit_within_5_percent_uncorrected_and_nearly_exactly_corrected(
    count, material: str, asked: int
) -> None:
    text = Material(material, FOLDER)
    fit = calibrate(count, text, asked)
    assert fit.basis == "measured"
    asked_for = workload(Lengths(mean=asked))
    rough = [count(p.text) for p in bank(asked_for, text, 1, fit, count, lambda: False)]
    fine = [count(p.text) for p in bank(asked_for, text, 1, fit, count, lambda: True)]
    assert mean(rough) == pytest.approx(asked, rel=0.05)
    assert max(abs(n - asked) for n in fine) <= max(6, 0.03 * asked)


def test_a_target_that_does_not_count_leaves_an_assumption() -> None:
    assert calibrate(lambda text: None, PROSE, 100).basis == "assumed"


def test_prompts_share_what_they_should_and_no_more() -> None:
    fit = Calibration(0, 1, "measured")
    texts = [p.text for p in bank(workload(Lengths(mean=200), shared=0.25), PROSE, 1, fit, quarter, lambda: False)]
    before = {text.split(GAP)[0] for text in texts}
    after = {text.split(GAP)[1] for text in texts}
    assert len(before) == 1
    assert len(re.findall(r"\w+|[^\w\s]+", before.pop())) == pytest.approx(50, abs=3)
    assert len(after) == len(texts)
    assert all(text.startswith(GAP) for text in [p.text for p in bank(workload(Lengths(mean=50)), PROSE, 1, fit, quarter, lambda: False)])  # fmt: skip  # noqa: E501


def test_a_seed_repeats_itself() -> None:
    fit = Calibration(0, 1, "measured")

    def texts(seed: int) -> list[str]:
        asked = workload(Lengths(shape="lognormal", mean=60, stdev=30))
        return [p.text for p in bank(asked, PROSE, seed, fit, quarter, lambda: False)]

    assert texts(1) == texts(1) != texts(2)


def test_material_is_cut_to_the_unit() -> None:
    for units in (1, 2, 17, 500, 5000):
        text = PROSE.cut(units, "s")
        assert len(re.findall(r"[A-Za-z]+|\d|[^\w\s]+", text)) == units


def test_unknown_material_names_what_there_is() -> None:
    with pytest.raises(UnknownNameError) as caught:
        Material("prosa", FOLDER)
    assert "prose" in caught.value.nearest


def test_every_shipped_workload_has_its_material() -> None:
    for found in profiles.workloads().values():
        Material(found.material, FOLDER)


@pytest.mark.parametrize("shape", ["uniform", "normal", "lognormal"])
def test_draws_have_the_asked_mean_and_spread(shape: str) -> None:
    """2,000 slices of a distribution with mean 400 and standard deviation 80, nothing clamped."""
    drawn = draw_lengths(Lengths(shape=shape, mean=400, stdev=80), 2000, "s")
    assert mean(drawn) == pytest.approx(400, rel=0.01)
    assert stdev(drawn) == pytest.approx(80, rel=0.05)


def test_lognormal_leans_to_the_right() -> None:
    """Median = mean/√(1 + (s/m)²): 250/√1.64 = 195."""
    drawn = sorted(draw_lengths(Lengths(shape="lognormal", mean=250, stdev=200), 2001, "s"))
    assert drawn[1000] == pytest.approx(195, abs=1)


def test_draws_are_clamped_and_a_uniform_one_may_be_given_by_its_ends() -> None:
    drawn = draw_lengths(Lengths(shape="normal", mean=100, stdev=90, min=20, max=150), 200, "s")
    assert (min(drawn), max(drawn)) == (20, 150)
    drawn = draw_lengths(Lengths(shape="uniform", mean=15, min=10, max=20), 1000, "s")
    assert (min(drawn), max(drawn)) == (10, 20)
    assert set(draw_lengths(Lengths(mean=64), 16, "s")) == {64}


def test_fixed_lengths_replace_a_workloads_own() -> None:
    chat = profiles.workload("chat")
    changed = with_lengths(chat, 128, None)
    assert (changed.input_tokens, changed.output_tokens) == (Lengths(mean=128), chat.output_tokens)
    for tokens in (0, -1, 10**7):
        with pytest.raises(InputError):
            with_lengths(chat, tokens, None)


def test_bodies_are_json_around_the_gap() -> None:
    fit = Calibration(0, 1, "measured")
    prompts = bank(workload(Lengths(mean=20)), PROSE, 1, fit, quarter, lambda: False)
    record = bodies(prompts, "m", {"ignore_eos": True})[0]
    body = json.loads(record["before"] + "time year" + record["after"] + record["rest"])
    assert body["model"] == "m"
    assert body["max_tokens"] == record["asked_output_tokens"] == 8
    assert body["stream_options"] == {"include_usage": True}
    assert body["ignore_eos"] is True
    assert body["messages"][0]["content"].startswith("time year")


def test_words_for_the_gap_are_distinct_and_plain() -> None:
    assert len(set(NONCE_WORDS)) == len(NONCE_WORDS) >= 64
    assert all(re.fullmatch("[a-z]+", word) for word in NONCE_WORDS)


def test_the_material_is_ours_to_ship() -> None:
    for file in FOLDER.iterdir():
        assert file.suffix == ".txt"
        assert Path(file).read_text(encoding="ascii")
