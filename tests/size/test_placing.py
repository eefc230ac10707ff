"""What a user says about places, from the command line to the memory plan, the engine's planner and its command."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.run import document, error_of
from tests.models.make_gguf import header
from tests.size.synth import Shape, write
from toolkit.models import gguf_spec
from toolkit.size.ask import Ask, Device, Placing
from toolkit.size.llamacpp_placement import place
from toolkit.types import MIB

SHAPE = Shape("qwen3moe", 4, 2048, 32, 4, 128, 6144, 151936, 40960, 128, 8, 768)
EXPERTS = 3 * 128 * 2048 * 768 * 34 // 32
"""Bytes of one layer's experts in Q8_0: gate, up and down of 128 experts, 34 bytes for 32 weights; 612 MiB."""


@pytest.fixture(scope="module")
def moe(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write(tmp_path_factory.mktemp("moe") / "moe.gguf", SHAPE))


def adapter(path: Path, architecture: str = "llama") -> str:
    """Rank 16 in F32 on queries and the MLP of SmolLM2-135M: 576 hidden, 576 query elements, 1,536 inner, 30 layers."""
    table, offset = [], 0
    for layer in range(30):
        sides = {"attn_q": (576, 576), "ffn_gate": (576, 1536), "ffn_up": (576, 1536), "ffn_down": (1536, 576)}
        for name, (into, out) in sides.items():
            for side, shape in (("a", (into, 16)), ("b", (16, out))):
                table.append((f"blk.{layer}.{name}.weight.lora_{side}", shape, 0, offset))
                offset += shape[0] * shape[1] * 4
    about = {"general.architecture": architecture, "general.type": "adapter", "adapter.type": "lora"}
    path.write_bytes(header({**about, "adapter.lora.alpha": 16.0}, table) + bytes(offset))
    return str(path)


def lines_of(plan: dict, device: int) -> dict[str, int]:  # type: ignore[type-arg]  # a JSON document
    return {line["what"]: line["bytes"] for line in plan["devices"][device]["lines"]}


def test_experts_of_two_layers_move_to_the_host(moe: str) -> None:
    asked = ("size", moe, "--gpu", "RTX-4090", "--context", "4096", "--ram-gib", "64")
    (whole,) = document(*asked)["devices"]
    moved = document(*asked, "--n-cpu-moe", "2")
    assert [d["name"] for d in moved["devices"]] == ["RTX-4090", "CPU"]
    assert moved["devices"][1]["usable_bytes"] == 64 * 2**30
    assert moved["inputs"]["n_cpu_moe"] == {"value": 2, "from": "user"}
    before = sum(line["bytes"] for line in whole["lines"] if line["what"] == "weights")
    assert before - lines_of(moved, 0)["weights"] == 2 * EXPERTS
    embedding = 2048 * 151936 * 34 // 32
    assert lines_of(moved, 1)["weights"] == 2 * EXPERTS + embedding


def test_a_rule_says_the_same_in_the_engines_words(moe: str) -> None:
    rule = r"blk\.[01]\.ffn_(up|down|gate)_exps=CPU"
    asked = ("size", moe, "--gpu", "L4", "--context", "4096", "--ram-gib", "64")
    by_rule = document(*asked, "--override-tensor", rule)
    by_number = document(*asked, "--n-cpu-moe", "2")
    assert by_rule["inputs"]["override_tensor"]["value"] == [rule]
    for i in (0, 1):
        assert lines_of(by_rule, i) == lines_of(by_number, i)


def test_unequal_gpus_by_comma_and_by_share(moe: str) -> None:
    """Five things to place, four layers and the output: 1 : 3 puts n / 5 < 1/4 on the first, so layers 0 and 1."""
    plan = document("size", moe, "--gpu", "RTX-3090,RTX-4090", "--context", "4096", "--tensor-split", "1,3")
    assert [d["name"] for d in plan["devices"]] == ["RTX-3090", "RTX-4090"]
    cache = 2 * 4 * 128 * 2 * 4096  # one layer: K and V, 4 heads of 128, 2 bytes
    assert [lines_of(plan, i)["kv_cache"] for i in (0, 1)] == [2 * cache, 2 * cache]
    same = document("size", moe, "--gpu", "RTX-3090", "--gpu", "RTX-4090", "--context", "4096", "--tensor-split", "1,3")
    assert same["devices"] == plan["devices"]


def test_with_nothing_split_the_other_gpu_is_not_opened(moe: str) -> None:
    plan = document("size", moe, "--gpu", "L4:2", "--context", "4096", "--split-mode", "none", "--main-gpu", "1")
    assert plan["devices"][0]["total_bytes"] == 0
    assert lines_of(plan, 1)["kv_cache"] == 4 * 2 * 4 * 128 * 2 * 4096


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--tensor-split", "1,2"], "no GPU to split"),
        (["--gpu", "L4:2", "--main-gpu", "1"], "only when nothing is split"),
        (["--gpu", "L4:2", "--tensor-split", "1,1", "--split-mode", "none"], "shares of a split"),
        (["--gpu", "L4", "--tensor-split", "a"], "no split"),
        (["--gpu", "L4", "--tp", "2"], "a setting of vLLM"),
        (["--gpu", "L4", "--max-num-seqs", "4"], "a setting of vLLM"),
        (["--gpu", "L4", "--override-tensor", "exps=CUDA1"], "no device of this plan"),
        (["--gpu", "L4", "--ram-gib", "-1", "--n-cpu-moe", "1"], "makes no sense"),
        (["--exact", "--override-tensor", "exps=CUDA0"], "no device of this plan"),
    ],
)
def test_contradictions_are_named(moe: str, flags: list[str], message: str) -> None:
    assert message in error_of("size", moe, "--context", "4096", *flags)


