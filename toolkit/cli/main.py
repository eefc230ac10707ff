"""The `selfhost` command: a table of lazily imported subcommands and one place that turns errors into exits.

Nothing heavy is imported here; `selfhost --help` reads the table below and no command module.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import sys
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

GARBAGE_AFTER = 100_000
"""New objects until the collector looks for cycles: more than a short command makes (`size` 50,000). Nearly all of them
stay, and Python's own 700 walks them again and again, a twentieth of such a command's time."""

COMMANDS: dict[str, tuple[str, str]] = {
    "quickstart": ("quickstart", "The whole pipeline on the embedded model, in about two minutes."),
    "doctor": ("doctor", "What this machine has, which engines are found, and what is missing."),
    "size": ("size", "How much memory a model needs, whether it fits, and what to change."),
    "predict": ("predict", "Expected tokens/s and latency of one configuration, with interval and ceiling."),
    "recommend": ("recommend", "Which hardware to rent, ranked by dollars per million tokens under your load."),
    "plan": ("plan", "Pick the backend and the exact launch settings, with reasons."),
    "serve": ("serve", "Launch a model under supervision."),
    "status": ("status", "Show the state of served models."),
    "logs": ("logs", "Show a served model's log."),
    "stop": ("stop", "Stop a served model."),
    "restart": ("restart", "Restart a served model."),
    "deploy": ("deploy", "Write the files that run a launch plan elsewhere: systemd, containers, clusters, clouds."),
    "sidecar": (
        "sidecar",
        "Stand before an engine that a cluster runs: queue, key, metrics, and a liveness that notices a hang.",
    ),
    "bench": ("bench", "Load-test an endpoint and write the report."),
    "runs": ("runs", "List the benches that were run here, or show one."),
    "compare": ("compare", "Compare two benches: is one faster, or is it chance."),
    "cost": ("cost", "Real dollars per million tokens, beside API prices."),
    "decide": ("decide", "Should this workload be self-hosted: verdict, reasons, and what would change it."),
    "audit": ("audit", "Judge a claim: what it implies, and whether it can hold."),
    "gpus": ("gpus", "Browse the GPU profiles."),
    "models": ("models", "Browse the model profiles."),
    "prices": ("prices", "Browse GPU and API prices."),
    "workloads": ("workloads", "Browse the workload profiles."),
}
"""Command → (module under `toolkit.cli`, the first line of its help), in the order of the pipeline."""


class LazyGroup(TyperGroup):
    """Imports a subcommand when it is called; lists them without importing any."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of the pipeline."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The subcommand, imported now; None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"toolkit.cli.{COMMANDS[cmd_name][0]}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As usual, with every name of the table known to did-you-mean."""
        from toolkit.errors import UnknownNameError

        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise UnknownNameError("command", args[0], COMMANDS, "`selfhost --help` lists all of them.")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The table, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


app = typer.Typer(
    cls=LazyGroup,
    name="selfhost",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Size, launch, supervise, load-test and price a self-hosted LLM.",
    epilog="Every command takes --help and --json. Exit status: 0 yes, 1 the honest answer is no, "
    "2 bad input, 3 the environment failed, 130 interrupted.",
)


def _version(value: bool) -> None:
    if value:
        from toolkit import __version__

        print(f"selfhost {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and exit."
    ),
    debug: bool = typer.Option(
        False, "--debug", envvar="SELFHOST_DEBUG", help="Show tracebacks instead of one-line errors."
    ),
) -> None:
    """Size, launch, supervise, load-test and price a self-hosted LLM."""
    if debug:
        os.environ["SELFHOST_DEBUG"] = "1"


def run() -> NoReturn:
    """Entry point of the console script: run, and turn every error into one line and an exit status."""
    gc.set_threshold(GARBAGE_AFTER, 4, 20)
    atexit.register(gc.freeze)  # else Python looks for cycles in all of it as it exits: a tenth of a short command
    try:
        app()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        from toolkit.cli.output import fail

        fail(error)
    sys.exit(0)


if __name__ == "__main__":
    run()
