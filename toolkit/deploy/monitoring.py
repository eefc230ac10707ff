"""The Grafana dashboard and the scraping of metrics, beside a cluster's files and applied by a command of its own."""

from __future__ import annotations

from typing import Any

from toolkit.deploy import dashboard
from toolkit.deploy.intent import Intent
from toolkit.deploy.text import header, yaml

DASHBOARD = "dashboard.json"


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