@pytest.mark.parametrize("flag", [("--tensor-split", "1,1"), ("--n-cpu-moe", "2"), ("--ubatch", "256")])
def test_vllm_has_no_such_places(flag: tuple[str, str]) -> None:
    assert "a setting of llama.cpp" in error_of("size", "llama-3.1-8b", "--gpu", "L4:2", *flag)


def test_an_adapter_of_another_architecture_is_refused(moe: str, tmp_path: Path) -> None:
    assert "adapter for llama" in error_of("size", moe, "--context", "4096", "--lora", adapter(tmp_path / "a.gguf"))


def test_the_plans_command_says_it_all(moe: str, tmp_path: Path) -> None:
    places = {"--n-cpu-moe": "2", "--tensor-split": "3,1"}
    sized = ["--gpu", "RTX-3090,RTX-4090", "--context", "4096", "--ram-gib", "64"]
    rules = ["--override-tensor", "attn_q=CUDA1", "--override-tensor", "attn_k=CUDA0"]
    plan = document("plan", moe, "--elsewhere", *sized, *rules, *(w for pair in places.items() for w in pair))
    argv = plan["argv"]
    told = {option: argv[argv.index(option) + 1] for option in ("--n-cpu-moe", "-ts", "-ot")}
    assert told == {"--n-cpu-moe": "2", "-ts": "3,1", "-ot": "attn_q=CUDA1,attn_k=CUDA0"}
    assert plan["memory"]["inputs"]["tensor_split"]["value"] == ["3", "1"]
    one = document("plan", moe, "--elsewhere", "--gpu", "L4:2", "--context", "4096", "--split-mode", "none")["argv"]
    assert one[one.index("-sm") + 1] == "none"
    kept = tmp_path / "plan.json"
    kept.write_text(json.dumps(plan["memory"]))
    assert "sized already" in error_of("plan", str(kept), "--n-cpu-moe", "3")


@pytest.mark.real
def test_an_adapter_takes_what_the_server_logged(tmp_path: Path) -> None:
    """llama-server 0.5.0 with this adapter: "LoRA buffer size = 13.71 MiB", compute 15.51 MiB as without.

    30 layers x rank 16 x ((576 + 576) + 3 x (576 + 1536)) x 4 B.
    """
    path = adapter(tmp_path / "a.gguf")
    plan = document("size", "smollm2-135m", "--context", "2048", "--lora", path, "--exact")
    lines = lines_of(plan, 0)
    assert lines["lora"] == 30 * 16 * (576 + 576 + 3 * (576 + 1536)) * 4
    assert lines["lora"] / MIB == pytest.approx(13.71, abs=0.005)
    assert lines["activations"] == round(15.51 * MIB)
    argv = document("plan", "smollm2-135m", "--context", "2048", "--lora", path, "--concurrency", "1")["argv"]
    assert argv[argv.index("--lora") + 1] == path


def engines_moves(path: str, **question: object) -> set[str]:
    """The tensors that llama.cpp says it moves, by its own reading of the words."""
    asked = {"path": path, "n_ctx": 512, "parallel": 1, "ubatch": 512, "kv_types": [1, 1], "flash_attn": "on"}
    done = subprocess.run(
        [sys.executable, "-m", "toolkit.size.planner"],
        input=json.dumps({**asked, "gpu_layers": 999, **question}),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(re.findall(r"tensor (\S+) .*overridden to CPU", "\n".join(json.loads(done.stdout)["log"])))


@pytest.mark.real
@pytest.mark.parametrize(
    "placing",
    [
        Placing(n_cpu_moe=3),
        Placing(override_tensor=(r"\.ffn_(up|gate)_exps=CPU",)),
        Placing(override_tensor=(r"blk\.(1|3)\.ffn_.*_exps=CPU,attn_k=CPU",)),
        Placing(override_tensor=("output=CPU",), n_cpu_moe=1),
    ],
)
def test_the_engine_moves_the_same_tensors(moe: str, placing: Placing) -> None:
    """Its log names each one; here every device is the host, so only the choice can be compared, not the place."""
    spec = gguf_spec.read(Path(moe))
    devices = (Device("GPU", 2**36, "gpu", "given"), Device("CPU", 2**36, "cpu", "given"))
    where = place(Ask(spec, devices, "llama.cpp", placing=placing), spec.layers + 1)
    ours = {
        t.name
        for t in spec.tensors
        if where.of(t.name, *gguf_spec.role_of(t.name)) == 1 and t.name != "token_embd.weight"
    }
    told = engines_moves(moe, n_cpu_moe=placing.n_cpu_moe, override_tensor=placing.override_tensor)
    assert ours == told - {"token_embd.weight"}
    assert len(ours) >= 5
