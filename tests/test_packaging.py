"""What a user installs is what we tested: the data is found from a wheel, an sdist's wheel and an editable install."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from toolkit import profiles

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[1]

LOOK = """
import json, site, sys
if sys.argv[2] == "editable":
    sys.path = [p for p in sys.path if p != sys.argv[3]]
    site.addsitedir(sys.argv[1])
else:
    sys.path.insert(0, sys.argv[1])
import toolkit
from toolkit import paths, profiles
root = paths.data_root()
print(json.dumps({
    "package": toolkit.__file__,
    "root": str(root),
    "records": [len(f()) for f in (profiles.gpus, profiles.models, profiles.workloads, profiles.gpu_prices)],
    "folders": [name for name in ("profiles", "bench", "deploy") if any((root / name).iterdir())],
    "embedded": profiles.model("smollm2-135m").packaged.file,
}))
"""


def build(*args: str) -> None:
    """A real build in this environment (hatchling is in it)."""
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", *args],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def look(folder: Path, how: str, cwd: Path) -> dict[str, Any]:
    """What a new process finds when the package is imported from that folder, far from the repository."""
    done = subprocess.run(
        [sys.executable, "-c", LOOK, str(folder), how, str(REPOSITORY)],
        cwd=cwd,
        env={**os.environ, "SELFHOST_PROFILES": str(cwd / "none")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout))


def check(found: dict[str, Any], root: Path) -> None:
    here = (profiles.gpus, profiles.models, profiles.workloads, profiles.gpu_prices)
    assert Path(found["root"]) == root
    assert found["records"] == [len(records()) for records in here]
    assert found["folders"] == ["profiles", "bench", "deploy"]
    assert found["embedded"] == "SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.fixture(scope="module")
def direct(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from the working tree."""
    out = tmp_path_factory.mktemp("direct")
    build("--wheel", "--outdir", str(out))
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of an sdist and of the wheel built from it, as a release is made."""
    out = tmp_path_factory.mktemp("released")
    build("--outdir", str(out))
    return out


def data_of(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name.removeprefix("toolkit/_data/") for name in archive.namelist() if "/_data/" in name}


def unpacked(wheel: Path, to: Path) -> Path:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(to)  # noqa: S202 - a wheel that this test built
    return to


def test_a_wheel_finds_its_data(direct: Path, tmp_path: Path) -> None:
    folder = unpacked(direct, tmp_path / "site")
    found = look(folder, "wheel", tmp_path)
    assert found["package"] == str(folder / "toolkit" / "__init__.py")
    check(found, folder / "toolkit" / "_data")


def test_a_wheel_built_from_an_sdist_finds_its_data(released: Path, tmp_path: Path) -> None:
    folder = unpacked(next(released.glob("*.whl")), tmp_path / "site")
    found = look(folder, "wheel", tmp_path)
    assert found["package"] == str(folder / "toolkit" / "__init__.py")
    check(found, folder / "toolkit" / "_data")


def test_an_editable_install_finds_the_repository(tmp_path: Path) -> None:
    """Built by hatchling's own hook for `pip install -e`, installed into a folder of its own."""
    hook = f"import hatchling.build as b; print(b.build_editable({str(tmp_path)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", hook], cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=True
    )
    folder = unpacked(tmp_path / done.stdout.split()[-1], tmp_path / "site")
    found = look(folder, "editable", tmp_path)
    assert found["package"] == str(REPOSITORY / "toolkit" / "__init__.py")
    check(found, REPOSITORY)


def test_both_wheels_hold_the_same_data(direct: Path, released: Path) -> None:
    assert data_of(direct) == data_of(next(released.glob("*.whl")))


def test_the_wheel_holds_the_data_of_the_repository(direct: Path) -> None:
    packed = data_of(direct)
    for folder in ("profiles", "bench", "deploy"):
        files = {p.relative_to(REPOSITORY).as_posix() for p in (REPOSITORY / folder).rglob("*") if p.is_file()}
        assert {name for name in files if "__pycache__" not in name} <= packed
    assert not [name for name in packed if "__pycache__" in name]


def test_the_sdist_holds_what_builds_and_tests_it(released: Path) -> None:
    with tarfile.open(next(released.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "toolkit/paths.py", "tests/test_packaging.py"} <= names


def test_the_wheel_gives_the_command_and_the_engines(direct: Path) -> None:
    with zipfile.ZipFile(direct) as archive:
        entry = next(name for name in archive.namelist() if name.endswith("entry_points.txt"))
        text = archive.read(entry).decode()
    assert "selfhost = toolkit.cli.main:run" in text
    assert "[selfhost.backends]" in text
