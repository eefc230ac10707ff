"""systemd: `selfhost serve` as a service of this machine, under its own supervisor and proxy. Runs any plan."""

from __future__ import annotations

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
AS_ROOT = ("It runs as root, who wrote it; a `User=` of its own that can read the model and this folder is better.",)


def render(plan: LaunchPlan, options: Options) -> Rendered:
    """The unit, and the plan that it serves.

    Raises:
        InputError: the plan holds a secret, or its folder has a character that systemd takes for its own.
    """
    check_words(plan)
    if plan.backend in PROGRAM_WORDS and not plan.argv[0].startswith("/"):
        raise InputError(
            f"this plan was made for another machine: it does not say where {plan.argv[0]} lies on this one",
            "plan on the machine that will serve.",
        )
    name = options.name
    key_file = f"/etc/selfhost/{name}.key"
    words = [*options.program, "serve", f"{options.folder}/{PLAN}", "--name", name, "--port", str(PORT)]
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
        port=PORT,
        stop=(*options.program, "stop", name),
        reads=tuple(w for w in (plan.model_path, *plan.argv) if w),
    )
    file = file_name(name)
    where = "/etc/systemd/system"
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
            up=f"sudo cp {file} {where}/ && sudo systemctl daemon-reload && sudo systemctl enable --now {file}",
            check=f"systemctl status {file}",
            down=f"sudo systemctl disable --now {file} && sudo rm {where}/{file}",
        ),
        notes=(
            f"The unit reads {PLAN} where it lies now: keep this folder, or write it again elsewhere.",
            f"Metrics are at http://127.0.0.1:{PORT}/metrics, the state at /livez and /readyz.",
            *told,
            *(AS_ROOT if options.user == "root" else ()),
        ),
    )
