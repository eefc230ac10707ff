"""Imagined GGUF files against the sizes the quantizer really makes.

Source: ggml-org/llama.cpp tools/quantize/README.md at 311c2c9, table for Llama-3.1-8B (GiB), read 2026-11-23.
"""

from __future__ import annotations

import pytest

from tests.models.test_config_spec import LLAMA_8B
from toolkit.models import gguf_mix
from toolkit.models.config_spec import spec_from_config


@pytest.mark.parametrize(
    ("mix", "gib"),
    [
        ("Q2_K", 2.95),
        ("Q3_K_S", 3.41),
        ("Q3_K_L", 4.02),
        ("IQ4_XS", 4.17),
        ("IQ4_NL", 4.38),
        ("Q4_K_S", 4.36),
        ("Q4_K_M", 4.58),
        ("Q5_K_S", 5.21),
        ("Q5_K_M", 5.33),
        ("Q6_K", 6.14),
        ("Q8_0", 7.95),
        ("F16", 14.96),
    ],
)
def test_sizes_of_llama_8b(mix: str, gib: float) -> None:
    spec = spec_from_config(LLAMA_8B, "llama-3.1-8b", source="profile", fmt=mix)
    assert spec.quant == mix
    assert spec.weights_bytes / 2**30 == pytest.approx(gib, abs=0.006)


def test_names_in_any_case() -> None:
    assert gguf_mix.canonical("q4_k_m") == "Q4_K_M"
    assert gguf_mix.canonical("q4_k_x") is None
