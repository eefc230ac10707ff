"""A bench that was kept here, and the predictions that start from it."""

from __future__ import annotations

import json
import math

import pytest

from tests.cli.run import document
from tests.predict.test_model import ask
from tests.report.made import result_of, rows_of
from toolkit.cli.bench_expect import learned
from toolkit.load import history
from toolkit.load.files import ROWS, write_result
from toolkit.predict.answer import predict
from toolkit.report import expected

USERS = (1, 4)
RESULT = result_of(rows_of(USERS, seconds=4), USERS)
EXPECTED = tuple(predict(ask(users=n, prompt=400, answer=120)) for n in USERS)


@pytest.fixture(autouse=True)
def _kept(tmp_path, monkeypatch):
    monkeypatch.setenv("SELFHOST_HOME", str(tmp_path / "home"))
    write_result(tmp_path, RESULT.model_copy(update={"predictions": EXPECTED}))
    (tmp_path / ROWS).write_text(json.dumps({}) + "\n")
    history.keep(tmp_path, RESULT, "mine")


def test_every_level_teaches_of_its_own_load():
    points = learned("llama-3.1-8b")
    assert [point.expected.concurrency for point in points] == list(USERS)
    for point, level, before in zip(points, RESULT.levels, EXPECTED, strict=True):
        assert math.exp(point.speed) == pytest.approx(level.output_tok_s / before.output_tok_s.p50)
        assert "(mine)" in point.told
    assert learned("qwen3-8b") == ()


def test_predict_starts_from_it_unless_told_not_to():
    words = ("predict", "llama-3.1-8b", "--gpu", "H100-SXM-80GB", "--input-len", "400", "--output-len", "120")
    found = document(*words, "--concurrency", "4")
    assert found["basis"] == "measured"
    assert found["output_tok_s"]["p50"] == pytest.approx(RESULT.levels[1].output_tok_s)
    assert document(*words, "--concurrency", "16")["basis"] == "projected"
    assert document(*words, "--concurrency", "4", "--no-measured")["basis"] == "computed"


def test_the_report_shows_every_load_measured_predicted_and_at_its_ceiling():
    table = expected.table(RESULT.model_copy(update={"predictions": EXPECTED}))
    assert table is not None
    assert len(table.rows) == 3 * len(USERS)
    assert table.rows[0][0] == "1 user: output tokens/s, all users"
    assert table.rows[3][3] == f"{EXPECTED[1].ceiling_output_tok_s:,.0f}"
