"""Docker Compose: one machine, the engine's own image, a health check, and Prometheus with Grafana when asked for."""

from __future__ import annotations

from typing import Any

from toolkit.deploy import alerts, dashboard, fields, monitoring
from toolkit.deploy.intent import KEY_ENV, PORT, Intent
from toolkit.deploy.rendered import Rendered
from toolkit.deploy.source import CACHE, MODELS
from toolkit.deploy.text import header, noted, yaml
from toolkit.types import DeployCommands

FIELDS = fields.CONTAINER
LONGEST_NAME = 50
PROMETHEUS = "prom/prometheus:v3.5.0"
GRAFANA = "grafana/grafana:12.1.1"
GRACE_EXTRA_S = 20
_ASKS = f"Each `docker compose` line asks for {KEY_ENV}, so keep it; for `ps` and `down` any text will do."


def render(intent: Intent) -> Rendered:
    """The files of the folder."""
    needs = intent.resources
    top = header(
        f"{intent.plan.served_name} on {intent.engine}: {intent.where}. Docker Compose 2.24 or newer.",
        *(["GPUs need the NVIDIA Container Toolkit."] if needs.gpus else []),
    )
    scraped = monitoring.scrape(intent.name, f"engine:{PORT}", "/run/secrets/api_key" if _guarded(intent) else None)
    files = {"compose.yaml": yaml(_compose(intent), top=top), monitoring.SCRAPE: scraped}
    files[alerts.FILE] = alerts.file(intent)
    files |= _grafana(intent)
    wait = f"--wait --wait-timeout {needs.start_limit_s}"
    return Rendered(
        files=files,
        image=intent.image,
        base_url=f"http://127.0.0.1:{PORT}/v1",
        commands=DeployCommands(
            once=(f'export {KEY_ENV}="$(openssl rand -hex 24)"',) if intent.options.key else (),
            up=f"docker compose up --detach {wait}",
            check="docker compose ps",
            down="docker compose down",
        ),
        notes=(
            "`docker compose --profile monitoring up --detach` adds Prometheus on port 9090, with the rules of "
            f"{alerts.FILE} at /alerts, and Grafana on 3000 with a dashboard; with that profile `down` ends them too.",
            "Docker starts an engine again that ends, not one that hangs, which `docker compose ps` calls unhealthy; "
            "`selfhost serve` (the systemd target) ends that one too.",
            *([_ASKS] if intent.options.key else []),
        ),
    )


def _compose(intent: Intent) -> dict[str, Any]:
    services = {
        "engine": _engine(intent),
        "prometheus": _prometheus_service(intent),
        "grafana": _grafana_service(),
    }
    document: dict[str, Any] = {"name": intent.name, "services": services}
    volumes: dict[str, Any] = {}
    if intent.source.downloads:
        volumes["cache"] = noted({}, "Keeps downloaded weights across restarts.")
    if intent.source.volume:
        volumes["models"] = {"external": True, "name": intent.source.volume.claim}
    if volumes:
        document["volumes"] = volumes
    if _guarded(intent):
        document["secrets"] = {"api_key": {"environment": KEY_ENV}}
    return document


def _guarded(intent: Intent) -> bool:
    """Whether the engine's metrics ask for the key."""
    return intent.options.key and intent.engine == "llama.cpp"


def _engine(intent: Intent) -> dict[str, Any]:
    needs = intent.resources
    service: dict[str, Any] = {
        "image": intent.image,
        "entrypoint": list(intent.entry),
        "command": noted([_literal(word) for word in intent.argv()], "The launch plan's own settings."),
        "restart": "always",
        "ports": noted([f"127.0.0.1:{PORT}:{PORT}"], "This machine only; put a proxy with TLS before it to open it."),
    }
    environment = _environment(intent)
    if environment:
        service["environment"] = environment
    mounts = _mounts(intent)
    if mounts:
        service["volumes"] = mounts
    url = f"http://127.0.0.1:{PORT}{_literal(intent.health_path)}"
    service |= {
        "healthcheck": {
            "test": ["CMD", "curl", "-fsS", "-o", "/dev/null", url],
            "interval": "15s",
            "timeout": "10s",
            "retries": 5,
            "start_period": noted(f"{needs.start_limit_s}s", f"Expected load {needs.load_s} s; failures until then."),
            "start_interval": "5s",
        },
        "stop_grace_period": noted(f"{intent.drain_s + GRACE_EXTRA_S}s", "Open requests may end first."),
        "deploy": {"resources": _resources(intent)},
        "security_opt": ["no-new-privileges:true"],
        "logging": noted({"driver": "local"}, "Kept within 100 MB; Docker's default driver lets a log grow for ever."),
    }
    if needs.shm_gib:
        service["shm_size"] = noted(f"{needs.shm_gib}gb", "Ranks of one engine talk through shared memory.")
    return service


