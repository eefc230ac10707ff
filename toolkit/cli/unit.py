"""From a `selfhost serve` command as it was typed to the systemd unit that runs it."""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.errors import InputError

if TYPE_CHECKING:
    import typer

    from toolkit.supervise.limits import Limits

LEFT_OUT = frozenset(("systemd_unit", "detach", "as_json", "name"))
"""Options that say how this call is made, or that the unit says in its own way."""
KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE")
"""What engines are found by, and where models lie. A token such as HF_TOKEN stays out: a unit can be read by all."""
OWN_VARIABLES = ("SELFHOST_LLAMA_SERVER", "SELFHOST_VLLM", "SELFHOST_PROFILES")
CACHES = (".cache", ".triton", ".nv")
"""Folders of the home in which engines keep downloads and compiled kernels."""


def text(context: typer.Context, name: str, port: int, limits: Limits, key_file: Path | None) -> str:
    """The unit that runs this very command, in the foreground.

    Raises:
        InputError: no fixed port, or something that a unit cannot hold.
    """
    from toolkit.paths import state_root
    from toolkit.systemd_unit import Service, render

    if port == 0:
        raise InputError("a service needs a port that stays the same", "name one with --port.")
    system = os.geteuid() == 0
    home = Path.home()
    service = Service(
        name=name,
        words=(*program(), "serve", *typed(context), "--name", name),
        drain_s=limits.drain_s,
        term_grace_s=limits.term_grace_s,
        user=pwd.getpwuid(os.geteuid()).pw_name if system else None,
        folder=str(Path.cwd()),
        state=str(state_root()),
        environment={key: os.environ[key] for key in (*KEPT_VARIABLES, *OWN_VARIABLES) if key in os.environ},
        key_file=str(key_file.resolve()) if key_file else None,
        writable=tuple(str(home / folder) for folder in CACHES) if system else (),
        reload=(*program(), "restart", name, "--zero-downtime", "--fall-back"),
        port=port,
    )
    return render(service)


def how_to(name: str) -> list[str]:
    """What to do with the unit, line by line."""
    from toolkit.systemd_unit import file_name

    file = file_name(name)
    if os.geteuid() == 0:
        where, manager, extra = (
            f"/etc/systemd/system/{file}",
            "systemctl",
            "it runs as root; a `User=` of its own is better",
        )
    else:
        where, manager = f"~/.config/systemd/user/{file}", "systemctl --user"
        extra = "to have it run without you being logged in: loginctl enable-linger"
    return [f"save as {where}, then: {manager} daemon-reload && {manager} enable --now {file}", extra]


def program() -> tuple[str, ...]:
    """The words that start this very selfhost, from an absolute path."""
    script = Path(sys.executable).with_name("selfhost")
    return (str(script),) if script.is_file() else (sys.executable, "-m", "toolkit.cli.main")


def typed(context: typer.Context) -> list[str]:
    """The words of this call that a later one needs, files by their whole path; the key file by its credential."""
    from toolkit.systemd_unit import KEY_PATH

    arguments: list[str] = []
    options: list[str] = []
    for parameter in context.command.params:
        name = str(parameter.name)
        source = context.get_parameter_source(name)
        if name in LEFT_OUT or source is None or source.name != "COMMANDLINE":
            continue
        value: Any = context.params[name]
        if parameter.param_type_name == "argument":
            arguments.append(_whole_path(str(value)))
        elif value is True:
            options.append(parameter.opts[0])
        else:
            several = value if isinstance(value, list | tuple) else [value]
            for one in several:
                file = KEY_PATH if name == "api_key_file" else str(one.resolve()) if isinstance(one, Path) else str(one)
                options += [parameter.opts[0], file]
    return [*arguments, *options]


def _whole_path(word: str) -> str:
    path = Path(word).expanduser()
    return str(path.resolve()) if path.exists() else word
