"""The history of benches, as files and as `selfhost runs` and `selfhost compare` show it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.cli.run import document, error_of, selfhost
from tests.load.test_compare import batches
from tests.report.made import result_of
from toolkit.errors import InputError, UnknownNameError
from toolkit.load import history
from toolkit.load.files import ROWS, write_result
from toolkit.load.rows import Row, append_rows
from toolkit.types import BenchResult


def bench(folder: Path, rows: list[Row], at: str = "2026-11-23T14:05:00+00:00", **changes: object) -> BenchResult:
    """A bench's folder, written as `bench` writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    result = result_of(rows, (4,), **changes)
    result = result.model_copy(update={"environment": result.environment.model_copy(update={"at": at})})
    write_result(folder, result)
    (folder / ROWS).unlink(missing_ok=True)
    append_rows(folder / ROWS, rows)
    return result


def test_a_run_is_found_by_id_and_label_and_outlives_its_folder(tmp_path: Path) -> None:
    rows = batches(1, rounds=5)
    result = bench(tmp_path / "out", rows)
    card = history.keep(tmp_path / "out", result, "main")
    bench(tmp_path / "out", batches(2, rounds=5))  # the folder is used again
    for name in ("main", card.id):
        assert history.find(name) == card
        found, side = history.side(name)
        assert found == card
        assert side.result == result
        assert list(side.rows) == rows


def test_the_newest_of_a_label_counts_and_lists_come_first(tmp_path: Path) -> None:
    ids = []
    for hour in (10, 12, 11):
        result = bench(tmp_path / "o", batches(hour, rounds=2), f"2026-11-23T{hour}:00:00+00:00")
        ids.append(history.keep(tmp_path / "o", result, "main").id)
    assert [card.id for card in history.runs()] == sorted(ids, reverse=True)
    assert history.find("main").id == max(ids)


def test_two_benches_of_one_second_have_two_ids(tmp_path: Path) -> None:
    result = bench(tmp_path, batches(1, rounds=2))
    first, second = (history.keep(tmp_path, result, None).id for _ in range(2))
    assert second == f"{first}-2"
    assert [card.id for card in history.runs()] == [second, first]


def test_old_runs_without_a_label_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "KEEP", 2)
    result = bench(tmp_path, batches(1, rounds=2))
    labelled = history.keep(tmp_path, result, "keep-me").id
    others = [history.keep(tmp_path, result, None).id for _ in range(3)]
    assert [card.id for card in history.runs()] == [others[2], others[1], labelled]


def test_a_run_half_written_is_not_there(tmp_path: Path) -> None:
    result = bench(tmp_path, batches(1, rounds=2))
    card = history.keep(tmp_path, result, "half")
    (history.root() / card.id / history.CARD).unlink()
    assert history.runs() == []
    with pytest.raises(UnknownNameError):
        history.find("half")


@pytest.mark.parametrize("label", ["", "a b", "../x", "-x", "20261123-100000", "x" * 65])
def test_what_cannot_be_a_label(label: str) -> None:
    with pytest.raises(InputError):
        history.check_label(label)


def test_runs_and_compare_as_a_script_sees_them(tmp_path: Path) -> None:
    home = Path(os.environ["SELFHOST_HOME"])
    for name, hour, slower in (("before", 10, 1.0), ("after", 11, 1.2)):
        result = bench(tmp_path / name, batches(hour, slower), f"2026-11-23T{hour}:00:00+00:00")
        history.keep(tmp_path / name, result, name)
    listed = document("runs", home=home)
    assert (listed["kind"], [r["label"] for r in listed["runs"]]) == ("run_list", ["after", "before"])
    assert document("runs", "before", home=home)["kind"] == "bench_result"
    found = document("compare", "before", tmp_path / "after", "--fail-on", "ttft_p50>+10%", status=1, home=home)
    assert (found["kind"], found["passed"]) == ("comparison", False)
    assert found["limits"][0]["outcome"] == "broken"
    page = tmp_path / "compare.md"
    done = selfhost("compare", "before", "after", "--out", page, home=home)
    assert done.returncode == 0, done.stderr
    assert "B against A: at 4 users slower in" in done.stdout
    assert "| TTFT p50 |" in page.read_text()


def test_unlike_benches_are_refused_unless_told(tmp_path: Path) -> None:
    bench(tmp_path / "a", batches(1))
    bench(tmp_path / "b", batches(2))
    result = json.loads((tmp_path / "b" / "result.json").read_text())
    result["environment"]["machine"]["cpu"] = "Another"
    (tmp_path / "b" / "result.json").write_text(json.dumps(result))
    assert "processor (AMD EPYC 9554 and Another)" in error_of("compare", tmp_path / "a", tmp_path / "b")
    found = document("compare", tmp_path / "a", tmp_path / "b", "--allow-different")
    assert found["differences"] == [{"what": "processor", "a": "AMD EPYC 9554", "b": "Another", "unlike": True}]


def test_bad_sides_are_one_line(tmp_path: Path) -> None:
    bench(tmp_path / "a", batches(1, rounds=2))
    assert "unknown run 'nightly'" in error_of("compare", tmp_path / "a", "nightly")
    assert "there is no result at" in error_of("compare", tmp_path / "a", tmp_path / "none.json")
    (tmp_path / "a" / ROWS).unlink()
    assert "has no requests.jsonl" in error_of("compare", tmp_path / "a", tmp_path / "a")
    (tmp_path / "a" / "result.json").write_text('{"kind": "memory_plan"}')
    assert "is not a bench result" in error_of("compare", tmp_path / "a", tmp_path / "a")
