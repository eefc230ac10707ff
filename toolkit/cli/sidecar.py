"""`selfhost sidecar`: the proxy beside an engine that a cluster runs."""

from __future__ import annotations

from pathlib import Path

import typer

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

KEY_ENV = "SELFHOST_API_KEY"


@app.command()
def sidecar(
    engine: str = typer.Argument(help="Address of the engine, e.g. http://127.0.0.1:8001."),
    backend: str = typer.Option(help="Which engine it is: vllm or llama-server."),
    model: str = typer.Option(help="The model's name in the API."),
    host: str = typer.Option("127.0.0.1", help=f"Address to listen on; any but loopback needs {KEY_ENV}."),
    port: int = typer.Option(8000, min=1, max=65535, help="Port to listen on."),
    health_path: str = typer.Option("/health", help="Path of the engine that answers 200 when it is up."),
    max_in_flight: int | None = typer.Option(None, min=1, help="Requests the engine gets at once; the rest queue."),
    on_cpu: bool = typer.Option(False, "--on-cpu", help="The engine has no GPU: one prompt may take minutes."),
    config: Path | None = typer.Option(None, help="TOML file with limits in a table [supervise]."),
) -> None:
    """Stand before an engine that a cluster runs: queue, key, metrics, and a liveness that notices a hang."""
    import os

    from toolkit.backends.base import named
    from toolkit.cli.output import note
    from toolkit.supervise import limits, sidecar

    known = limits.from_toml(config) if config else limits.Limits()
    known = known.on_cpu() if on_cpu else known
    if max_in_flight:
        known = known.model_copy(update={"max_in_flight": max_in_flight})
    settings = sidecar.Settings(
        engine=sidecar.checked(engine),
        backend=backend,
        model=model,
        signals=named(backend).signals,
        limits=known,
        host=host,
        port=port,
        key=os.environ.get(KEY_ENV) or None,
        health_path=health_path,
    )
    sidecar.run(settings, note)
