"""systemd and Quadlet: judged by systemd's own reader, and by the settings that their manuals list."""

from __future__ import annotations

import configparser
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

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


def test_a_plan_for_elsewhere_is_not_started_here() -> None:
    with pytest.raises(InputError, match="made for another machine"):
        deploy(vllm(), "systemd", options())


@pytest.mark.parametrize("case", [c for c, t in HELD if t == "quadlet"])
def test_quadlet_files_have_only_what_podman_knows(case: str, tmp_path: Path) -> None:
    """Podman's generator is not packaged here in a release that has it (5.0), so its manual's list stands in."""
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
    generator = shutil.which("quadlet", path="/usr/libexec/podman:/usr/lib/systemd/system-generators")
    if generator:  # where Podman 5 is installed, its own word
        for path, text in files.items():
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).write_text(text)
        done = subprocess.run(
            [generator, "--dryrun", "--user"], env={"QUADLET_UNIT_DIRS": str(tmp_path)}, timeout=60, check=False
        )
        assert done.returncode == 0
    # The rest of the file is a systemd unit: its own reader takes the other sections.
    if shutil.which("systemd-analyze"):
        sections = files[name].partition("[Container]")[0] + "[Service]\nExecStart=/bin/true\n"
        unit = tmp_path / f"{Path(name).stem}.service"
        unit.write_text(sections + files[name].partition("[Service]\n")[2])
        assert verify(unit) == (0, "")
