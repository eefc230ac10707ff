"""Other commands take the folder that `deploy` wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.run import document, error_of, selfhost
from tests.load.mock import Mock

KEY = "a-key"


@pytest.fixture
def mock() -> Iterator[Mock]:
    with Mock() as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    plan, out = tmp_path / "plan.json", tmp_path / "k8s"
    words = (
        "qwen3-8b",
        "--gpu",
        "H100-SXM-80GB",
        "--engine-version",
        "0.32",
        "--context",
        "8192",
        "--concurrency",
        "16",
    )
    plan.write_text(json.dumps(document("plan", *words, "--name", "mock", "--elsewhere")))
    assert selfhost("deploy", plan, "--target", "kubernetes", "--replicas", "2", "--out", out).returncode == 0
    return out


def test_bench_reads_address_model_and_key_from_it(
    mock: Mock, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mock stands where the port-forward would be; it wants the key."""
    about = json.loads((folder / "deployment.json").read_text())
    assert about["base_url"] == "http://127.0.0.1:8000/v1"
    (folder / "deployment.json").write_text(json.dumps(about | {"base_url": f"{mock.url}/v1"}))
    mock.set(ttft_s=0.02, itl_s=0.005, api_key=KEY)
    words = ("bench", folder, "--concurrency", "1", "--duration", "400ms", "--warmup", "0", "--output-len", "4")
    monkeypatch.delenv("SELFHOST_API_KEY", raising=False)
    assert "SELFHOST_API_KEY is not set" in error_of(*words, "--out", tmp_path / "r")
    monkeypatch.setenv("SELFHOST_API_KEY", KEY)
    found = document(*words, "--out", tmp_path / "r", home=tmp_path)
    assert found["model"] == "mock"  # the name in the folder; the mock knows no other
    assert found["levels"][0]["failed"] == 0
    assert found["levels"][0]["completed"] > 0
    deployment = found["environment"]["engine"]["deployment"]
    assert (deployment["gpu"], deployment["gpus_per_replica"], deployment["replicas"]) == ("H100-SXM-80GB", 1, 2)
    assert KEY not in "".join(p.read_text(errors="replace") for p in (tmp_path / "r").rglob("*") if p.is_file())


def test_a_deployment_whose_address_only_the_target_knows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    about = json.loads((folder / "deployment.json").read_text())
    (folder / "deployment.json").write_text(json.dumps(about | {"base_url": None, "endpoint": "sky serve status x"}))
    monkeypatch.setenv("SELFHOST_API_KEY", KEY)
    assert "sky serve status x" in error_of("bench", folder)


def test_a_folder_of_another_version(folder: Path) -> None:
    about = json.loads((folder / "deployment.json").read_text())
    (folder / "deployment.json").write_text(json.dumps(about | {"schema_version": 9}))
    assert "schema version 9" in error_of("bench", folder)
    (folder / "deployment.json").write_text(json.dumps(about | {"replicas": "many"}))
    assert "replicas" in error_of("bench", folder)


def test_recommend_prices_the_hardware_of_it(folder: Path) -> None:
    """Two replicas of 16 users on one H100 each: 32 users, on that device, that count and those replicas alone."""
    (option,) = document("recommend", folder)["options"]
    assert (option["gpu"], option["count"], option["quant"]) == ("H100-SXM-80GB", 1, "bf16")
    assert (option["replicas"], option["users_per_replica"]) == (2, 16)
    words = ("qwen3-8b", "--gpu", "H100-SXM-80GB", "--users", "16", "--context", "8192", "--quants", "bf16")
    alone = next(o for o in document("recommend", *words)["options"] if o["count"] == 1)
    assert option["tpot_s"] == alone["tpot_s"]
    assert option["usd_per_hour"]["p50"] == pytest.approx(2 * alone["usd_per_hour"]["p50"])
    assert option["usd_per_mtok"] == alone["usd_per_mtok"]


def made(tmp_path: Path, plan: tuple[str, ...], deploy: tuple[str, ...]) -> tuple[dict[str, Any], Path]:
    document_ = document("plan", *plan, "--elsewhere")
    (tmp_path / "plan.json").write_text(json.dumps(document_))
    done = selfhost("deploy", tmp_path / "plan.json", *deploy, "--out", tmp_path / "there")
    assert done.returncode == 0, done.stderr
    return document_, tmp_path / "there"


@pytest.mark.parametrize(
    ("plan", "deploy"),
    [
        (
            ("llama-3.1-70b", "--gpu", "H100-SXM-80GB:4", "--context", "32768", "--kv-dtype", "fp8"),
            ("--target", "kubernetes", "--replicas", "3"),
        ),
        (
            ("llama-3.1-70b", "--gpu", "H100-SXM-80GB:2", "--context", "8192", "--gpu-memory-utilization", "0.96"),
            ("--target", "skypilot", "--replicas", "2", "--spot"),
        ),
        (
            ("qwen3-8b", "--gpu", "L4", "--context", "4096", "--max-num-seqs", "5"),
            ("--target", "compose"),
        ),
    ],
)
def test_cost_and_recommend_agree_on_a_folder(plan: tuple[str, ...], deploy: tuple[str, ...], tmp_path: Path) -> None:
    """The same hardware, price and replicas; and as many users as the plan itself has room for."""
    planned, folder = made(tmp_path, (*plan, "--engine-version", "0.32", "--concurrency", "4"), deploy)
    (option,) = document("recommend", folder, "--tokens-per-day", "1M")["options"]
    # 3 of 4 tokens are input, so all tokens of one replica are 4 × its output
    each = 4 * option["output_tok_s"]["p50"] / option["replicas"]
    priced = document("cost", folder, "--goodput", repr(each), "--tokens-per-day", "1M", "--compare", "none")
    assert priced["replicas"] == option["replicas"]
    assert priced["gpus"] == option["count"]
    assert priced["monthly_usd"]["compute"] == pytest.approx(option["usd_per_hour"]["p50"] * 730)
    assert priced["allocation_usd_per_mtok"] == pytest.approx(option["usd_per_mtok"]["p50"])
    assert option["users_per_replica"] == planned["memory"]["max_concurrency"]
    (busy,) = document("recommend", folder)["options"]
    rate = 4 * busy["output_tok_s"]["p50"] / busy["replicas"]
    used = document("cost", folder, "--goodput", repr(rate), "--compare", "none")
    assert used["usage_usd_per_mtok"] == pytest.approx(busy["usd_per_mtok"]["p50"])


