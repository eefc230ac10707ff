"""The Grafana dashboard, the alerts and the scraping of metrics, beside a target's files."""

from __future__ import annotations

from typing import Any

from toolkit.deploy import alerts, dashboard
from toolkit.deploy.intent import Intent
from toolkit.deploy.text import header, yaml

DASHBOARD = "dashboard.json"
PROXY_DASHBOARD = "proxy.json"


SCRAPE = "prometheus.yml"
SCRAPE_S = 15


def scrape(name: str, address: str, key_file: str | None, *, rules: bool = True) -> str:
    """A Prometheus configuration of one job; ``key_file`` is where Prometheus finds the key, if it must give one."""
    job: dict[str, Any] = {"job_name": name, "static_configs": [{"targets": [address]}]}
    if key_file:
        job["authorization"] = {"credentials_file": key_file}
    document: dict[str, Any] = {"global": {"scrape_interval": f"{SCRAPE_S}s"}, "scrape_configs": [job]}
    if rules:
        document["rule_files"] = [alerts.FILE]
    return yaml(document, top=header("What Prometheus reads; take the job into your own configuration."))


def beside(
    name: str, port: int, *, guarded: bool, charts: str | None, rules: str | None
) -> tuple[dict[str, str], tuple[str, ...]]:
    """The same for a service of this machine, with its dashboard and its alerts, and what the README says of them."""
    key_file = f"/etc/prometheus/{name}.key" if guarded else None
    files = {SCRAPE: scrape(name, f"127.0.0.1:{port}", key_file, rules=rules is not None)}
    files |= {DASHBOARD: charts} if charts else {}
    files |= {alerts.FILE: rules} if rules else {}
    told = [f"take the job of {SCRAPE} into your Prometheus"]
    told += [f"name {alerts.FILE} under its `rule_files`"] if rules else []
    told += [f"import {DASHBOARD} into Grafana"] if charts else []
    whole = f"Metrics: {', '.join(told[:-1])}{', and ' if len(told) > 1 else ''}{told[-1]}."
    more = f"Prometheus gives the key from {key_file}, which only it should be able to read." if key_file else None
    return files, (whole, *([more] if more else []))


def files(intent: Intent, monitor: dict[str, Any], *, charts: bool = True) -> dict[str, str]:
    """``monitoring/``: a PodMonitor, a PrometheusRule, and dashboards as a ConfigMap that Grafana's sidecar picks up.

    ``charts`` False leaves dashboard and rules out, where the engine's series go by other names.
    """
    kustomization: dict[str, Any] = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["podmonitor.yaml"],
    }
    found = {
        "monitoring/podmonitor.yaml": yaml(
            monitor, top=header("Scrapes the engine's metrics. Needs the Prometheus operator.")
        )
    }
    if charts:
        port = str(monitor["spec"]["podMetricsEndpoints"][0]["port"])
        top = header("Alerts on these metrics; the limits are yours to change. Needs the Prometheus operator.")
        found["monitoring/alerts.yaml"] = yaml(alerts.resource(intent, port), top=top)
        kustomization["resources"].append("alerts.yaml")
        boards = {DASHBOARD: dashboard.render(intent.engine, intent.name)}
        if intent.options.sidecar and intent.options.dashboard:
            boards[PROXY_DASHBOARD] = intent.options.dashboard
        found |= {f"monitoring/{name}": text for name, text in boards.items()}
        kustomization["configMapGenerator"] = [
            {
                "name": f"{intent.name}-dashboard",
                "files": list(boards),
                "options": {"disableNameSuffixHash": True, "labels": {"grafana_dashboard": "1"}},
            }
        ]
    top = header("Apart from the rest, since it needs the Prometheus operator: kubectl apply -k monitoring")
    return found | {"monitoring/kustomization.yaml": yaml(kustomization, top=top)}
