"""Half precision, where it is faster."""

from __future__ import annotations

import torch


def has_bfloat16() -> bool:
    """Tell whether this CPU computes in bfloat16; one that only pretends to takes some ten times as long as in float32."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def on_cpu() -> torch.autocast:
    """Compute in bfloat16 on a CPU that can."""
    return torch.autocast("cpu", torch.bfloat16, enabled=has_bfloat16())
