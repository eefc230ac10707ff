"""Prints the schema of a PodMonitor or a PrometheusRule, strict, from the operator's own types in a package.

Run by the environment that `tests/deploy/install.sh` makes, with the kind behind it; `podmonitor.json` and
`prometheusrule.json` beside this file are what it printed.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from typing import Any

from cloudcoil.models.prometheus_operator.v1 import PodMonitorSpec, PrometheusRuleSpec

SPECS = {"PodMonitor": PodMonitorSpec, "PrometheusRule": PrometheusRuleSpec}
PACKAGE = "cloudcoil-models-prometheus-operator"
WORDS = ("title", "default", "description")


def strict(node: Any, names: bool = False) -> Any:
    """Without prose, without null, and with nothing allowed that is not named; ``names`` for a table of properties."""
    if isinstance(node, list):
        return [strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    if not names and "anyOf" in node:
        kinds = [k for k in node["anyOf"] if k != {"type": "null"}]
        node = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    kept = {k: v for k, v in node.items() if names or k not in WORDS}
    found = {k: strict(v, names=not names and k in ("properties", "$defs")) for k, v in kept.items()}
    return found | {"additionalProperties": False} if not names and "properties" in found else found


def main(name: str) -> None:
    """One JSON document."""
    spec = strict(SPECS[name].model_json_schema(by_alias=True))
    parts = spec.pop("$defs")
    kind = {"apiVersion": {"const": "monitoring.coreos.com/v1"}, "kind": {"const": name}}
    document = {
        "$comment": f"Made by operator_kinds.py beside this file from {PACKAGE} {version(PACKAGE)} (Apache-2.0), whose "
        "types are made from the CRDs of prometheus-operator 0.80.1 (Apache-2.0).",
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "additionalProperties": False,
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": kind | {"metadata": {"type": "object"}, "spec": spec},
        "$defs": parts,
    }
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main(sys.argv[1])
