"""The folder's README: three commands, what must be made once, and why it is as it is."""

from __future__ import annotations

from toolkit.deploy.rendered import Rendered
from toolkit.deploy.sizing import where
from toolkit.types import DeployFolder, LaunchPlan

FITS = {
    "sure": "sure to fit",
    "likely": "likely to fit",
    "close": "so close that only a start will tell",
    "no": "does not fit",
}
OF_THIS_MACHINE = (" found: ", "proxy", " cores: ", "one thread on one core")
"""Words of reasons that are about the machine that planned: its program, its supervisor, its processor."""


def render(about: DeployFolder, plan: LaunchPlan, rendered: Rendered) -> str:
    """Markdown."""
    size = f", {about.context:,} tokens for {about.concurrency} at once" if about.context else ""
    lines = [
        f"# {about.served_name} on {about.target}",
        "",
        f"{where(about.replicas, about.gpus_per_replica, about.gpu)}{', spot' if about.spot else ''}{size}.",
        "Written by `selfhost deploy`.",
        "",
    ]
    if about.commands.once:
        lines += ["Once:", "", *_code(*about.commands.once), ""]
    for title, line in (("Up", about.commands.up), ("Check", about.commands.check), ("Down", about.commands.down)):
        lines += [f"{title}:", "", *_code(line), ""]
    lines += ["## Using it", "", *_using(about), ""]
    if rendered.notes:
        lines += [*(f"- {note}" for note in rendered.notes), ""]
    if any(path.startswith("monitoring/") for path in rendered.files):
        what = "Metrics, alerts and dashboard" if "monitoring/dashboard.json" in rendered.files else "Metrics"
        lines += [f"{what}, where the Prometheus operator runs: `kubectl apply -k monitoring`."]
        lines += [
            "Where it selects what it watches by a label (often `release`), put that label on each file there.",
            "",
        ]
    lines += ["## Why so", "", *(f"- {reason}" for reason in _reasons(about, plan))]
    return "\n".join(lines) + "\n"


def _code(*lines: str) -> list[str]:
    return ["```sh", *lines, "```"]


def _using(about: DeployFolder) -> list[str]:
    lines: list[str] = []
    if about.endpoint and about.base_url:
        lines += ["Make it reachable from here, and leave that running:", "", *_code(about.endpoint), ""]
    elif about.endpoint:
        lines += ["Its address:", "", *_code(about.endpoint), ""]
    key = f"; the API key is read from `{about.key_env}`" if about.key_env else ""
    address = f"`{about.base_url}`" if about.base_url else "That address, with `/v1`,"
    lines.append(f"{address} speaks OpenAI's API; the model is called `{about.served_name}`{key}.")
    priced = "by predicted speed: `selfhost recommend .`" if about.gpu else "from that result: `selfhost cost . RESULT`"
    return [*lines, "", f"Load-test it: `{_bench(about)}`; what its hardware costs, {priced}."]


def _bench(about: DeployFolder) -> str:
    """The folder alone where it holds the address, else what a person must fill in."""
    if about.base_url:
        return "selfhost bench ."
    key = f" --api-key-env {about.key_env}" if about.key_env else ""
    return f"selfhost bench ADDRESS/v1 --model {about.served_name}{key}"


def _reasons(about: DeployFolder, plan: LaunchPlan) -> list[str]:
    """The plan's own reasons, without what is about the machine that made it."""
    here = about.target == "systemd"
    reasons = [r for r in plan.reasons if here or not any(word in r for word in OF_THIS_MACHINE)]
    if about.image:
        reasons.append(f"the engine's image is pinned: `{about.image}`")
    if plan.memory:
        reasons.append(f"memory, by its plan: {FITS[plan.memory.certainty]}")
    return reasons or ["the command is the user's own"]
