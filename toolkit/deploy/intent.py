"""What is to run, free of any target's words: the one record that every target renders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from toolkit.deploy.sizing import Resources, where
from toolkit.deploy.source import Source
from toolkit.types import LaunchPlan

PORT = 8000
"""Where the engine listens inside its container or pod, and where clients on the same machine find it."""
ENGINE_PORT = 8001
"""Where the engine listens when our own proxy stands before it on `PORT`."""
KEY_ENV = "SELFHOST_API_KEY"
"""The variable clients put their key into; the files only ever name it."""
ENGINE_KEY_ENV = {"vllm": "VLLM_API_KEY", "llama.cpp": "LLAMA_API_KEY"}
"""How each engine takes its key from the environment."""
HOST_ENV = ("HF_HUB_OFFLINE", "LD_LIBRARY_PATH", "SPT_NOENV")
"""Variables of a plan that are about this machine: its offline cache, its libraries, its supervisor's markers."""


@dataclass(frozen=True)
class Options:
    """What the user chooses on top of the plan."""

    name: str
    replicas: int = 1
    spot: bool = False
    key: bool = True
    """Ask clients for an API key. The key itself is made by the user and only referred to."""
    gpu_type: str | None = None
    """What the target calls the GPU, where the built-in table does not know it."""
    folder: str = "/"
    """Absolute path of the folder that is written, for targets whose files name one another."""
    program: tuple[str, ...] = ()
    """The words that start `selfhost` on this machine, for targets that run it."""
    user: str | None = None
    """Account of a service on this machine."""
    environment: tuple[tuple[str, str], ...] = ()
    """Variables of this machine that a service needs to find what a shell finds."""
    writable: tuple[str, ...] = ()
    """Folders of this machine that a service's engine may write: where downloaded models lie."""
    locustfile: str = ""
    """Text of the file that a load test's workers run."""
    sidecar: str | None = None
    """An image that holds selfhost, to stand before the engine; nobody publishes one."""
    dashboard: str | None = None
    """Text of a Grafana dashboard of our own proxy's metrics, for targets that run it."""
    alerts: str | None = None
    """Text of Prometheus' alert rules on our own supervisor's metrics, for targets that run it."""


@dataclass(frozen=True)
class Intent:
    """A launch plan as something to run elsewhere. Times are seconds."""

    options: Options
    engine: Literal["vllm", "llama.cpp"]
    image: str
    entry: tuple[str, ...]
    """The program inside the image."""
    flags: tuple[tuple[str, ...], ...]
    """The engine's settings, one option with its values each; without model, address, name, revision and drain."""
    source: Source
    env: dict[str, str]
    resources: Resources
    health_path: str
    drain_s: int
    plan: LaunchPlan

    @property
    def name(self) -> str:
        """The deployment's name."""
        return self.options.name

    @property
    def where(self) -> str:
        """How many copies, on what, in words."""
        return where(self.options.replicas, self.resources.gpus, self.resources.gpu)

    @property
    def key_env(self) -> str:
        """The engine's own variable for its key."""
        return ENGINE_KEY_ENV[self.engine]

    @property
    def engine_port(self) -> int:
        """Where the engine listens."""
        return ENGINE_PORT if self.options.sidecar else PORT

    @property
    def threads(self) -> str | None:
        """How many threads llama.cpp computes with on a CPU, where the plan says so."""
        return self.flag("-t") or self.flag("--threads")

    def argv(self, drain_s: int | None = None, *, model: bool = True) -> list[str]:
        """The engine's arguments as a container gets them; ``model`` False leaves out what a target says elsewhere.

        ``drain_s`` shortens the drain for a target that kills earlier.
        """
        words = [w for flag in self.flags for w in flag]
        if self.engine == "vllm":
            if self.drain_s:
                words += ["--shutdown-timeout", str(min(self.drain_s, drain_s or self.drain_s))]
            if not model:
                return words
            revision = ["--revision", self.source.revision] if self.source.revision and self.source.hub else []
            address = ["--host", "0.0.0.0", "--port", str(self.engine_port)]  # noqa: S104 - inside the container's own network
            return [self.source.words[0], *revision, *address, "--served-model-name", self.plan.served_name, *words]
        address = ["--host", "0.0.0.0", "--port", str(self.engine_port)]  # noqa: S104 - as above
        return [*self.source.words, *address, "--alias", self.plan.served_name, *words]

    def flag(self, name: str) -> str | None:
        """The first value of one option; None when the plan does not give it."""
        return next((f[1] for f in self.flags if f[0] == name and len(f) > 1), None)
