"""What no target may take: names, secrets, machines too small, words that mean something else in a file."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.deploy.plans import CASES, COMMIT, GGUF, H100, HELD, RAM, docs, made, options, qwen, smol, vllm
from tests.deploy.plans import launch as launched
from toolkit import profiles
from toolkit.deploy import hardware, names
from toolkit.deploy.deploy import CONTAINERS, FIELDS, Deployed, deploy
from toolkit.deploy.source import Hub, Volume
from toolkit.errors import InputError, UnknownNameError
from toolkit.size import Ask, Device, plan
from toolkit.types import GIB, LaunchPlan


def kubernetes(document: LaunchPlan, **chosen: Any) -> Deployed:
    return deploy(document, "kubernetes", options(**chosen))


@pytest.mark.parametrize("name", ["Qwen", "a_b", "-a", "a-", "1a", "a b", "../up", "a.b", "ü", "a" * 200])
@pytest.mark.parametrize("target", FIELDS)
def test_names_that_are_no_label(name: str, target: str) -> None:
    with pytest.raises(InputError, match=r"does not accept the name") as caught:
        deploy(vllm(), target, options(name=name))
    proposed = re.search(r"for example: (\S+)", str(caught.value.hint))
    assert proposed
    assert names.LABEL.fullmatch(proposed[1])


@pytest.mark.parametrize(
    ("served", "name"),
    [
        ("Qwen/Qwen3-8B", "qwen-qwen3-8b"),
        ("llama_3.1", "llama-3-1"),
        ("3b", "m-3b"),
        ("x" * 99, "x" * 41),
        ("--a--", "a"),
    ],
)
def test_names_made_from_served_ones(served: str, name: str) -> None:
    assert names.from_served(served, 41) == name


@pytest.mark.parametrize("target", CONTAINERS)
def test_the_longest_name_leaves_room_for_those_made_from_it(target: str) -> None:
    """A name of a Kubernetes object that is a host's name, or of a label, has at most 63 characters."""
    longest = "a" * CONTAINERS[target].longest_name
    document = vllm(version="0.26") if target == "rayserve" else vllm()
    text = "\n".join(deploy(document, target, options(name=longest, key=target != "rayserve")).files.values())
    assert all(len(n) <= 63 for n in re.findall(r"^\s+name: (\S+)$", text, re.MULTILINE) if n.startswith("a"))


def test_targets_and_gpus_have_did_you_mean() -> None:
    with pytest.raises(UnknownNameError) as caught:
        deploy(vllm(), "kubernets", options())
    assert caught.value.nearest[0] == "kubernetes"
    unknown = launched(
        plan(Ask(qwen(), (Device("H100-X", H100.usable_bytes, "gpu", "given"),), "vllm", engine_version="0.32"))
    )
    with pytest.raises(UnknownNameError, match="H100-X"):
        kubernetes(unknown)
    text = kubernetes(unknown, gpu_type="NVIDIA-H100-X").files["deployment.yaml"]
    assert "- NVIDIA-H100-X\n" in text


@pytest.mark.parametrize(
    ("gpu", "target", "says"),
    [
        ("RTX-4090", "rayserve", "Ray has no GPU type for RTX-4090"),
        ("H800", "skypilot", "SkyPilot has no GPU type for H800"),
        ("H20", "skypilot", "SkyPilot has no GPU type for H20"),
    ],
)
def test_a_gpu_that_the_target_has_no_word_for(gpu: str, target: str, says: str) -> None:
    device = Device(gpu, int(79 * GIB), "gpu", "given")
    document = launched(plan(Ask(qwen(), (device,), "vllm", context=2048, engine_version="0.26")))
    with pytest.raises(InputError, match=says):
        deploy(document, target, options(key=target != "rayserve"))


@pytest.mark.parametrize("name", ["a b", "", "a: b", "-x", "x" * 64, "x\ny", "a/b"])
@pytest.mark.parametrize("target", ["kubernetes", "skypilot", "rayserve", "compose"])
def test_gpu_types_that_no_target_could_have(name: str, target: str) -> None:
    with pytest.raises(InputError, match="is no name of a GPU type"):
        deploy(vllm(version="0.26"), target, options(gpu_type=name, key=target != "rayserve"))


@pytest.mark.parametrize("claim", ["a b", "Weights", "-a", "a_b", "a/b", "../a", "a" * 254])
def test_volumes_that_are_no_claim(claim: str) -> None:
    with pytest.raises(InputError, match="is no name of a claim"):
        deploy(vllm(), "kubernetes", options(), volume=Volume(claim, "m"))


