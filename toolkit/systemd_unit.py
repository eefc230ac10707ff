"""The systemd unit of one served model, as text. Pure; `serve` and `deploy` both write what this renders.

Needs systemd 247 or newer (`LoadCredential=`; the rest is older). See systemd.service(5), systemd.exec(5) and
systemd.kill(5) for each setting.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from toolkit.errors import InputError

BEAT_S = 60
"""A supervisor that says nothing for this long is dead: the watchdog's time, and what each beat adds to a start."""
STOP_EXTRA_S = 90
"""Beyond drain and grace: the kill, orphans (9 s), GPU memory coming back (60 s) and the last writes."""
CREDENTIAL = "api-key"
KEY_PATH = f"${{CREDENTIALS_DIRECTORY}}/{CREDENTIAL}"
"""Where the service finds its key file; goes into the words as it stands."""

_PLAIN = re.compile(r"[A-Za-z0-9_@+=:,./-]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Service:
    """What the unit is about. ``words`` is the foreground command, its program as an absolute path.

    ``state`` is the folder of the served models' state; None lets systemd make one (``/var/lib/selfhost``).
    ``user`` runs a system service under that account; None makes a unit for a user's own service manager.
    ``key_file`` is handed over as a credential: put `KEY_PATH` into ``words`` where its path belongs.
    ``writable`` are folders outside ``state`` that the engine may write, such as caches; missing ones are passed over.
    """

    name: str
    words: tuple[str, ...]
    drain_s: float
    term_grace_s: float
    user: str | None = None
    folder: str | None = None
    state: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    key_file: str | None = None
    writable: tuple[str, ...] = ()
    token_file: str | None = None
    """Where a hub token may lie, for a model that is downloaded; the lines for it are written as comments."""
    reload: tuple[str, ...] = ()
    """The command that replaces the engine (`systemctl reload`); none when empty."""
    stop: tuple[str, ...] = ()
    """The command that drains and stops, and returns when all is gone. It lets signals go to the whole group."""
    reads: tuple[str, ...] = ()
    """Further files and folders that it must see, such as the model."""
    port: int | None = None
    """What it listens on; one below 1024 needs a capability."""


def file_name(name: str) -> str:
    """What the unit of a served name is called."""
    return f"selfhost-{name}.service"


def render(service: Service) -> str:
    """The unit file.

    Raises:
        InputError: a word that no unit file can hold (a line break), or a program without an absolute path.
    """
    if not service.words or not service.words[0].startswith("/"):
        raise InputError("a unit needs the absolute path of its program")
    parts = [_unit(service), _command(service), _life(service) + _kill(service), _surroundings(service)]
    parts += [_hardening(service), _install(service)]
    return "\n".join("\n".join(part) + "\n" for part in parts)


def _unit(service: Service) -> list[str]:
    return [
        "[Unit]",
        f"Description=selfhost: {_escaped(service.name)}",
        *(["Wants=network-online.target", "After=network-online.target"] if service.user else []),
        "# Restarts of the engine are limited by the supervisor; this limits restarts of the supervisor itself.",
        "StartLimitIntervalSec=600",
        "StartLimitBurst=5",
    ]


def _command(service: Service) -> list[str]:
    lines = [
        "[Service]",
        "# Ready is said when the engine has answered a prompt; STATUS= shows the state in `systemctl status`.",
        "Type=notify",
        "NotifyAccess=main",
        f"ExecStart={' '.join(quote(word) for word in service.words)}",
    ]
    if service.reload:
        lines.append(f"ExecReload={' '.join(quote(word) for word in service.reload)}")
    if service.stop:
        lines.append(f"ExecStop={' '.join(quote(word) for word in service.stop)}")
    if service.key_file:
        lines += [
            "# The key is read by systemd and shown to this service only; it is in no argument and no variable.",
            f"LoadCredential={CREDENTIAL}:{_path(service.key_file)}",
        ]
    if service.token_file:
        lines += [
            "# Gated models only: put a hub token into that file, and take the # away from both lines (systemd 251).",
            f"#LoadCredential=hub-token:{_path(service.token_file)}",
            "#Environment=HF_TOKEN_PATH=%d/hub-token",
        ]
    return lines


def _life(service: Service) -> list[str]:
    stop_s = int(service.drain_s + service.term_grace_s + STOP_EXTRA_S)
    return [
        "# Exit 0 is a stop that someone asked for (`selfhost stop`), 2 an input that no restart mends.",
        "Restart=always",
        "RestartSec=5",
        "RestartPreventExitStatus=0 2",
        "# The supervisor's own pulse; an engine that hangs is its business, and is killed by it.",
        f"WatchdogSec={BEAT_S}",
        "# Each beat extends the start, so a long load needs no long limit here: the supervisor judges the load.",
        f"TimeoutStartSec={BEAT_S * 2}",
        f"# Drain ({service.drain_s:g} s), grace ({service.term_grace_s:g} s), and {STOP_EXTRA_S} s to clean up.",
        f"TimeoutStopSec={stop_s}",
        "# When the kernel kills the engine for memory, the supervisor starts it again; the service goes on.",
        "OOMPolicy=continue",
    ]


def _kill(service: Service) -> list[str]:
    """Who gets a signal. Only a stop command of its own makes `control-group` safe: it has drained before."""
    if service.stop:
        return [
            "# ExecStop waits for open requests, ends the engine and waits for its memory; only what it leaves behind",
            "# is signalled. After a crash of the supervisor itself the engine ends too, and the model is loaded anew.",
            "KillMode=control-group",
        ]
    return [
        "# mixed: SIGTERM goes to the supervisor alone, which drains and then ends its engine; whatever is left is",
        "# killed. `control-group` would end the engine under its open requests; `process` could leave it behind",
        "# with the GPU's memory. The price: after a crash of the supervisor itself the model is loaded anew.",
        "KillMode=mixed",
    ]


def _surroundings(service: Service) -> list[str]:
    lines = [f"User={_escaped(service.user)}"] if service.user else []
    if service.folder:
        lines.append(f"WorkingDirectory={_path(service.folder)}")
    environment = dict(service.environment)
    if service.state is None:
        lines += ["StateDirectory=selfhost", "StateDirectoryMode=0700", "CacheDirectory=selfhost"]
        lines += ["Environment=SELFHOST_HOME=%S/selfhost", "Environment=XDG_CACHE_HOME=%C/selfhost"]
        lines += ["# Kernels that are compiled while it runs; their own place is a home that is read-only here."]
        lines += ["Environment=TRITON_HOME=%C/selfhost", "Environment=CUDA_CACHE_PATH=%C/selfhost/nv"]
    else:
        environment["SELFHOST_HOME"] = service.state
    lines += [f"Environment={_assignment(key, value)}" for key, value in sorted(environment.items())]
    return [*lines, "LimitNOFILE=65536"]


def _hardening(service: Service) -> list[str]:
    """What an engine on a GPU can live with.

    Left out on purpose: `MemoryDenyWriteExecute` (kernels are compiled while it runs), `PrivateDevices` and
    `ProtectClock` (both close /dev to GPUs).
    """
    lines = [
        "# Hardening. Engines compile code while they run and open GPU devices, so those two stay allowed.",
        "UMask=0077",
        "NoNewPrivileges=yes",
        "LockPersonality=yes",
        "RestrictSUIDSGID=yes",
        "RestrictRealtime=yes",
        "SystemCallArchitectures=native",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    ]
    if service.user is None:
        return [*lines, "# A user's own service manager may not mount, so the file system is not closed here."]
    low = service.port is not None and 0 < service.port < 1024
    capability = "CAP_NET_BIND_SERVICE" if low else ""
    lines += [f"CapabilityBoundingSet={capability}", *([f"AmbientCapabilities={capability}"] if low else [])]
    lines += _own_tmp(service)
    lines += ["ProtectSystem=strict", "ProtectHome=read-only"]
    lines += [f"Protect{what}=yes" for what in ("ControlGroups", "KernelLogs", "KernelModules", "KernelTunables")]
    lines += ["ProtectHostname=yes", "RestrictNamespaces=yes"]
    paths = [_path(service.state)] if service.state else []
    paths += [f"-{_path(folder)}" for folder in service.writable]
    return [*lines, *([f"ReadWritePaths={' '.join(paths)}"] if paths else [])]


def _own_tmp(service: Service) -> list[str]:
    """A /tmp of its own, unless something that it needs lies in the machine's."""
    words = (*service.words, service.folder or "", service.state or "", *service.reads, *service.writable)
    needed = next((w for w in words if w.startswith(("/tmp/", "/var/tmp/"))), None)  # noqa: S108 - looked for, not used
    if needed is None:
        return ["PrivateTmp=yes"]
    return [f"# No PrivateTmp: {_escaped(needed)} lies there. A reboot empties /tmp; put it elsewhere."]


def _install(service: Service) -> list[str]:
    return ["[Install]", f"WantedBy={'multi-user' if service.user else 'default'}.target"]


def quote(word: str) -> str:
    """One word of a command line in a unit: specifiers and variables are taken literally, `KEY_PATH` is not.

    Raises:
        InputError: a line break or a NUL, which no unit can hold.
    """
    if word == KEY_PATH:
        return word
    return _quoted(_escaped(word).replace("$", "$$"))


def _assignment(key: str, value: str) -> str:
    if not _VARIABLE.fullmatch(key):
        raise InputError(f"{key!r} is no name of a variable")
    return _quoted(f"{key}={_escaped(value)}")


def _path(path: str) -> str:
    """A path as a setting's whole value; relative ones would mean something else to systemd."""
    if not path.startswith("/"):
        raise InputError(f"{path!r} must be an absolute path in a unit")
    escaped = _escaped(path)
    if re.search(r"[\s\"'\\:]", escaped):
        raise InputError(f"{path!r} has a character that systemd takes for its own", "use a path without it.")
    return escaped


def _escaped(text: str) -> str:
    if re.search(r"[\n\r\0]", text):
        raise InputError(f"{text!r} cannot be written into a unit: it has a line break")
    return text.replace("%", "%%")


def _quoted(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    inner = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{inner}"'
