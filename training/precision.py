"""Half precision, where it is faster."""

from __future__ import annotations

import torch


def has_bfloat16() -> bool:
    """Tell whether this CPU computes in bfloat16; where it is emulated, it takes some ten times as long as float32."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def on_cpu(mixed_precision: bool = True) -> torch.autocast:
    """Compute in bfloat16 on a CPU that can, if mixed precision is wanted."""
    return torch.autocast("cpu", torch.bfloat16, enabled=mixed_precision and has_bfloat16())
