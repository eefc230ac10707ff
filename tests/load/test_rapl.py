"""Energy of a machine without a GPU, through a powercap tree as the kernel lays it out, made in a folder."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from toolkit.load.observer import Look, energy
from toolkit.load.rapl import SHORTEST_S, Rapl


def zone(root: Path, name: str, called: str, microjoules: object, most: int = 262_143_328_850) -> Path:
    """One folder of the tree; the greatest value is that of a real Xeon."""
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{called}\n")
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    (folder / "max_energy_range_uj").write_text(f"{most}\n")
    return folder / "energy_uj"


def joules(meter: Rapl) -> float:
    time.sleep(2 * SHORTEST_S)
    found = meter.read()
    assert found is not None
    assert found.joules is not None
    return found.joules


def test_packages_add_up_and_their_parts_do_not(tmp_path: Path) -> None:
    first, second = zone(tmp_path, "intel-rapl:0", "package-0", 10), zone(tmp_path, "intel-rapl:1", "package-1", 20)
    zone(tmp_path, "intel-rapl:0:0", "core", 5)
    zone(tmp_path, "intel-rapl:2", "psys", 7)
    zone(tmp_path, "dtpm", "package-9", 7)
    meter = Rapl(tmp_path)
    assert (meter.why_not, meter.names) == (None, ("package-0", "package-1"))
    first.write_text("3000010")  # 3 J
    second.write_text("4000020")  # 4 J
    assert joules(meter) == pytest.approx(7)


def test_a_counter_that_goes_round(tmp_path: Path) -> None:
    counter = zone(tmp_path, "intel-rapl:0", "package-0", 900_000, most=1_000_000)
    meter = Rapl(tmp_path)
    counter.write_text("400000")  # 0.1 J to the top, then 0.4 J
    assert joules(meter) == pytest.approx(0.5)
    counter.write_text("600000")
    assert joules(meter) == pytest.approx(0.7)


def test_watts_are_joules_over_the_time_between_looks(tmp_path: Path) -> None:
    counter = zone(tmp_path, "intel-rapl:0", "package-0", 0)
    meter, begin = Rapl(tmp_path), time.perf_counter()
    time.sleep(0.2)
    counter.write_text("10000000")  # 10 J
    found, most = meter.read(), time.perf_counter() - begin
    assert found is not None
    assert 10 / most <= found.watts <= 10 / 0.2
    assert found.gpu_busy is None


def test_it_becomes_joules_per_token(tmp_path: Path) -> None:
    counter = zone(tmp_path, "intel-rapl:0", "package-0", 0)
    meter, looks = Rapl(tmp_path), []
    for second in range(4):  # 50 J each second, by the looks' own clock
        counter.write_text(str(second * 50_000_000))
        time.sleep(2 * SHORTEST_S)
        looks.append(Look(float(second), None, None, None, meter.read()))
    used = energy(looks, 0.0, 3.0, tokens=300, output_tokens=100, gpus=meter.names, source="rapl")
    assert used is not None
    assert (used.joules, used.how, used.source) == (pytest.approx(150), "counter", "rapl")
    assert (used.joules_per_token, used.joules_per_output_token) == (pytest.approx(0.5), pytest.approx(1.5))


@pytest.mark.parametrize("content", ["", "many", "1e5"])
def test_a_counter_that_makes_no_sense_is_unknown(tmp_path: Path, content: str) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", content)
    meter = Rapl(tmp_path)
    assert meter.why_not is not None
    assert meter.read() is None


def test_a_machine_without_counters(tmp_path: Path) -> None:
    for root in (tmp_path / "none", tmp_path):
        meter = Rapl(root)
        assert "no energy counters" in str(meter.why_not)
        assert meter.read() is None


def test_a_counter_that_goes_away_is_unknown_from_then_on(tmp_path: Path) -> None:
    counter = zone(tmp_path, "intel-rapl:0", "package-0", 0)
    meter = Rapl(tmp_path)
    counter.unlink()
    time.sleep(2 * SHORTEST_S)
    assert meter.read() is None
