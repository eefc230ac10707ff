"""The Grafana dashboard and the scraping of metrics, beside a cluster's files and applied by a command of its own."""

from __future__ import annotations

from typing import Any

from toolkit.deploy import dashboard
from toolkit.deploy.intent import Intent
from toolkit.deploy.text import header, yaml

DASHBOARD = "dashboard.json"


SCRAPE = "prometheus.yml"
SCRAPE_S = 15


def scrape(name: str, address: str, key_file: str | None) -> str:
    """A Prometheus configuration of one job; ``key_file`` is where Prometheus finds the key, if it must give one."""
    job: dict[str, Any] = {"job_name": name, "static_configs": [{"targets": [address]}]}
    if key_file:
        job["authorization"] = {"credentials_file": key_file}
    document = {"global": {"scrape_interval": f"{SCRAPE_S}s"}, "scrape_configs": [job]}
    return yaml(document, top=header("What Prometheus reads; take the job into your own configuration."))


def beside(name: str, port: int, *, guarded: bool, charts: bool = True) -> tuple[str, tuple[str, ...]]:
    """The same for a service of this machine, and what the README says of it."""
    key_file = f"/etc/prometheus/{name}.key" if guarded else None
    shown = f", and import {DASHBOARD} into Grafana" if charts else ""
    told = f"Metrics: take the job of {SCRAPE} into your Prometheus{shown}."
    more = f"Prometheus gives the key from {key_file}, which only it should be able to read." if key_file else None
    return scrape(name, f"127.0.0.1:{port}", key_file), (told, *([more] if more else []))


def files(intent: Intent, monitor: dict[str, Any], *, charts: bool = True) -> dict[str, str]:
    """``monitoring/``: a PodMonitor, and the dashboard as a ConfigMap that Grafana's sidecar picks up.

    ``charts`` False leaves the dashboard out, where the engine's series go by other names.
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
        found[f"monitoring/{DASHBOARD}"] = dashboard.render(intent.engine, intent.name)
        kustomization["configMapGenerator"] = [
            {
                "name": f"{intent.name}-dashboard",
                "files": [DASHBOARD],
                "options": {"disableNameSuffixHash": True, "labels": {"grafana_dashboard": "1"}},
            }
        ]
    top = header("Apart from the rest, since it needs the Prometheus operator: kubectl apply -k monitoring")
    return found | {"monitoring/kustomization.yaml": yaml(kustomization, top=top)}
