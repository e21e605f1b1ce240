"""Where and in which number type a network computes."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal

import torch

Precision = Literal["auto", "float32", "bfloat16"]


def default_device() -> torch.device:
    """The GPU where there is one, else the CPU; the one that torchrun gives to this process."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", torch.cuda.current_device())))


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


@contextmanager
def fast_float32(device: torch.device, precision: Precision = "auto") -> Iterator[None]:
    """Let what stays in float32 go through the GPU's tensor cores (TF32), unless "float32" is asked for."""
    if device.type != "cuda":
        yield
        return
    products, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest" if precision == "float32" else "high")
    torch.backends.cudnn.allow_tf32 = precision != "float32"
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.allow_tf32 = convolutions
