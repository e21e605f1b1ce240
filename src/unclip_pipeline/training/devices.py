"""Where and in which number type a network computes."""

from contextlib import AbstractContextManager
from typing import Literal

import torch

Precision = Literal["auto", "float32", "bfloat16"]


def default_device() -> torch.device:
    """The GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def fast_dtype(device: torch.device, precision: Precision = "auto") -> torch.dtype:
    """The type matrix products run in; "auto" takes bfloat16 where the hardware multiplies it natively.

    A CPU without such instructions takes about eight times as long in bfloat16 as in float32.
    """
    if precision != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    native = device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if native else torch.float32


def autocast(device: torch.device, precision: Precision = "auto") -> AbstractContextManager:
    """Matrix products in the fast type; weights, norms and losses stay in float32."""
    dtype = fast_dtype(device, precision)
    return torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)
