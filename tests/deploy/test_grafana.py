"""`deploy/grafana`: each name, label and state that the dashboard and the alerts use is on a live `/metrics`."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
from ruamel.yaml import YAML

from tests.deploy import tools
from tests.faults.test_fault_16_out_of_memory import KV_BUFFER
from tests.supervise.conftest import world  # noqa: F401 - a fixture
from tests.supervise.harness import QUICK, World, chat, kill, until, until_new_engine
from tests.supervise.test_metrics import NVML, live
from toolkit.paths import data_root
from toolkit.supervise import api
from toolkit.supervise.preflight import free_port
from toolkit.supervise.store import FORMAT, Spec

FOLDER = data_root() / "deploy" / "grafana"
DASHBOARD = json.loads((FOLDER / "selfhost.json").read_text())
RULES = YAML(typ="safe").load((FOLDER / "alerts.yml").read_text())
FILLED = {"$__rate_interval": "5m", "$__range": "1h", "$server": ".*"}
"""What Grafana puts in for its own variables and for ours."""
SCRAPED = {"job", "instance"}
"""Labels that Prometheus adds to whatever it scrapes."""


def panels() -> list[tuple[str, str]]:
    """Each panel's expression as Prometheus gets it, and its legend."""
    found = [(t["expr"], t["legendFormat"]) for p in DASHBOARD["panels"] for t in p["targets"]]
    return [(_filled(expression), legend) for expression, legend in found]


def _filled(expression: str) -> str:
    for variable, value in FILLED.items():
        expression = expression.replace(variable, value)
    assert "$" not in expression, "a variable that the dashboard does not have"
    return expression


def rules() -> list[dict[str, Any]]:
    return [rule for group in RULES["groups"] for rule in group["rules"]]


def nodes(expression: str) -> list[Any]:
    found: list[Any] = []
    promql.walk(promql.parse(expression), found.append)
    return found


def selectors(expression: str) -> list[Any]:
    return [node for node in nodes(expression) if isinstance(node, promql.VectorSelector)]


def wrong(expression: str, shown: str, page: dict[str, list[tuple[dict[str, str], float]]]) -> Iterator[str]:
    """What an expression, or the words shown with it, asks for and the page does not have."""
    known = set(SCRAPED)
    for selector in selectors(expression):
        labels = [labels for labels, _ in page.get(selector.name, ())]
        if not labels:
            yield f"no series {selector.name}"
            continue
        known |= set().union(*labels)
        for matcher in selector.matchers.matchers:
            values = {found.get(matcher.name) for found in labels}
            if None in values:
                yield f"{selector.name} has no label {matcher.name}"
            elif matcher.name == "state":
                yield from (f"no state {word}" for word in matcher.value.split("|") if word not in values)
    grouped = [
        node.modifier.labels
        for node in nodes(expression)
        if getattr(node, "modifier", None) is not None and isinstance(node, promql.AggregateExpr)
    ]
    for label in {label for labels in grouped for label in labels} - known:
        yield f"grouped by {label}, which no series has"
    kept = set(grouped[0]) if grouped else known
    named = re.findall(r"\$labels\.(\w+)", shown) or re.findall(r"\{\{(\w+)\}\}", shown)
    yield from (f"shows {label}, which the result has not" for label in set(named) - kept)


@pytest.fixture
def page(world: World, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[tuple[dict[str, str], float]]]:  # noqa: F811
    """All that two supervisors show: one with a lack of memory, a crash, a price and a GPU; one of vLLM's kind."""
    held = world.root / "nvml.json"
    held.write_text(json.dumps([[1, 7 * 2**30]]))
    monkeypatch.setenv("PYTHONPATH", str(NVML))
    monkeypatch.setenv("FAKE_NVML", str(held))
    world.faults(oom=[[KV_BUFFER, {"-c": 32768}]])
    plan = world.plan(argv=(*world.plan().argv, "-c", "65536", "-np", "8"))
    limits = QUICK.model_copy(update={"vram_back_s": 0.3})
    port = free_port("127.0.0.1")
    server = api.start_spec(
        Spec(format=FORMAT, name="s", plan=plan, host="127.0.0.1", port=port, limits=limits, cwd="/", usd_per_hour="7")
    )
    first = server.pid
    kill(first)
    server = until_new_engine(first, limit_s=60)
    assert chat(server, 20, stream=True)[0] == 200
    world.faults()
    other = world.start("v", plan=world.plan("vllm"))
    until(lambda: "selfhost_usd_per_million_tokens" in live(server), 30)
    until(lambda: "selfhost_kv_cache_use_ratio" in live(other), 30)
    found = live(server)
    for name, samples in live(other).items():
        found.setdefault(name, []).extend(samples)
    return found