def _environment(intent: Intent) -> dict[str, Any]:
    found: dict[str, Any] = {name: _literal(value) for name, value in sorted(intent.env.items())}
    if intent.options.key:
        reference = f"${{{KEY_ENV}:?put the API key into {KEY_ENV}}}"
        found[intent.key_env] = noted(reference, "Taken from your environment; written in no file.")
    if intent.source.downloads:
        found["HF_HOME" if intent.engine == "vllm" else "LLAMA_CACHE"] = CACHE
        found["HF_TOKEN"] = noted("${HF_TOKEN:-}", "Only gated models need it.")
    return found


def _mounts(intent: Intent) -> list[Any]:
    if intent.source.downloads:
        return [{"type": "volume", "source": "cache", "target": CACHE}]
    if intent.source.volume:
        return [{"type": "volume", "source": "models", "target": MODELS, "read_only": True}]
    return [{"type": "bind", "source": _literal(str(intent.source.host_folder)), "target": MODELS, "read_only": True}]


def _literal(word: str) -> str:
    """A word that Compose does not fill variables into."""
    return word.replace("$", "$$")


def _resources(intent: Intent) -> dict[str, Any]:
    needs = intent.resources
    found: dict[str, Any] = {"limits": {"memory": f"{needs.memory_gib}g"}}
    if needs.gpus:
        device = {"driver": "nvidia", "count": needs.gpus, "capabilities": ["gpu"]}
        found["reservations"] = {"devices": [device]}
    return found


def _prometheus_service(intent: Intent) -> dict[str, Any]:
    service: dict[str, Any] = {
        "image": PROMETHEUS,
        "profiles": ["monitoring"],
        "ports": ["127.0.0.1:9090:9090"],
        "volumes": [_file(f"./{name}", f"/etc/prometheus/{name}") for name in (monitoring.SCRAPE, alerts.FILE)],
    }
    if _guarded(intent):
        service["secrets"] = noted(["api_key"], "llama.cpp's metrics ask for the key.")
    return service


def _grafana_service() -> dict[str, Any]:
    return {
        "image": GRAFANA,
        "profiles": ["monitoring"],
        "ports": ["127.0.0.1:3000:3000"],
        "volumes": [
            _file("./grafana/datasource.yaml", "/etc/grafana/provisioning/datasources/selfhost.yaml"),
            _file("./grafana/provider.yaml", "/etc/grafana/provisioning/dashboards/selfhost.yaml"),
            _file("./grafana/dashboard.json", "/var/lib/grafana/dashboards/selfhost.json"),
        ],
        "depends_on": ["prometheus"],
    }


def _file(source: str, target: str) -> dict[str, Any]:
    return {"type": "bind", "source": source, "target": target, "read_only": True}


def _grafana(intent: Intent) -> dict[str, str]:
    source = {"name": "Prometheus", "type": "prometheus", "url": "http://prometheus:9090", "isDefault": True}
    provider = {"name": "selfhost", "type": "file", "options": {"path": "/var/lib/grafana/dashboards"}}
    return {
        "grafana/datasource.yaml": yaml({"apiVersion": 1, "datasources": [source]}, top=header("Where Grafana asks.")),
        "grafana/provider.yaml": yaml({"apiVersion": 1, "providers": [provider]}, top=header("Where dashboards lie.")),
        "grafana/dashboard.json": dashboard.render(intent.engine, intent.name),
    }