def test_volumes_of_docker_have_names_of_their_own() -> None:
    text = deploy(vllm(), "compose", options(), volume=Volume("My_weights", "m")).files["compose.yaml"]
    assert "name: My_weights\n" in text
    for claim in ("a b", "/srv", "../a"):
        with pytest.raises(InputError, match="is no name of a volume"):
            deploy(vllm(), "compose", options(), volume=Volume(claim, "m"))


def test_more_gpus_than_a_machine_has() -> None:
    sixteen = vllm().memory
    assert sixteen
    many = vllm().model_copy(update={"memory": sixteen.model_copy(update={"devices": sixteen.devices * 16, "tp": 16})})
    with pytest.raises(InputError, match="16 × H100-SXM-80GB in one machine, and machines hold at most 8"):
        kubernetes(many)


def test_unlike_gpus_and_gpus_of_others() -> None:
    memory = vllm().memory
    assert memory
    other = memory.devices[0].model_copy(update={"name": "L4"})
    with pytest.raises(InputError, match="unlike GPUs"):
        kubernetes(
            vllm().model_copy(update={"memory": memory.model_copy(update={"devices": (*memory.devices, other)})})
        )
    amd = memory.devices[0].model_copy(update={"name": "MI300X"})
    with pytest.raises(InputError, match="NVIDIA"):
        kubernetes(vllm().model_copy(update={"memory": memory.model_copy(update={"devices": (amd,)})}))


def test_a_plan_that_does_not_fit_is_not_deployed() -> None:
    memory = vllm().memory
    assert memory
    close = vllm().model_copy(update={"memory": memory.model_copy(update={"fits": False, "certainty": "close"})})
    assert "so close that only a start will tell" in kubernetes(close).files["README.md"]
    with pytest.raises(InputError, match="does not fit"):
        kubernetes(vllm().model_copy(update={"memory": memory.model_copy(update={"certainty": "no"})}))


def test_a_processor_by_name_is_no_gpu() -> None:
    epyc = Device("CPU-EPYC-9554-12ch-DDR5-4800", 64 * GIB, "cpu", "given")
    document = launched(plan(Ask(smol(), (epyc,), "llama.cpp", context=2048, concurrency=2)))
    deployed = deploy(document, "kubernetes", options(), hub=Hub(GGUF, None, "m.gguf"))
    text = "".join(deployed.files.values())
    assert "nvidia.com/gpu" not in text
    assert ":server-b" in text
    assert (deployed.about.gpu, deployed.about.gpus_per_replica) == (None, 0)


def test_every_nvidia_gpu_of_the_profiles_has_a_node_label() -> None:
    foreign = ("MI", "Gaudi", "Arc", "Apple", "Radeon", "RX-", "Ryzen", "Intel-", "CPU")
    unnamed = [name for name in profiles.gpus() if not name.startswith(foreign) and name not in hardware.GPUS]
    assert unnamed == []


def test_a_vllm_on_a_cpu_has_no_image() -> None:
    memory = vllm().memory
    assert memory
    cpu = memory.devices[0].model_copy(update={"name": "CPU"})
    with pytest.raises(InputError, match="NVIDIA GPU"):
        kubernetes(vllm().model_copy(update={"memory": memory.model_copy(update={"devices": (cpu,)})}))


@pytest.mark.parametrize("version", ["0.9.2", "0.19.7", "0.34", "1.0"])
def test_a_release_without_an_image_is_not_replaced(version: str) -> None:
    with pytest.raises(InputError, match=rf"vLLM {re.escape(version)}.*no image") as caught:
        kubernetes(vllm(version=version))
    assert "from 0.10 to 0.33" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("version", "tag"), [("0.19", "v0.19.1"), ("0.19.0", "v0.19.0"), ("0.27.1", "v0.27.1"), ("0.33", "v0.33.0")]
)
def test_the_image_is_of_the_plans_release(version: str, tag: str) -> None:
    """0.19.1 is the newest 0.19 on PyPI, 0.33.0 the only 0.33 (2026-11-30)."""
    assert f"image: vllm/vllm-openai:{tag}\n" in kubernetes(vllm(version=version)).files["deployment.yaml"]


