"""Every bench that was run here: its document and its rows, kept under the state folder, found by id or label.

A run is a folder ``bench-runs/<id>/`` with `run.json` (what a list shows), `result.json` and `requests.jsonl.gz`. It
is a copy, so that a result folder may be written again or thrown away. Runs without a label go when they are too many.
"""

from __future__ import annotations

import gzip
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from toolkit.errors import InputError, UnknownNameError
from toolkit.load.compare import Side, load_words
from toolkit.load.files import RESULT, ROWS
from toolkit.load.rows import read_rows
from toolkit.paths import state_root
from toolkit.types import BenchResult, RunRef

KEEP = 100
"""Runs without a label that are kept."""
CARD = "run.json"
PACKED = f"{ROWS}.gz"
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_ID = re.compile(r"\d{8}-\d{6}(-\d+)?")


def root() -> Path:
    """Where the runs are."""
    return state_root() / "bench-runs"


def check_label(label: str | None) -> str | None:
    """The label itself. Raises InputError when it could not be told from an id or a path."""
    if label is None or (_LABEL.fullmatch(label) and not _ID.fullmatch(label)):
        return label
    raise InputError(
        f"{label!r} cannot be a label", "Use up to 64 letters, digits, dots, dashes or underscores, such as main-b6900."
    )


def keep(folder: Path, result: BenchResult, label: str | None) -> RunRef:
    """Copy a finished bench from its folder into the history. Raises OSError when it cannot be written."""
    base = root()
    base.mkdir(parents=True, exist_ok=True)
    home = _new_folder(base, result)
    card = card_of(result, home.name, label, folder.resolve())
    shutil.copyfile(folder / RESULT, home / RESULT)
    with (folder / ROWS).open("rb") as rows, gzip.open(home / PACKED, "wb", compresslevel=3) as packed:
        shutil.copyfileobj(rows, packed)
    (home / CARD).write_text(card.model_dump_json(indent=1) + "\n")  # last: a run without it is not there
    _forget_oldest()
    return card


def card_of(result: BenchResult, run_id: str, label: str | None, folder: Path | None) -> RunRef:
    """What a list shows of a bench."""
    return RunRef(
        id=run_id,
        label=label,
        at=result.environment.at,
        target=result.target,
        model=result.model,
        workload=result.workload.name,
        endpoint=result.endpoint,
        loads=tuple(map(load_words, result.levels)),
        output_tok_s=max((lv.output_tok_s for lv in result.levels if lv.output_tokens), default=None),
        valid=bool(result.levels) and all(lv.valid for lv in result.levels),
        folder=str(folder) if folder else None,
    )


def runs() -> list[RunRef]:
    """Every run, newest first; a folder that is not whole is left out."""
    return [card for _, card in sorted(_cards(), key=lambda found: found[0], reverse=True)]


def find(name: str) -> RunRef:
    """The run of that id, or the newest of that label. Raises UnknownNameError."""
    everyone = runs()
    for card in everyone:
        if name in (card.id, card.label):
            return card
    known = [name for card in everyone for name in (card.label, card.id) if name]
    raise UnknownNameError("run", name, known, "`selfhost runs` lists all of them." if known else "No bench has run.")


def document(card: RunRef) -> BenchResult:
    """A run's `result.json`."""
    return read_result(root() / card.id / RESULT)


def side(text: str) -> tuple[RunRef, Side]:
    """One side of a comparison: a `result.json`, the folder that holds it, or a run's id or label.

    Raises:
        InputError: no such file or run, a file that is no result, or no rows beside it.
    """
    path = Path(text).expanduser()
    file = path / RESULT if path.is_dir() else path
    if file.is_file():
        result = read_result(file)
        rows = file.parent / ROWS
        if not rows.is_file():
            raise InputError(f"{file.parent} has no {ROWS}", "A comparison needs every request; keep the whole folder.")
        return card_of(result, "", None, file.parent.resolve()), Side(result, tuple(read_rows(rows)))
    if path.is_dir() or "/" in text or text.endswith(".json"):
        raise InputError(f"there is no result at {text}", "Give a bench's folder, its result.json, or a run's name.")
    card = find(text)
    return card, Side(document(card), tuple(read_rows(root() / card.id / PACKED)))


def read_result(file: Path) -> BenchResult:
    """A `result.json`. Raises InputError."""
    try:
        return BenchResult.model_validate_json(file.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror or error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the document"
        raise InputError(f"{file} is not a bench result: {where}: {first['msg']}") from None


def _new_folder(base: Path, result: BenchResult) -> Path:
    """A folder named after the bench's time (local), numbered when there is one already."""
    try:
        at = datetime.fromisoformat(result.environment.at).astimezone()
    except ValueError:
        at = datetime.now().astimezone()
    name = at.strftime("%Y%m%d-%H%M%S")
    for number in range(1, 10_000):
        home = base / (name if number == 1 else f"{name}-{number}")
        with suppress(FileExistsError):
            home.mkdir()
            return home
    raise FileExistsError(f"{base / name} and 9,999 more")


def _cards() -> Iterator[tuple[tuple[str, int], RunRef]]:
    for file in root().glob(f"*/{CARD}"):
        with suppress(OSError, ValidationError):
            day, _, number = file.parent.name.partition("-")[2].partition("-")
            key = (f"{file.parent.name[:8]}-{day}", int(number or 1))
            yield key, RunRef.model_validate_json(file.read_bytes())


def _forget_oldest() -> None:
    for card in [card for card in runs() if card.label is None][KEEP:]:
        if _ID.fullmatch(card.id):
            shutil.rmtree(root() / card.id, ignore_errors=True)
