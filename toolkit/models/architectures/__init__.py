"""`config.json` → `Decoder`: one reader per family, found by `architectures[0]`.

Sources: transformers `models/*/modeling_*.py` and `configuration_*.py` for tensor shapes and silent defaults. An
architecture that is not here is declined, never guessed.
"""

from __future__ import annotations

from collections.abc import Callable

from toolkit.errors import DeclinedError, ModelFileError
from toolkit.models.architectures import dense, experts, hybrid, latent
from toolkit.models.architectures.numbers import Config, Numbers
from toolkit.models.layers import Decoder


def read(config: Config, name: str) -> Decoder:
    """The decoder that a config describes.

    Raises:
        DeclinedError: an architecture that is not modelled.
        ModelFileError: a number the architecture needs is missing or makes no sense.
    """
    architecture = named(config)
    reader = READERS.get(architecture)
    if reader is None:
        why = f" ({DECLINED[architecture]})" if architecture in DECLINED else ""
        raise DeclinedError(
            f"{name}: the tensors of {architecture} are not modelled from config.json{why}",
            "give a GGUF file, or a folder with its safetensors, whose headers list every tensor.",
        )
    text = config.get("text_config")
    try:
        return reader(Numbers(text if isinstance(text, dict) else config, name), config)
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError, IndexError) as error:
        said = f"lacks {error}" if isinstance(error, KeyError) else f"makes no sense: {error}"
        raise ModelFileError(f"{name}: config.json of a {architecture} {said}") from None


def named(config: Config) -> str:
    """The architecture that a config names; where it names none, the one that its model type stands for."""
    listed = config.get("architectures")
    if isinstance(listed, list) and listed:
        return str(listed[0])
    kind = str(config.get("model_type") or "?")
    words = kind.replace("_", "").lower()
    return next((a for a in READERS if a.removesuffix("ForCausalLM").lower() == words), kind)


READERS: dict[str, Callable[[Numbers, Config], Decoder]] = {
    "LlamaForCausalLM": dense.llama,
    "MistralForCausalLM": dense.llama,
    "GraniteForCausalLM": dense.llama,
    "Phi3ForCausalLM": dense.llama,
    "MiMoForCausalLM": dense.mimo,
    "Qwen2ForCausalLM": dense.qwen2,
    "Qwen2VLForConditionalGeneration": dense.qwen2_vl,
    "Qwen2_5_VLForConditionalGeneration": dense.qwen2_5_vl,
    "Qwen3ForCausalLM": dense.qwen3,
    "Glm4ForCausalLM": dense.glm4,
    "Qwen3VLForConditionalGeneration": dense.qwen3_vl,
    "Mistral3ForConditionalGeneration": dense.mistral3,
    "Gemma2ForCausalLM": dense.gemma2,
    "Gemma3ForCausalLM": dense.gemma3,
    "Gemma3ForConditionalGeneration": dense.gemma3,
    "Gemma4ForConditionalGeneration": dense.gemma4,
    "CohereForCausalLM": dense.cohere,
    "Cohere2ForCausalLM": dense.cohere,
    "MixtralForCausalLM": experts.mixtral,
    "Qwen2MoeForCausalLM": experts.qwen2_moe,
    "Qwen3MoeForCausalLM": experts.qwen3_moe,
    "Glm4MoeForCausalLM": experts.glm4_moe,
    "Qwen3VLMoeForConditionalGeneration": experts.qwen3_vl_moe,
    "GptOssForCausalLM": experts.gpt_oss,
    "MiniMaxM2ForCausalLM": experts.minimax_m2,
    "MiniMaxM3ForCausalLM": experts.minimax_m3,
    "Llama4ForConditionalGeneration": experts.llama4,
    "MiMoV2FlashForCausalLM": experts.mimo_v2,
    "DeepseekV2ForCausalLM": latent.deepseek,
    "DeepseekV3ForCausalLM": latent.deepseek,
    "DeepseekV32ForCausalLM": latent.deepseek,
    "GlmMoeDsaForCausalLM": latent.deepseek,
    "KimiK25ForConditionalGeneration": latent.kimi_k25,
    "Qwen3NextForCausalLM": hybrid.qwen_hybrid,
    "Qwen3_5ForConditionalGeneration": hybrid.qwen_hybrid,
    "Qwen3_5MoeForConditionalGeneration": hybrid.qwen_hybrid,
    "NemotronHForCausalLM": hybrid.nemotron_h,
    "GraniteMoeHybridForCausalLM": hybrid.granite4,
    "FalconH1ForCausalLM": hybrid.falcon_h1,
    "JambaForCausalLM": hybrid.jamba,
    "Lfm2ForCausalLM": hybrid.lfm2,
    "Lfm2MoeForCausalLM": hybrid.lfm2,
}
"""`architectures[0]` → reader."""

DECLINED = {
    "DeepseekV4ForCausalLM": "its layers compress their cache by ratios of 4 and 128, with tensors that config.json "
    "does not size, and its experts are in another format than the rest",
    "KimiK3ForConditionalGeneration": "its delta attention, latent experts and attention residuals have tensors that "
    "config.json does not size",
    "Step3p7FlashForCausalLM": "config.json leaves out the heads of its sliding layers and the gates of heads",
}
"""Why a well-known architecture has no reader."""
