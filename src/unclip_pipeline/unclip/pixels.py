"""Pictures between bytes and floats, and between sizes."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F


def to_float(pixels: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """0..255 to -1..1."""
    return pixels.float() / 127.5 - 1


def enlarged(small: Float[Tensor, "b 3 h w"], side_px: int) -> Float[Tensor, "b 3 s s"]:
    """Bicubic enlargement as Pillow's and diffusers', which super-resolution starts from; it may overshoot."""
    return F.interpolate(small, (side_px, side_px), mode="bicubic", antialias=True)


def to_uint8(x: Float[Tensor, "b 3 h w"]) -> UInt8[Tensor, "b 3 h w"]:
    """-1..1 to 0..255; what lies outside is clipped."""
    return ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
