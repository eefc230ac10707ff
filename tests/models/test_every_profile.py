"""Every model of the profiles has an answer, or a precise reason why not."""

from __future__ import annotations

import pytest

from toolkit import profiles
from toolkit.errors import DeclinedError
from toolkit.models.architectures import READERS
from toolkit.models.config_spec import spec_from_config
from toolkit.size import Ask, Device, plan
from toolkit.types import ModelProfile

WITH_CONFIG = [m for m in profiles.models().values() if m.config]
CLUSTER = (Device("B300-SXM", int(268.6 * 2**30), "gpu", "given"),) * 8


@pytest.mark.parametrize("model", WITH_CONFIG, ids=lambda m: m.name)
def test_parameters_are_near_the_makers_name_or_it_is_declined(model: ModelProfile) -> None:
    """Makers' names round by up to a seventh and leave out vision towers and prediction layers; exact totals are
    tested where a maker publishes them."""
    if model.config["architectures"][0] not in READERS:
        with pytest.raises(DeclinedError, match=model.config["architectures"][0]):
            spec_from_config(model.config, model.name, source="profile")
        return
    spec = spec_from_config(model.config, model.name, source="profile")
    counted = sum(g.params for g in spec.weights if g.role not in ("mtp", "vision")) / 1e9
    if model.params_b is not None:
        assert counted == pytest.approx(model.params_b, rel=0.15), f"{counted:.2f}B"


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("deepseek-v3", 671.03),  # technical report: 671B total
        ("llama-4-maverick", 401.58),  # hub badge 402B
        ("minimax-m2.5", 228.69),  # hub badge 229B
        ("mimo-v2-flash", 308.78),  # 309B
        ("qwen3-235b-a22b", 235.09),  # hub badge 235B
        ("gpt-oss-120b", 116.83),  # model card: 116.8B total
    ],
)
def test_published_totals(name: str, billions: float) -> None:
    model = profiles.model(name)
    spec = spec_from_config(model.config, model.name, source="profile")
    assert sum(g.params for g in spec.weights if g.role != "mtp") / 1e9 == pytest.approx(billions, abs=0.01)


@pytest.mark.parametrize("model", WITH_CONFIG, ids=lambda m: m.name)
def test_it_is_sized_on_a_large_machine(model: ModelProfile) -> None:
    if model.config["architectures"][0] not in READERS:
        return
    spec = spec_from_config(model.config, model.name, source="profile")
    tp = max(n for n in (1, 2, 4, 8) if spec.heads % n == 0)
    found = plan(Ask(spec, CLUSTER[:tp], "vllm", context=min(4096, spec.max_context), tp=tp))
    assert found.kv_bytes_per_token > 0
    assert sum(line.bytes for line in found.devices[0].lines) == found.devices[0].total_bytes
