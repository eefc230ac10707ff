"""Which fields of a launch plan a target uses, which it refuses when they are set, and which do not concern it.

Every target holds one `Fields` table that names every field of `LaunchPlan`; a test changes each field in turn and
looks whether the files behave as the table says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from toolkit.errors import InputError
from toolkit.types import LaunchPlan


@dataclass(frozen=True)
class Use:
    """``used``: it changes the files. ``refused``: a value other than the default is declined. ``irrelevant``."""

    how: Literal["used", "refused", "irrelevant"]
    why: str


Fields = dict[str, Use]


def used(why: str) -> Use:
    """The field shows in the files."""
    return Use("used", why)


def refused(why: str) -> Use:
    """The target cannot express it."""
    return Use("refused", why)


def irrelevant(why: str) -> Use:
    """The field says nothing about what runs there."""
    return Use("irrelevant", why)


HOST: Fields = {
    "schema_version": used("plan.json is the plan itself"),
    "kind": used("plan.json is the plan itself"),
    "backend": used("started by `selfhost serve`"),
    "argv": used("started by `selfhost serve`"),
    "env": used("given to the engine by `selfhost serve`"),
    "model_path": used("the unit runs on the machine that has the file"),
    "served_name": used("names the service and the model in the API"),
    "health_path": used("asked by the supervisor"),
    "max_in_flight": used("kept by the supervisor's proxy"),
    "engine_version": used("plan.json is the plan itself"),
    "reasons": used("plan.json is the plan itself"),
    "rejected": used("plan.json is the plan itself"),
    "memory": used("plan.json is the plan itself"),
}
"""Targets that run `selfhost serve` on this machine."""

CONTAINER: Fields = {
    "schema_version": irrelevant("checked when the plan is read"),
    "kind": irrelevant("checked when the plan is read"),
    "backend": used("decides the image and its program"),
    "argv": used("the engine's arguments, without what the target says in its own way"),
    "env": used("the container's environment, without variables about this machine"),
    "model_path": used("replaced by a hub id, a volume, or a mounted folder on the same machine"),
    "served_name": used("names the model in the API"),
    "health_path": used("asked by the probes"),
    "max_in_flight": refused("no queue stands before the engine there, so nothing holds requests back"),
    "engine_version": irrelevant("the image is of the release that the memory plan was made for"),
    "reasons": used("told in the README"),
    "rejected": irrelevant("engines that were not chosen"),
    "memory": used("GPUs, host memory, disk, context, and the release of the image"),
}
"""Targets that run the engine's own image."""


def check(plan: LaunchPlan, fields: Fields, target: str) -> None:
    """Refuse what the target cannot express.

    Raises:
        InputError: the first such field, with the reason.
    """
    for name, use in fields.items():
        if use.how == "refused" and getattr(plan, name) != LaunchPlan.model_fields[name].default:
            raise InputError(
                f"{target} cannot hold this plan's {name.replace('_', ' ')} ({getattr(plan, name)}): {use.why}",
                "systemd runs any plan, under selfhost's own supervisor and proxy.",
            )
