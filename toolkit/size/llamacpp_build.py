"""What differs between builds of llama.cpp, by build number (``b5200``) or release (``0.5.0``)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from toolkit.errors import InputError

WINDOWS_SINCE = 5430
"""Sliding layers have cells for their window: pull request 13194, 20 May 2025, between b5331 and b5466. Before, they
kept every token."""

FUSED_GATE_SINCE = 5781
"""The gate of an MLP is one operation, which cannot write over what it reads: pull request 14158, end of June 2025;
commit 8846aac of that week does without, b5781 is the first known to have it."""

ROW_NUMBERS_SINCE = 6000
"""Keys and values are written to the rows that an input names: between commits a0374a6 (July 2025) and 4227c9b (August
2025)."""

TWO_INPUTS_SINCE = 7000
"""A graph has a place for tokens and one for rows given instead of them: between commit 4227c9b (August 2025) and b7445
(December 2025)."""

OUTPUT_FIRST_SINCE = 7450
"""The output layer is the first to go to a GPU, not the last: pull request 18148, opened on 17 December 2025, when
b7445 was new."""

LATENT_ONLY_SINCE = 7840
"""MLA caches keep no values of their own: ggml-org/llama.cpp pull request 19067, January 2026."""

HALF_MASKS_SINCE = 9420
"""Attention masks are F16 with flash attention, not F32 and a converted copy: pull request 23764, merged at the end of
May 2026, between b9247 (20 May) and b9512 (4 June)."""

FEW_OUTPUTS_SINCE = 9460
"""The server reserves logits for one row per sequence, not for every token of a batch: pull request 23861, merged in
the first days of June 2026, between the same builds."""


@dataclass(frozen=True)
class Build:
    """What one build reserves."""

    number: int

    @property
    def windows(self) -> bool:
        """A sliding layer's cache is as long as its window."""
        return self.number >= WINDOWS_SINCE

    @property
    def two_inputs(self) -> bool:
        """The processor holds one more hidden row for every token."""
        return self.number >= TWO_INPUTS_SINCE

    @property
    def fused_gate(self) -> bool:
        """Three inner rows of an MLP live at once, not two."""
        return self.number >= FUSED_GATE_SINCE

    @property
    def row_numbers(self) -> bool:
        """Row numbers of transposed values are an input."""
        return self.number >= ROW_NUMBERS_SINCE

    @property
    def output_first(self) -> bool:
        """The output layer counts as the last of the layers on GPUs; before, it went there with all layers only."""
        return self.number >= OUTPUT_FIRST_SINCE

    @property
    def latent_only(self) -> bool:
        """MLA: latent rows only; before, the values of the latent too."""
        return self.number >= LATENT_ONLY_SINCE

    @property
    def half_masks(self) -> bool:
        """With flash attention, masks are F16 from the start."""
        return self.number >= HALF_MASKS_SINCE

    @property
    def few_outputs(self) -> bool:
        """Logits for one row per sequence."""
        return self.number >= FEW_OUTPUTS_SINCE


CURRENT = Build(10_000)
"""Any build after the changes above. Releases with a version (0.1.2 in August 2026) are later than all of them."""


def build(version: str | None) -> Build:
    """The build of that number or release; None = a current one.

    Raises:
        InputError: neither a build number nor a release.
    """
    if version is None:
        return CURRENT
    if match := re.fullmatch(r"b?(\d{3,6})", version.strip()):
        return Build(int(match[1]))
    if re.fullmatch(r"v?0\.\d+(\.\d+)?(-\w+)?", version.strip()):
        return CURRENT
    raise InputError(f"{version!r} is no llama.cpp version", "write a build such as b5200, or a release such as 0.5.0.")
