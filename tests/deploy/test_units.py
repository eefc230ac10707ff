"""systemd and Quadlet: judged by systemd's own reader, and by the settings that their manuals list."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy import tools
from tests.deploy.plans import CASES, HELD, made, options, vllm
from toolkit.deploy.deploy import Deployed, deploy
from toolkit.errors import InputError

MANUAL = """AddCapability AddDevice AddHost Annotation AutoUpdate CgroupsMode ContainerName ContainersConfModule DNS
    DNSOption DNSSearch DropCapability Entrypoint Environment EnvironmentFile EnvironmentHost Exec ExposeHostPort
    GIDMap GlobalArgs Group GroupAdd HealthCmd HealthInterval HealthLogDestination HealthMaxLogCount HealthMaxLogSize
    HealthOnFailure HealthRetries HealthStartPeriod HealthStartupCmd HealthStartupInterval HealthStartupRetries
    HealthStartupSuccess HealthStartupTimeout HealthTimeout HostName Image IP IP6 Label LogDriver LogOpt Mask Memory
    Mount Network NetworkAlias NoNewPrivileges Notify PidsLimit Pod PodmanArgs PublishPort Pull ReadOnly ReadOnlyTmpfs
    ReloadCmd ReloadSignal Retry RetryDelay Rootfs RunInit SeccompProfile Secret SecurityLabelDisable
    SecurityLabelFileType SecurityLabelLevel SecurityLabelNested SecurityLabelType ShmSize StartWithPod StopSignal
    StopTimeout SubGIDMap SubUIDMap Sysctl Timezone Tmpfs UIDMap Ulimit Unmask User UserNS Volume WorkingDir"""
CONTAINER_KEYS = set(MANUAL.split())
"""Keys of ``[Container]``: podman-systemd.unit(5) of Podman 5, read 2026-11-24."""
REPEATED = {"Environment", "Volume", "AddDevice"}


def systemd(case: str) -> Deployed:
    plan, chosen, _ = CASES[case]
    at_home = plan.model_copy(update={"argv": (f"/usr/bin/{Path(plan.argv[0]).name}", *plan.argv[1:])})
    return deploy(at_home, "systemd", options(**{k: v for k, v in chosen.items() if k == "key"}))


def verify(*files: Path) -> tuple[int, str]:
    """What `systemd-analyze verify` says; it starts nothing and needs no manager."""
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--system", *map(str, files)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": "/usr/bin:/bin", "SYSTEMD_LOG_LEVEL": "warning"},
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("case", ["vllm-1gpu", "vllm-spot-nokey", "llama-cpu-host"])
def test_systemd_reads_the_unit_without_a_word(case: str, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed here (Debian: apt-get install systemd)")
    files = systemd(case).files
    (name,) = [n for n in files if n.endswith(".service")]
    text = files[name].replace("/usr/bin/selfhost", "/usr/bin/true").replace("/srv/selfhost/qwen", str(tmp_path))
    (tmp_path / name).write_text(text)
    assert verify(tmp_path / name) == (0, "")
    (tmp_path / name).write_text(text.replace("Restart=always", "Restart=allways"))
    assert "allways" in verify(tmp_path / name)[1]


def test_the_unit_serves_the_plan_that_lies_beside_it() -> None:
    files = systemd("llama-cpu-host").files
    unit = files["selfhost-smollm2-135m.service"]
    (line,) = [x for x in unit.splitlines() if x.startswith("ExecStart=")]
    words = shlex.split(line.removeprefix("ExecStart="))
    assert words[:3] == ["/usr/bin/selfhost", "serve", "/srv/selfhost/qwen/plan.json"]
    assert words[-2:] == ["--api-key-file", "${CREDENTIALS_DIRECTORY}/api-key"]
    for setting in ("Type=notify", "Restart=always", "LoadCredential=api-key:/etc/selfhost/smollm2-135m.key"):
        assert setting in unit.splitlines()
    assert '"kind": "launch_plan"' in files["plan.json"]


def test_a_plan_for_another_machine_names_nothing_of_this_one(tmp_path: Path) -> None:
    deployed = deploy(vllm(), "systemd", options())
    unit = deployed.files["selfhost-qwen-qwen3-8b.service"]
    text = "\n".join(deployed.files.values())
    assert "/srv/selfhost/qwen/" not in text  # the folder of this machine
    assert "/usr/bin/selfhost" not in text
    (line,) = [x for x in unit.splitlines() if x.startswith("ExecStart=")]
    assert line.startswith("ExecStart=/usr/bin/env selfhost serve /srv/selfhost/qwen-qwen3-8b/plan.json --name ")
    assert "sudo install -D -m 644 plan.json /srv/selfhost/qwen-qwen3-8b/plan.json && " in deployed.about.commands.up
    assert "vllm must be on the unit's PATH" in deployed.files["README.md"]
    if shutil.which("systemd-analyze"):
        (tmp_path / "selfhost-qwen-qwen3-8b.service").write_text(unit)
        assert verify(tmp_path / "selfhost-qwen-qwen3-8b.service") == (0, "")
        token = re.sub(r"^#(LoadCredential|Environment)=", r"\1=", unit, flags=re.MULTILINE)
        assert token.count("hub-token") == 3
        (tmp_path / "selfhost-qwen-qwen3-8b.service").write_text(token)
        assert verify(tmp_path / "selfhost-qwen-qwen3-8b.service") == (0, "")


def test_a_model_of_this_machine_is_not_served_on_another() -> None:
    with pytest.raises(InputError, match="its model lies on this one only"):
        deploy(CASES["llama-cpu-host"][0], "systemd", options())


@pytest.mark.parametrize("case", [c for c, t in HELD if t == "quadlet"])
def test_quadlet_files_have_only_what_podman_knows(case: str, tmp_path: Path) -> None:
    """By the list of its manual; Podman's own generator reads them below, where it is there."""
    files = made(case, "quadlet").files
    (name,) = [n for n in files if n.endswith(".container")]
    reader = configparser.RawConfigParser(strict=False, delimiters=("=",), comment_prefixes=("#",))
    reader.optionxform = str  # type: ignore[assignment,method-assign]
    reader.read_string(files[name])
    assert set(reader["Container"]) <= CONTAINER_KEYS
    keys = [x.partition("=")[0] for x in files[name].splitlines() if "=" in x and not x.startswith("#")]
    assert {k for k in keys if keys.count(k) > 1} <= REPEATED | {"Secret", "PodmanArgs"}
    assert reader["Container"]["PublishPort"].startswith("127.0.0.1:")
    assert int(reader["Service"]["TimeoutStopSec"]) > int(reader["Container"]["StopTimeout"])
    if "Volume" in reader["Container"] and ".volume:" in reader["Container"]["Volume"]:
        assert reader["Container"]["Volume"].partition(":")[0] in files
    # The rest of the file is a systemd unit: its own reader takes the other sections.
    if shutil.which("systemd-analyze"):
        sections = files[name].partition("[Container]")[0] + "[Service]\nExecStart=/bin/true\n"
        unit = tmp_path / f"{Path(name).stem}.service"
        unit.write_text(sections + files[name].partition("[Service]\n")[2])
        assert verify(unit) == (0, "")