def test_more_than_is_deployed_and_what_does_not_hold_it(folder: Path) -> None:
    found = document("recommend", folder, "--users", "5000")
    (option,) = found["options"]
    assert option["replicas"] > 2
    assert f"2 deployed: this load needs {option['replicas']} replicas" in found["notes"]
    assert "on 1 × T4" in error_of("recommend", folder, "--gpu", "T4", status=1)
    assert "says how many devices a replica has" in error_of("recommend", folder, "--gpu", "T4:2")
    assert "H100-SXM-80GB is datacenter, not cpu" in error_of("recommend", folder, "--only", "cpu")


def test_an_eight_bit_cache_holds_more_and_is_read_faster(tmp_path: Path) -> None:
    words = ("llama-3.1-70b", "--gpu", "H100-SXM-80GB:4", "--context", "32768", "--engine-version", "0.32")
    found = []
    for dtype in ("auto", "fp8"):
        place = tmp_path / dtype
        place.mkdir()
        _, folder = made(place, (*words, "--kv-dtype", dtype), ("--target", "kubernetes"))
        (option,) = document("recommend", folder, "--tokens-per-day", "1M")["options"]
        (few,) = document("recommend", folder, "--users", "8")["options"]
        found.append((option["users_per_replica"], few["tpot_s"]["p50"]))
    (most, slow), (more, fast) = found
    assert more in (2 * most, 2 * most + 1)  # half the bytes a token, in the same pool
    assert fast < slow


def test_a_folder_of_before_and_one_on_a_cpu(folder: Path, tmp_path: Path) -> None:
    """Without settings it is sized by the engine's defaults; a CPU has no rent and no speed on record."""
    about = json.loads((folder / "deployment.json").read_text())
    old = {k: v for k, v in about.items() if k not in ("settings", "engine_version")}
    (folder / "deployment.json").write_text(json.dumps(old))
    (option,) = document("recommend", folder)["options"]
    assert option["users_per_replica"] == 16
    (folder / "deployment.json").write_text(json.dumps(about | {"gpu": None, "gpus_per_replica": 0}))
    assert "runs on a CPU" in error_of("recommend", folder, status=1)


WHOLE: dict[str, tuple[str, ...]] = {
    "systemd": (),
    "compose": (),
    "quadlet": (),
    "kubernetes": ("--replicas", "3"),
    "kserve": ("--replicas", "3"),
    "production-stack": ("--replicas", "3"),
    "skypilot": ("--replicas", "3", "--spot"),
    "rayserve": ("--replicas", "3", "--no-key"),
}
"""Target → what makes a folder of it out of a plan for one H100, with several replicas where it holds them."""


@pytest.mark.parametrize("target", WHOLE)
def test_every_targets_folder_is_priced_and_asked(target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prices are given, so the sums are the hand's: 1,000 tokens/s is 3.6 million an hour, so 1.80 $/h is $0.50."""
    monkeypatch.delenv("SELFHOST_API_KEY", raising=False)
    release = "0.26" if target == "rayserve" else "0.32"
    words = ("qwen3-8b", "--gpu", "H100-SXM-80GB", "--engine-version", release, "--context", "8192", "--elsewhere")
    plan = document("plan", *words)
    if target == "systemd":
        plan |= {"argv": ["/usr/bin/vllm", *plan["argv"][1:]]}
    more = WHOLE[target]
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    folder = tmp_path / "there"
    done = selfhost("deploy", tmp_path / "plan.json", "--target", target, "--out", folder, *more)
    assert done.returncode == 0, done.stderr
    about = json.loads((folder / "deployment.json").read_text())
    assert about["replicas"] == (3 if more else 1)
    readme = (folder / "README.md").read_text()
    assert ("`selfhost bench .`" in readme) == (about["base_url"] is not None)  # the folder must hold the address
    assert "`selfhost recommend .`" in readme

    price = ("--spot-price", "1.80/h") if about["spot"] else ("--gpu-price", "1.80/h")
    priced = document("cost", folder, "--goodput", "1000", *price, "--tokens-per-day", "10M")
    assert priced["gpus"] == 1
    assert priced["usage_usd_per_mtok"] == pytest.approx(0.5)
    assert priced["replicas"] == about["replicas"]
    assert priced["monthly_usd"]["total"] == pytest.approx(about["replicas"] * 1.80 * 730)
    found = document("recommend", folder, "--gpu-price", "1.80/h")
    assert {(o["gpu"], o["count"]) for o in found["options"]} == {("H100-SXM-80GB", 1)}
    said = error_of("bench", folder, status=2 if about["key_env"] or about["base_url"] is None else 3)
    if about["base_url"] is None:
        assert str(about["endpoint"]) in said
    else:
        assert ("SELFHOST_API_KEY is not set" in said) == bool(about["key_env"])