@pytest.mark.parametrize(
    ("version", "image"),
    [
        ("0.22", "ray-llm:2.56.0-py312-cu130"),
        ("0.25.1", "ray-llm:2.57.0-py312-cu130"),
        ("0.26", "ray-llm:2.58.0-py312-cu130"),
    ],
)
def test_rays_image_is_the_one_that_holds_the_plans_vllm(version: str, image: str) -> None:
    """Ray's wheels pin them under ``extra == "llm"``: 2.56 vllm 0.22.0, 2.57 0.25.1, 2.58 0.26.0."""
    text = deploy(vllm(version=version), "rayserve", options(key=False)).files["rayservice.yaml"]
    assert set(re.findall(r"image: rayproject/(\S+)", text)) == {image}
    assert f"rayVersion: {image[8:14]}" in text.replace('"', "")
    with pytest.raises(InputError, match="no known image of Ray") as caught:
        deploy(vllm(version="0.32"), "rayserve", options(key=False))
    assert "0.22, 0.25, 0.26" in str(caught.value.hint)


@pytest.mark.parametrize("target", ["rayserve", "production-stack"])
@pytest.mark.parametrize("words", [("--max-model-len", "8k"), ("--max-num-seqs",), ("--max-num-seqs", "1", "2")])
def test_a_value_that_is_none_is_told_and_not_a_crash(target: str, words: tuple[str, ...]) -> None:
    document = vllm(version="0.26")
    argv = [w for i, w in enumerate(document.argv) if words[0] not in (w, document.argv[i - 1])]
    changed = document.model_copy(update={"argv": (*argv, *words)})
    with pytest.raises(InputError, match=re.escape(words[0])):
        deploy(changed, target, options(key=target != "rayserve"))


@pytest.mark.parametrize("target", FIELDS)
@pytest.mark.parametrize(
    "changed",
    [
        {"env": {"HF_TOKEN": "hf_secretsecret"}},
        {"env": {"MY_API_KEY": "secretsecret"}},
        {"argv": ("/usr/bin/vllm", "serve", "{model}", "--api-key", "secretsecret")},
        {"argv": ("/usr/bin/vllm", "serve", "{model}", "--api-key=secretsecret")},
        {"env": {"PGPASSWORD": "secretsecret"}},
        {"argv": ("/usr/bin/vllm", "serve", "{model}", "--x", "hf_secretsecret0123456789")},
        {"argv": ("/usr/bin/vllm", "serve", "{model}", "--x", '{"k": "sk-secretsecret0123456789"}')},
        {"env": {"PROXY": "http://me:secretsecret@proxy:3128"}},
    ],
)
def test_a_secret_in_a_plan_is_refused_and_not_repeated(target: str, changed: dict[str, Any]) -> None:
    document = vllm(version="0.26").model_copy(update=changed)
    with pytest.raises(InputError) as caught:
        deploy(document, target, options(key=target != "rayserve"))
    assert "secretsecret" not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize("target", FIELDS)
def test_a_line_break_in_a_word_starts_no_line_of_a_file(target: str) -> None:
    for changed in (
        {"served_name": "a\nExecStartPre=/bin/sh"},
        {"argv": ("/usr/bin/vllm", "serve", "{model}", "--x", "a\nb: c")},
        {"env": {"A": "1\nB=2"}},
    ):
        with pytest.raises(InputError):
            deploy(vllm(version="0.26").model_copy(update=changed), target, options(name="m", key=target != "rayserve"))


@pytest.mark.parametrize(
    "word", ["/home/me/template.jinja", "~/t", "./t", "{uds}", "sql=/srv/lora", '{"model": "/srv/draft"}']
)
def test_what_means_something_only_here(word: str) -> None:
    document = vllm().model_copy(update={"argv": (*vllm().argv, "--chat-template", word)})
    with pytest.raises(InputError, match="machine"):
        kubernetes(document)


def test_kubernetes_expands_no_word_of_a_plan() -> None:
    """In ``args`` Kubernetes replaces $(NAME); $$(NAME) is the text itself."""
    document = vllm().model_copy(update={"argv": (*vllm().argv, "--x", "$(HOME)")})
    assert "$$(HOME)" in kubernetes(document).files["deployment.yaml"]
    with pytest.raises(InputError, match="kserve fills in"):
        deploy(document, "kserve", options())


def test_where_a_model_may_not_come_from() -> None:
    document = launched(plan(Ask(smol(), (RAM,), "llama.cpp", context=2048, concurrency=2)))
    for hub, volume, says in (
        (Hub("a/b"), None, "several GGUF files"),
        (None, Volume("w", "../up.gguf"), "no path inside a volume"),
        (None, Volume("w", "folder"), "reads one GGUF file"),
        (Hub("a/b", None, "m.gguf"), Volume("w", "m.gguf"), "not from both"),
    ):
        with pytest.raises(InputError, match=says):
            deploy(document, "kubernetes", options(), hub=hub, volume=volume)
    with pytest.raises(InputError, match="whole repository"):
        deploy(vllm(), "kubernetes", options(), hub=Hub("a/b", None, "m.gguf"))


