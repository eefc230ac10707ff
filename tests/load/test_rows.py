"""Rows on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.load.made import row
from toolkit.errors import InputError
from toolkit.load.rows import append_rows, merge_rows, read_rows

A, B = row(1.0, (1.5, 1.25), detail="naïve ✓"), row(0.5, (0.75,))


def test_rows_survive_the_file(tmp_path: Path) -> None:
    append_rows(tmp_path / "r.jsonl", [A])
    append_rows(tmp_path / "r.jsonl", [B])
    assert list(read_rows(tmp_path / "r.jsonl")) == [A, B]


def test_keys_of_a_later_version_are_ignored(tmp_path: Path) -> None:
    append_rows(tmp_path / "r.jsonl", [A])
    text = (tmp_path / "r.jsonl").read_text().replace('{"id"', '{"gpu":1,"id"')
    (tmp_path / "r.jsonl").write_text(text)
    assert list(read_rows(tmp_path / "r.jsonl")) == [A]


def test_a_bad_line_is_named(tmp_path: Path) -> None:
    append_rows(tmp_path / "r.jsonl", [A])
    with (tmp_path / "r.jsonl").open("a") as file:
        file.write('{"id": 1}\n')
    with pytest.raises(InputError, match="line 2"):
        list(read_rows(tmp_path / "r.jsonl"))


def test_processes_merge_by_time_and_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    one, two = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    append_rows(one, [A])
    append_rows(two, [B, A])
    two.write_bytes(two.read_bytes()[:-20])
    assert merge_rows([one, two]) == [B, A]
