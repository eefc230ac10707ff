"""The alert rules of deployed engines: read by Prometheus' own tool, on series that the engines have, and fired."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest

from tests.deploy import tools
from tests.deploy.plans import HELD, docs, made
from tests.deploy.test_dashboard import VLLM_COUNTERS, VLLM_GAUGES, VLLM_HISTOGRAMS
from toolkit.deploy.deploy import CONTAINERS

WATCHED = [(case, target) for case, target in HELD if target not in ("skypilot", "rayserve")]
"""SkyPilot's address leads to another replica each time, and Ray renames the engine's series."""
PROMTOOL = tools.find("promtool")
WITHOUT = f"promtool {tools.MISSING}; the form is checked beside this"
KNOWN = {
    "up",
    *(f"vllm:{c}_total" for c in VLLM_COUNTERS),
    *(f"vllm:{g}" for g in VLLM_GAUGES),
    *(f"vllm:{h}_bucket" for h in VLLM_HISTOGRAMS),
    "llamacpp:requests_deferred",
    *("selfhost_stall_seconds", "selfhost_requests_total", "selfhost_queued", "selfhost_ttft_seconds_bucket"),
}
"""Names that `test_dashboard`, `test_run` and `test_grafana` look for at the engines and at the proxy."""


def groups(case: str, target: str) -> list[dict[str, Any]]:
    files = made(case, target).files
    path = "alerts.yml" if target in ("compose", "quadlet") else "monitoring/alerts.yaml"
    (document,) = docs(files[path])
    found: list[dict[str, Any]] = document["groups"] if path == "alerts.yml" else document["spec"]["groups"]
    return found


def rules(case: str, target: str) -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for group in groups(case, target) for rule in group["rules"]}


@pytest.mark.parametrize(("case", "target"), WATCHED)
def test_each_asks_for_series_of_this_deployment(case: str, target: str) -> None:
    about = made(case, target).about
    found = rules(case, target)
    assert {"LlmGone", "LlmQueue"} <= set(found)
    assert ("LlmFewer" in found) == (about.replicas > 1)
    for rule in found.values():
        selectors: list[Any] = []
        promql.walk(
            promql.parse(rule["expr"]),
            lambda node, into=selectors: into.append(node) if isinstance(node, promql.VectorSelector) else None,
        )
        assert {s.name for s in selectors} <= KNOWN
        for selector in selectors:
            job = {m.name: m.value for m in selector.matchers.matchers}["job"]
            # A job of a file has the name alone; of a PodMonitor, its namespace before it; another's is another's.
            said = [j for j in (about.name, f"space/{about.name}", f"{about.name}-2") if re.fullmatch(job, j)]
            assert said == [about.name, f"space/{about.name}"]
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert set(rule["annotations"]) == {"summary", "description"}


@pytest.mark.parametrize(("case", "target"), WATCHED)
def test_they_and_what_names_them_are_in_the_folder(case: str, target: str) -> None:
    deployed = made(case, target)
    if target in ("compose", "quadlet"):
        (config,) = docs(deployed.files["prometheus.yml"])
        assert config["rule_files"] == ["alerts.yml"]
        assert config["scrape_configs"][0]["job_name"] == deployed.about.name
    else:
        (whole,) = docs(deployed.files["monitoring/kustomization.yaml"])
        assert whole["resources"] == ["podmonitor.yaml", "alerts.yaml"]
        (monitor,) = docs(deployed.files["monitoring/podmonitor.yaml"])
        (up,) = [e for e in promql_labels(rules(case, target)["LlmGone"]["expr"]) if "endpoint" in e]
        assert up["endpoint"] == monitor["spec"]["podMetricsEndpoints"][0]["port"]
        boards = whole["configMapGenerator"][0]["files"]
        assert boards == (["dashboard.json", "proxy.json"] if "sidecar" in case else ["dashboard.json"])
        assert all(f"monitoring/{board}" in deployed.files for board in boards)
    assert "lerts" in deployed.files["README.md"]
    assert "alerts.yml" in deployed.files["README.md"] or "monitoring/alerts.yaml" in deployed.files


def promql_labels(expression: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    promql.walk(
        promql.parse(expression),
        lambda node: (
            found.append({m.name: m.value for m in node.matchers.matchers})
            if isinstance(node, promql.VectorSelector)
            else None
        ),
    )
    return found


def test_compose_gives_prometheus_its_rules(tmp_path: Path) -> None:
    (document,) = docs(made("llama-gpu-key", "compose").files["compose.yaml"])
    mounts = {v["source"]: v["target"] for v in document["services"]["prometheus"]["volumes"]}
    # Prometheus reads rule files from the folder of its configuration.
    assert mounts == {
        "./prometheus.yml": "/etc/prometheus/prometheus.yml",
        "./alerts.yml": "/etc/prometheus/alerts.yml",
    }


def test_a_service_of_this_machine_gets_the_supervisors_own() -> None:
    from tests.deploy.test_units import systemd

    files = systemd("llama-cpu-host").files
    assert files["alerts.yml"] == "groups: []\n"
    assert "rule_files:\n  - alerts.yml\n" in files["prometheus.yml"]
    assert "alerts.yml under its `rule_files`" in files["README.md"]


def test_targets_that_nothing_scrapes_have_none() -> None:
    for case, target in HELD:
        if target not in {t for _, t in WATCHED}:
            assert not [path for path in made(case, target).files if "alert" in path], target
    assert {t for _, t in WATCHED} == set(CONTAINERS) - {"skypilot", "rayserve"}


@pytest.mark.skipif(PROMTOOL is None, reason=WITHOUT)
def test_prometheus_reads_them(tmp_path: Path) -> None:
    names = []
    for number, (case, target) in enumerate(WATCHED):
        (tmp_path / f"{number}.json").write_text(json.dumps({"groups": groups(case, target)}))
        names.append(f"{number}.json")
    run(tmp_path, "check", "rules", *names)
    for target in ("compose", "quadlet"):
        case = next(c for c, t in WATCHED if t == target)
        for name in ("prometheus.yml", "alerts.yml"):
            (tmp_path / name).write_text(made(case, target).files[name])
        run(tmp_path, "check", "config", "--syntax-only", "prometheus.yml")


def run(folder: Path, *words: str) -> None:
    done = subprocess.run([str(PROMTOOL), *words], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(PROMTOOL is None, reason=WITHOUT)
def test_they_fire_when_they_should(tmp_path: Path) -> None:
    """Series by hand, one value a minute: three replicas of two GPUs each, whose start may take six minutes."""
    three = rules("vllm-tp2-replicas", "kubernetes")
    wait = int(three["LlmGone"]["for"].rstrip("m"))
    # 15.3 GiB at 100 MB/s and at 300 MB/s are 219 s, and 240 s of compilation: twice 459 s are 16 minutes, begun.
    assert wait == 16
    here = 'job="ns/qwen-qwen3-8b", endpoint="http"'
    up = [{"series": f'up{{{here}, pod="{p}"}}', "values": v} for p, v in (("a", "1x60"), ("b", "1x4 0x60"))]
    other = {"series": 'up{job="ns/another", endpoint="http", pod="c"}', "values": "0x60"}

    def case(name: str, series: list[dict[str, str]], minute: int, alert: str, **labels: str) -> dict[str, Any]:
        found = rules(*PLACE[name])[alert]
        notes = {k: v.replace("{{ $value }}", "1") for k, v in found["annotations"].items()}
        expected = {"exp_labels": found["labels"] | labels, "exp_annotations": notes}
        begun = minute - int(found["for"].rstrip("m")) - 2
        return {
            "name": alert,
            "interval": "1m",
            "input_series": series,
            "alert_rule_test": [
                {"eval_time": f"{begun}m", "alertname": alert, "exp_alerts": []},
                {"eval_time": f"{minute}m", "alertname": alert, "exp_alerts": [expected]},
            ],
        }

    gone = [{"series": f'up{{{here}, pod="a"}}', "values": "1x4 stale"}]
    vllm = 'job="ns/qwen-qwen3-8b"'
    slow = [
        {"series": f'vllm:time_to_first_token_seconds_bucket{{{vllm}, le="10"}}', "values": "0x60"},
        {"series": f'vllm:time_to_first_token_seconds_bucket{{{vllm}, le="20"}}', "values": "0+10x60"},
        {"series": f'vllm:time_to_first_token_seconds_bucket{{{vllm}, le="+Inf"}}', "values": "0+10x60"},
    ]
    proxy = 'job="ns/qwen-qwen3-8b", server="m"'
    failing = [
        {"series": f'selfhost_requests_total{{{proxy}, status="200"}}', "values": "0+9x60"},
        {"series": f'selfhost_requests_total{{{proxy}, status="503"}}', "values": "0+1x60"},
    ]
    tests = {
        "three": [
            case("three", [*up, other], 4 + wait + 3, "LlmFewer"),
            case("three", gone, 4 + wait + 3, "LlmGone"),
            case("three", [{"series": f"vllm:num_requests_waiting{{{vllm}}}", "values": "0x9 3x60"}], 22, "LlmQueue",
                 job="ns/qwen-qwen3-8b"),
            case("three", [{"series": f"vllm:kv_cache_usage_perc{{{vllm}}}", "values": "0.5x9 0.97x60"}], 22,
                 "LlmCacheFull", job="ns/qwen-qwen3-8b"),
            case("three", slow, 20, "LlmSlowFirstToken", job="ns/qwen-qwen3-8b"),
        ],
        "llama": [
            case("llama", [{"series": 'llamacpp:requests_deferred{job="smollm2-135m"}', "values": "0x9 1x60"}], 22,
                 "LlmQueue", job="smollm2-135m"),
        ],
        "sidecar": [
            case("sidecar", [{"series": f"selfhost_queued{{{proxy}}}", "values": "0x9 1x60"}], 22, "LlmQueue",
                 job="ns/qwen-qwen3-8b"),
            case("sidecar", failing, 12, "LlmErrors", job="ns/qwen-qwen3-8b")
            | {"alert_rule_test": [{"eval_time": "12m", "alertname": "LlmErrors", "exp_alerts": [{
                "exp_labels": {"severity": "warning", "job": "ns/qwen-qwen3-8b"},
                "exp_annotations": {
                    "summary": "10% of the requests to qwen-qwen3-8b fail",
                    "description": "Of the last five minutes; answers 5xx of the engine and of the proxy.",
                }}]}]},
        ],
    }  # fmt: skip
    for name, cases in tests.items():
        (tmp_path / f"{name}-rules.json").write_text(json.dumps({"groups": groups(*PLACE[name])}))
        unit = {"rule_files": [f"{name}-rules.json"], "evaluation_interval": "1m", "tests": cases}
        (tmp_path / f"{name}.json").write_text(json.dumps(unit))
        run(tmp_path, "test", "rules", f"{name}.json")


PLACE = {
    "three": ("vllm-tp2-replicas", "kubernetes"),
    "llama": ("llama-cpu", "compose"),
    "sidecar": ("vllm-sidecar", "kubernetes"),
}