@pytest.mark.slow
def test_whatever_is_asked_for_is_on_a_live_page(page: dict[str, list[tuple[dict[str, str], float]]]) -> None:
    for expression, legend in panels():
        assert list(wrong(expression, legend, page)) == [], expression
    for rule in rules():
        assert list(wrong(rule["expr"], "".join(rule["annotations"].values()), page)) == [], rule["alert"]
    made = {name for name in page if name.startswith("selfhost_") and not name.endswith(("_created", "_sum", "_count"))}
    charted = {selector.name for expression, _ in panels() for selector in selectors(expression)}
    assert made - charted == set(), "each series has a place on the dashboard"
    for expression, says in (
        ("selfhost_nothing", "no series selfhost_nothing"),
        ('selfhost_queued{reason="x"}', "selfhost_queued has no label reason"),
        ('selfhost_state{state=~"ready|asleep"}', "no state asleep"),
        ("sum by (gpu) (selfhost_queued)", "grouped by gpu, which no series has"),
    ):
        assert list(wrong(expression, "", page)) == [says]
    assert list(wrong("sum by (server) (selfhost_state)", "{{state}}", page)) == [
        "shows state, which the result has not"
    ]


def test_the_dashboard_asks_the_chosen_source_for_the_chosen_servers() -> None:
    source, server = DASHBOARD["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == ("source", "datasource", "prometheus")
    assert (server["name"], server["query"]["query"]) == ("server", "label_values(selfhost_state, server)")
    targets = [target for panel in DASHBOARD["panels"] for target in panel["targets"]]
    asked = [where["datasource"] for where in (*DASHBOARD["panels"], *targets, server)]
    assert all(found == {"type": "prometheus", "uid": "${source}"} for found in asked)
    for target in targets:
        for selector in selectors(_filled(target["expr"])):
            assert ("server", ".*") in [(m.name, m.value) for m in selector.matchers.matchers]
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in DASHBOARD["panels"]]
    assert len(set(places)) == len(places) == len({p["id"] for p in DASHBOARD["panels"]})


def test_the_rules_have_the_form_that_prometheus_reads() -> None:
    """Fields of a rule file: prometheus.io/docs/prometheus/latest/configuration/alerting_rules, read 2026-11-24."""
    assert set(RULES) == {"groups"}
    assert [set(group) for group in RULES["groups"]] == [{"name", "rules"}]
    for rule in rules():
        assert (
            {"alert", "expr", "labels", "annotations"} <= set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        )
        assert promql.parse_duration(rule.get("for", "1s")).total_seconds() > 0
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert set(rule["annotations"]) == {"summary", "description"}
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    explained = set(re.findall(r"Selfhost[A-Z]\w+", (FOLDER / "README.md").read_text()))
    assert explained == set(names), "the README's table names each alert, and no other"


@pytest.mark.slow
def test_the_rules_fire_when_they_should() -> None:
    """Prometheus' own judge, with series made by hand."""
    promtool = tools.find("promtool")
    if promtool is None:
        pytest.skip(f"promtool {tools.MISSING}")
    unit = Path(__file__).parent / "alerts_unit.yml"
    for words in (("check", "rules", str(FOLDER / "alerts.yml")), ("test", "rules", str(unit))):
        done = subprocess.run([promtool, *words], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
