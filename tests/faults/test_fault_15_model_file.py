"""Fault 15: the model file is truncated, unfinished or gone: refused within a second, nothing started."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import gguf
import numpy as np
import pytest

from tests.supervise.harness import World, kill, until_state
from toolkit.errors import ModelFileError


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A small whole GGUF, written by llama.cpp's own Python library."""
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_tensor("token_embd.weight", np.zeros((64, 64), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def truncated(model: Path) -> Path:
    model.write_bytes(model.read_bytes()[:-1000])
    return model


def part(model: Path) -> Path:
    return Path(shutil.move(model, model.with_suffix(".gguf.part")))


def part_beside(model: Path) -> Path:
    model.with_name(model.name + ".part").write_bytes(b"x")
    return model


def folder(model: Path) -> Path:
    model.unlink()
    model.mkdir()
    return model


def gone(model: Path) -> Path:
    model.unlink()
    return model


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (truncated, "is truncated"),
        (part, "is an unfinished download"),
        (part_beside, "is an unfinished download"),
        (folder, "is a folder"),
        (gone, "no such file"),
    ],
)
def test_a_damaged_model_is_refused_at_once(world: World, model: Path, damage, words: str, repeat: int) -> None:
    plan = world.plan(model_path=str(damage(model)))
    begun = time.monotonic()
    with pytest.raises(ModelFileError, match=words):
        world.start(plan=plan)
    assert time.monotonic() - begun < 1.0
    assert world.starts() == 0


def test_a_model_damaged_while_served_is_fatal_at_the_next_start(world: World, model: Path, repeat: int) -> None:
    server = world.start(plan=world.plan(model_path=str(model)))
    truncated(model)
    kill(server.pid)
    now = until_state("fatal")
    assert "is truncated" in (now.reason or "")
    assert world.starts() == 1
