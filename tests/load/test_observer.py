"""The server seen beside the load: metrics pages good and bad, its CPU, its GPU through a fake NVML."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.run import document
from tests.load.mock import Mock, spec, workload
from toolkit.load.observer import Look, energy, server_side
from toolkit.load.power import Power
from toolkit.load.run import run
from toolkit.load.scrape import Reading, read
from toolkit.types import Level

FAKES = Path(__file__).parents[1] / "fakes"


@contextmanager
def page(upstream: int, mode: str) -> Iterator[str]:
    """The mock with a metrics page of that kind in front."""
    words = [sys.executable, str(FAKES / "metrics_page.py"), str(upstream), mode]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            yield f"http://127.0.0.1:{child.stdout.readline().split()[1]}"
        finally:
            child.kill()


def bench(url: str, out: Path, seconds: float = 2.0) -> Level:
    return run(spec(url, concurrency=(2,), duration_s=seconds, workload=workload(40, 8)), out).levels[0]


LLAMA_SERVER = """# HELP llamacpp:prompt_tokens_total Number of prompt tokens processed.
# TYPE llamacpp:prompt_tokens_total counter
llamacpp:prompt_tokens_total 172
# HELP llamacpp:requests_processing Number of requests processing.
# TYPE llamacpp:requests_processing gauge
llamacpp:requests_processing 2
llamacpp:requests_deferred 5
"""


def test_llama_servers_page() -> None:
    assert read(LLAMA_SERVER) == Reading("llama.cpp", running=2.0, queued=5.0, prompt_tokens=172.0)


def test_engine_and_proxy_on_one_page_queue_together() -> None:
    found = read('selfhost_queued{server="a"} 4\nselfhost_restarts_total{server="a",reason="exit"} 1\n' + LLAMA_SERVER)
    assert found == Reading("llama.cpp", running=2.0, queued=9.0, restarts=1.0, prompt_tokens=172.0)


def test_a_proxy_that_never_restarted_says_zero() -> None:
    assert read('selfhost_in_flight{server="a"} 1\n') == Reading("selfhost", running=1.0, restarts=0.0)


def test_two_engines_add_up_and_the_fuller_cache_counts() -> None:
    text = "".join(
        f'vllm:num_requests_running{{engine="{i}"}} {i + 1}\nvllm:kv_cache_usage_perc{{engine="{i}"}} 0.{i + 3}\n'
        for i in range(2)
    )
    assert read(text) == Reading("vllm", running=3.0, kv_use=0.4)


@pytest.mark.parametrize("text", ["", "<html>", "up 1\n", "vllm:num_requests_running", "vllm:x{ \n vllm:y nan"])
def test_what_is_no_page_of_ours(text: str) -> None:
    assert read(text) is None


def looks(*totals: float | None, watts: tuple[float, ...] = ()) -> list[Look]:
    """One a second; ``totals`` are preemptions."""
    return [
        Look(
            at_s=float(i),
            server=None if n is None else Reading("vllm", running=float(i), preemptions=n),
            cpu_s=0.5 * i,
            machine_busy=0.25,
            power=Power(watts[i], None, None) if watts else None,
        )
        for i, n in enumerate(totals)
    ]


def test_totals_grow_between_the_looks_around_a_level() -> None:
    """Look 1 is the last before 1.5 s, look 4 the first after 3.5 s: 9 − 2 = 7 preemptions; half a core."""
    found = server_side(looks(0, 2, 3, 5, 9, 100), 1.5, 3.5)
    assert found is not None
    assert (found.preemptions, found.cpu_cores, found.samples) == (7, 0.5, 2)
    assert (found.running.mean, found.running.max) == (2.5, 3.0) if found.running else False


def test_a_total_that_falls_began_anew() -> None:
    found = server_side(looks(5, 7, 1, 2), 0, 3)
    assert found is not None
    assert found.preemptions == 2 + 1 + 1


def test_energy_is_the_area_under_the_power() -> None:
    """100 W at 1 s, 300 W at 2 s, straight between: from 1 to 2 s 200 J, 2 J for each of 100 tokens."""
    found = energy(looks(0, 0, 0, 0, watts=(100, 100, 300, 300)), 1.0, 2.0, 100, 50, ("G",))
    assert found is not None
    assert found.how == "power"
    assert found.joules == pytest.approx(200)
    assert (found.joules_per_token, found.joules_per_output_token) == (pytest.approx(2), pytest.approx(4))


def test_nothing_seen_is_nothing_said() -> None:
    assert server_side([], 0, 1) is None
    assert energy(looks(0, 0), 0, 1, 10, 10, ()) is None


@pytest.mark.slow
def test_vllms_page_is_read_beside_the_load(mock: Mock, tmp_path: Path) -> None:
    """The page says 3 running, a quarter of the cache used, 400 of 1,000 looked-up tokens found."""
    mock.set(ttft_s=0.05, itl_s=0.01)
    with page(mock.port, "vllm") as url:
        level = bench(url, tmp_path)
    assert level.failed == 0
    seen = level.server
    assert seen is not None
    assert seen.source == "vllm"
    assert seen.samples >= 3
    assert seen.running is not None
    assert (seen.running.mean, seen.running.max) == (3.0, 3.0)
    assert seen.kv_use is not None
    assert seen.kv_use.max == 0.25
    assert seen.queued is not None
    assert 0 < seen.queued.mean < 1
    assert seen.queued.max == 1
    assert seen.prefix_hit_share == pytest.approx(0.4)
    assert seen.preemptions is not None
    assert seen.preemptions >= seen.samples
    lines = [json.loads(line) for line in (tmp_path / "server.jsonl").read_text().splitlines()]
    assert sum(line.get("running") == 3.0 for line in lines) >= seen.samples


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["slow", "garbage", "endless", "closing"])
def test_a_bad_page_costs_nothing(mode: str, mock: Mock, tmp_path: Path) -> None:
    mock.set(ttft_s=0.05, itl_s=0.01)
    with page(mock.port, mode) as url:
        level = bench(url, tmp_path, seconds=1.0)
    assert (level.failed, level.valid) == (0, True)
    assert level.server is None or level.server.source is None
    assert level.ttft_s is not None
    assert level.ttft_s.p50 == pytest.approx(0.05, abs=0.02)


@pytest.mark.slow
def test_a_restart_that_the_proxy_counts_makes_the_level_invalid(mock: Mock, tmp_path: Path) -> None:
    mock.set(ttft_s=0.05, itl_s=0.01)
    with page(mock.port, "restarting") as url:
        level = bench(url, tmp_path)
    assert level.server is not None
    assert level.server.restarts
    assert "restarted during the level" in str(level.why_invalid)


@pytest.mark.slow
def test_a_restart_behind_a_url_makes_the_level_invalid(mock: Mock, tmp_path: Path) -> None:
    mock.set(ttft_s=0.05, itl_s=0.01)
    with page(mock.port, "reborn") as url:
        level = bench(url, tmp_path)
    assert level.server is not None
    assert level.server.restarts == 1
    assert "restarted during the level" in str(level.why_invalid)


def seen(**totals: tuple[float, ...]) -> int | None:
    """Restarts found in looks, one a second, with these figures."""
    names, columns = list(totals), list(zip(*totals.values(), strict=True))
    pages = [Reading("vllm", **dict(zip(names, values, strict=True))) for values in columns]
    found = server_side([Look(float(i), page, None, None, None) for i, page in enumerate(pages)], 0, len(pages))
    assert found is not None
    return found.restarts


def test_a_restart_shows_in_the_start_time_or_in_a_total_that_falls() -> None:
    assert seen(started_at=(100.0, 100.4, 100.0)) == 0
    assert seen(started_at=(100.0, 160.0, 160.0, 200.0)) == 2
    assert seen(prompt_tokens=(500.0, 600.0, 700.0)) == 0
    assert seen(prompt_tokens=(500.0, 600.0, 5.0, 70.0, 90.0)) == 1
    assert seen(prompt_tokens=(600.0, 5.0), started_at=(1.0, 1.0)) == 0  # the start time knows better


def test_several_servers_behind_one_address_are_no_restart() -> None:
    assert seen(started_at=(100.0, 160.0, 100.0)) is None
    assert seen(prompt_tokens=(500.0, 20.0, 510.0, 30.0)) is None
    assert seen(running=(1.0, 2.0)) is None


@pytest.mark.slow
def test_the_mock_has_no_page_but_a_cpu(mock: Mock, tmp_path: Path) -> None:
    mock.set(ttft_s=0.05, itl_s=0.01)
    level = bench(mock.url, tmp_path)
    assert level.server is not None
    assert level.server.source is None
    assert level.server.cpu_cores is not None
    assert 0 < level.server.cpu_cores < 1
    assert level.energy is None or level.energy.source == "rapl"  # where root may read a processor's counters


@pytest.mark.slow
@pytest.mark.parametrize(("old", "how"), [(False, "counter"), (True, "power")])
def test_joules_per_token_through_nvml(
    old: bool, how: str, mock: Mock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU that draws 250 W all the time: 250 W over tokens per second are joules per token."""
    mock.set(ttft_s=0.05, itl_s=0.01)
    monkeypatch.setenv("PYTHONPATH", str(FAKES / "nvml"))
    monkeypatch.setenv("FAKE_NVML_WATTS", "250")
    if old:
        monkeypatch.setenv("FAKE_NVML_OLD", "1")
    words = ("--concurrency", "2", "--duration", "2s", "--warmup", "0", "--input-len", "40", "--output-len", "8")
    found = document("bench", mock.url, *words, "--out", tmp_path)
    level = found["levels"][0]
    used = level["energy"]
    assert (used["how"], used["gpus"]) == (how, ["Fake GPU"])
    assert used["joules"] == pytest.approx(250 * level["duration_s"], rel=0.02)
    assert used["joules_per_token"] == pytest.approx(250 / level["total_tok_s"], rel=0.02)
    assert used["joules_per_output_token"] == pytest.approx(250 / level["output_tok_s"], rel=0.02)
    assert used["watts"]["max"] == 250
    assert used["gpu_busy"]["mean"] == 0.75


def test_without_nvml_it_is_said_once(mock: Mock, tmp_path: Path) -> None:
    mock.set(ttft_s=0.02, itl_s=0.005)
    words = ("--concurrency", "1,2", "--duration", "300ms", "--warmup", "0", "--input-len", "40", "--output-len", "8")
    found = document("bench", mock.url, *words, "--out", tmp_path)
    assert found["environment"]["client"]["gpu_energy"].startswith("not measured: ")
    assert json.dumps(found).count(json.dumps(found["environment"]["client"]["gpu_energy"])) == 1
    assert "cpu_energy" in found["environment"]["client"]  # the processor's counters were looked for instead
