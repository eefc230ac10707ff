"""systemd: `selfhost serve` as a service of one machine, under its own supervisor and proxy. Runs any plan.

A plan made on this machine is served where it lies, by this very selfhost. One that was made for another machine is
served from a folder there, by the selfhost and the engine that are found on the unit's PATH.
"""

from __future__ import annotations

from dataclasses import replace

from toolkit.deploy import fields, monitoring
from toolkit.deploy.intent import PORT, Options
from toolkit.deploy.rendered import Rendered
from toolkit.deploy.settings import DRAIN_S, PROGRAM_WORDS, check_words
from toolkit.errors import InputError
from toolkit.systemd_unit import KEY_PATH, Service, file_name
from toolkit.systemd_unit import render as unit
from toolkit.types import DeployCommands, LaunchPlan

FIELDS = fields.HOST
LONGEST_NAME = 50
TERM_GRACE_S = 10
PLAN = "plan.json"
OTHER_PLACE = "/srv/selfhost"
"""Where a service of another machine has its plan."""
OTHER_PATH = "/opt/selfhost/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
AS_ROOT = ("It runs as root; a `User=` of its own that can read the model and the plan's folder is better.",)


def render(plan: LaunchPlan, options: Options) -> Rendered:
    """The unit, and the plan that it serves.

    Raises:
        InputError: the plan holds a secret, its folder has a character that systemd takes for its own, or it was made
            for another machine and its model lies on this one.
    """
    check_words(plan)
    elsewhere = plan.backend in PROGRAM_WORDS and not plan.argv[0].startswith("/")
    if elsewhere:
        options = _there(plan, options)
    name = options.name
    key_file = f"/etc/selfhost/{name}.key"
    words = [*options.program, "serve", f"{options.folder}/{PLAN}", "--name", name, "--port", str(PORT)]
    downloads = plan.backend == "vllm" and not (plan.model_path or "/").startswith("/")
    service = Service(
        name=name,
        words=(*words, *(["--api-key-file", KEY_PATH] if options.key else [])),
        drain_s=DRAIN_S,
        term_grace_s=TERM_GRACE_S,
        user=options.user,
        folder=options.folder,
        environment=dict(options.environment),
        writable=options.writable,
        key_file=key_file if options.key else None,
        token_file=f"/etc/selfhost/{name}.hub-token" if downloads else None,
        port=PORT,
        stop=(*options.program, "stop", name),
        reads=tuple(w for w in (plan.model_path, *plan.argv) if w),
    )
    file = file_name(name)
    where = "/etc/systemd/system"
    bring = f"sudo install -D -m 644 {PLAN} {options.folder}/{PLAN} && " if elsewhere else ""
    key = (
        "sudo install -d -m 700 /etc/selfhost",
        f"openssl rand -hex 24 | sudo install -m 600 /dev/stdin {key_file}",
        f'export SELFHOST_API_KEY="$(sudo cat {key_file})"',
    )
    files = {file: unit(service), PLAN: plan.model_dump_json(by_alias=True, indent=1) + "\n"}
    watched, told = monitoring.beside(name, PORT, guarded=options.key, charts=options.dashboard, rules=options.alerts)
    files |= watched
    return Rendered(
        files=files,
        base_url=f"http://127.0.0.1:{PORT}/v1",
        commands=DeployCommands(
            once=key if options.key else (),
            up=f"{bring}sudo cp {file} {where}/ && sudo systemctl daemon-reload && sudo systemctl enable --now {file}",
            check=f"systemctl status {file}",
            down=f"sudo systemctl disable --now {file} && sudo rm {where}/{file}",
        ),
        notes=(
            _place(plan, elsewhere=elsewhere),
            f"Metrics are at http://127.0.0.1:{PORT}/metrics, the state at /livez and /readyz.",
            *told,
            *(AS_ROOT if options.user == "root" else ()),
        ),
    )


def _there(plan: LaunchPlan, options: Options) -> Options:
    """The same for another machine, of which only what is usual is known."""
    if plan.model_path and plan.model_path.startswith("/"):
        raise InputError(
            f"this plan was made for another machine, and its model lies on this one only ({plan.served_name})",
            "plan on the machine that will serve, or plan a model of the hub.",
        )
    return replace(
        options,
        folder=f"{OTHER_PLACE}/{options.name}",
        program=("/usr/bin/env", "selfhost"),
        environment=(("PATH", OTHER_PATH),),
        writable=(),
        user="root",
    )


def _place(plan: LaunchPlan, *, elsewhere: bool) -> str:
    if elsewhere:
        return (
            f"The plan was made for another machine: copy this folder there and run these lines there. selfhost and "
            f"{plan.argv[0]} must be on the unit's PATH ({OTHER_PATH}); change it where they lie elsewhere."
        )
    return f"The unit reads {PLAN} where it lies now: keep this folder, or write it again elsewhere."