@pytest.mark.parametrize("replicas", [0, -1, 1001])
def test_replicas_that_make_no_sense(replicas: int) -> None:
    with pytest.raises(InputError, match="replicas"):
        kubernetes(vllm(), replicas=replicas)


def test_sizes_are_those_of_the_hand() -> None:
    """Qwen3-8B in bf16: 8.19e9 parameters x 2 B = 15.26 GiB, so 8 + 15.26 -> 24 GiB of host memory, and
    15.26 x 1.2 = 18.3 -> 20 GiB of cache; 16.38e9 B at 100 and at 300 MB/s plus 240 s is 459 s to load.
    """
    files = made("vllm-1gpu", "kubernetes").files
    assert "memory: 24Gi" in files["deployment.yaml"]
    assert "storage: 20Gi" in files["cache.yaml"]
    assert "Expected load 459 s" in files["deployment.yaml"]


def test_a_draft_model_is_downloaded_and_kept_too() -> None:
    """A draft of the same shape: 15.26 GiB twice, so 30.5 x 1.2 = 36.6 -> 40 GiB of cache."""
    assert "storage: 40Gi" in made("vllm-draft", "kubernetes").files["cache.yaml"]


def test_replicas_of_llama_cpp_share_no_half_written_file() -> None:
    """It downloads into one file, without a lock: each pod has a volume of its own, and none is left to be shared."""
    files = made("llama-cpu-sidecar", "kubernetes").files
    (deployment,) = docs(files["deployment.yaml"])
    (cache,) = [v for v in deployment["spec"]["template"]["spec"]["volumes"] if v["name"] == "cache"]
    assert cache["ephemeral"]["volumeClaimTemplate"]["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert "cache.yaml" not in files
    assert "cache.yaml" not in files["kustomization.yaml"]
    assert "cache.yaml" in made("vllm-tp2-replicas", "kubernetes").files  # whose hub library locks


@pytest.mark.parametrize("target", ["compose", "kubernetes", "quadlet", "skypilot"])
def test_threads_of_this_machine_are_told(target: str) -> None:
    plan, _, where = CASES["llama-cpu"]
    reasons = (*plan.reasons, "3 of 4 cores: llama.cpp's workers spin, so one core is left to the client")
    told = deploy(plan.model_copy(update={"reasons": reasons}), target, options(), **where).files["README.md"]
    assert "3 of 4 cores" not in told
    assert "`-t 3`, which fits the machine that planned it" in made("llama-cpu", target).files["README.md"]
    assert "`-t" not in made("llama-gpu-key", target).files["README.md"]


@pytest.mark.parametrize("target", [t for c, t in HELD if c == "vllm-tp4-long"])
def test_vllm_is_told_how_long_its_start_may_take(target: str) -> None:
    """Its own limit is 600 s (`vllm/envs.py` of 0.32), less than a download and a load may take: here 960 s."""
    text = "\n".join(made("vllm-tp4-long", target).files.values())
    assert re.search(r"VLLM_ENGINE_READY_TIMEOUT_S\W+(value: )?\W*960\b", text)


def test_a_gguf_file_of_the_hub_is_taken_at_its_commit() -> None:
    text = made("llama-gpu-hub", "kubernetes").files["deployment.yaml"]
    url = f"https://huggingface.co/{GGUF}/resolve/{COMMIT}/SmolLM2-135M-Instruct-Q4_1.gguf"
    assert f"- --model-url\n            - {url}\n" in text
    assert "- --model\n            - /cache/SmolLM2-135M-Instruct-Q4_1.gguf\n" in text


@pytest.mark.parametrize(
    ("path", "folder", "inside"),
    [
        ("/m/hub/models--a--b/snapshots/c0ffee", "/m/hub/models--a--b", "/models/snapshots/c0ffee"),
        ("/srv/models/snapshots/c0ffee", "/srv/models/snapshots", "/models/c0ffee"),
    ],
)
def test_the_hubs_cache_is_mounted_with_what_its_links_point_to(path: str, folder: str, inside: str) -> None:
    """Files of ``snapshots`` are links to ``../../blobs``, so the model's whole folder must be there."""
    text = deploy(vllm().model_copy(update={"model_path": path}), "compose", options()).files["compose.yaml"]
    assert f"source: {folder}\n" in text
    assert f"- {inside}\n" in text