def quadlet(folder: Path) -> dict[str, str]:
    """The services that Podman's own generator makes of the files in a folder, by name."""
    generator = tools.find("quadlet")
    if generator is None:
        pytest.skip(f"Podman's generator {tools.MISSING}")
    done = subprocess.run(
        [generator, "-dryrun", "-user"],
        env={"PATH": "/usr/bin:/bin", "QUADLET_UNIT_DIRS": str(folder), "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "unsupported" not in done.stderr
    parts = re.split(r"^---(\S+)---$", done.stdout, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def started(unit: str) -> list[str]:
    """The words of its one ``ExecStart``, as systemd reads them."""
    (line,) = re.findall(r"^ExecStart=(.*)$", unit, flags=re.MULTILINE)
    return [word.replace("$$", "$").replace("%%", "%") for word in shlex.split(line)]


@pytest.mark.parametrize("case", [c for c, t in HELD if t == "quadlet"])
def test_podmans_own_generator_reads_the_files(case: str, tmp_path: Path) -> None:
    deployed = made(case, "quadlet")
    for path, text in deployed.files.items():
        if "/" not in path:
            (tmp_path / path).write_text(text)
    services = quadlet(tmp_path)
    name = deployed.about.name
    unit = services[f"{name}.service"]
    words = started(unit)
    image = next(i for i, word in enumerate(words) if word.endswith(str(deployed.about.image)))
    options, argv = words[:image], words[image + 1 :]
    assert options[:2] == ["/usr/bin/podman", "run"]
    plan = CASES[case][0]
    assert argv[:1] == (
        ["serve"] if plan.backend == "vllm" else ["--model-url"] if case != "llama-cpu-host" else ["--model"]
    )
    assert argv[argv.index("--port") + 1] == "8000"
    assert options[options.index("--publish") + 1] == "127.0.0.1:8000:8000"
    assert [w for w in options if w.startswith("nvidia.com/gpu=")] == [
        f"nvidia.com/gpu={n}" for n in range(deployed.about.gpus_per_replica)
    ]
    assert ("--secret" in options) == (deployed.about.key_env is not None)
    assert options[options.index("--stop-timeout") + 1] == "140"
    assert "Type=notify" in unit.splitlines()
    cached = f"{name}-cache-volume.service"
    assert (cached in services) == (f"{name}-cache.volume" in deployed.files)
    if shutil.which("systemd-analyze"):
        for service, text in services.items():
            (tmp_path / service).write_text(text.replace("/usr/bin/podman", "/usr/bin/true"))
        assert verify(*(tmp_path / service for service in services)) == (0, "")


def test_podman_starts_any_word_as_it_is(tmp_path: Path) -> None:
    odd = ("100% of $HOME", '{"a": "b c"}', "it's", "back\\slash")
    plan = vllm().model_copy(update={"argv": (*vllm().argv, "--x", *odd), "served_name": "a b"})
    (tmp_path / "m.container").write_text(deploy(plan, "quadlet", options(name="m")).files["m.container"])
    (tmp_path / "m-cache.volume").write_text("[Volume]\n")
    words = started(quadlet(tmp_path)["m.service"])
    assert words[words.index("--x") + 1 :][: len(odd)] == list(odd)
    assert words[words.index("--served-model-name") + 1] == "a b"
