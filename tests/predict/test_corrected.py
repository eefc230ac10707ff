"""What one measured load says of others: the same one, another on the same devices, other devices and models."""

from __future__ import annotations

import math

import pytest

from tests.predict.test_model import LLAMA_8B, ask
from toolkit.predict import constants, facts
from toolkit.predict.answer import predict
from toolkit.predict.corrected import Point, correct

MEASURED = predict(ask(users=8))
HALF = Point(MEASURED, math.log(0.5), math.log(3.0), "a bench")
"""The bench gave half the tokens per second that were expected, and the first token after three times as long."""


def test_the_load_that_was_measured_is_as_it_was_measured():
    found = correct(predict(ask(users=8)), [HALF])
    assert found.basis == "measured"
    assert found.output_tok_s.p50 == pytest.approx(MEASURED.output_tok_s.p50 / 2)
    assert found.ttft_s.p50 == pytest.approx(3 * MEASURED.ttft_s.p50)
    assert found.tpot_s.p50 == pytest.approx(2 * MEASURED.tpot_s.p50)
    assert found.uncorrected_output_tok_s == MEASURED.output_tok_s.p50
    assert found.ceiling_output_tok_s == MEASURED.ceiling_output_tok_s


def test_another_load_is_projected_and_more_sure_than_before():
    alone = predict(ask(users=64))
    found = correct(alone, [HALF])
    assert found.basis == "projected"
    assert "from 8 at once on H100-SXM-80GB in a bench" in found.how
    assert MEASURED.output_tok_s.p50 / 2 < found.output_tok_s.p50 < alone.output_tok_s.p50
    assert 0.5 < found.output_tok_s.p50 / alone.output_tok_s.p50 < 0.7  # most of the deviation is carried over
    assert found.output_tok_s.p90 / found.output_tok_s.p10 < alone.output_tok_s.p90 / alone.output_tok_s.p10
    assert found.tpot_s.p10 < found.tpot_s.p50 < found.tpot_s.p90


def test_the_nearest_of_several_loads_counts():
    as_expected = Point(predict(ask(users=128)), 0.0, None, "another")
    found = correct(predict(ask(users=100)), [HALF, as_expected])
    assert found.output_tok_s.p50 == pytest.approx(predict(ask(users=100)).output_tok_s.p50)


@pytest.mark.parametrize("other", [{"gpu": "L4"}, {"engine": "sglang"}, {"quant": "fp8"}])
def test_other_devices_engines_and_formats_stay_as_they_are(other):
    alone = predict(ask(users=8, **other))
    assert correct(alone, [HALF]) == alone


def test_another_model_stays_as_it_is():
    alone = predict(ask(facts.of_params("other 8B", 8.0), users=8))
    assert correct(alone, [HALF]) == alone
    assert correct(predict(ask(LLAMA_8B, users=8)), []) == MEASURED


def test_more_of_the_devices_carry_less():
    two = predict(ask(users=8, count=2))
    assert math.log(0.5) < math.log(correct(two, [HALF]).output_tok_s.p50 / two.output_tok_s.p50) < 0
    assert constants.CARRY["other count"][0] < constants.CARRY["same devices"][0]
