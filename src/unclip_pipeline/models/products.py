"""Linear maps and convolutions, asked of the kernels that CPUs run fastest; everywhere else torch's own.

Each is the same sum in another order. On CPUs torch sends linear maps to MKL and convolutions to oneDNN; on
AMD's MKL leaves half of the vector unit unused, so a linear map over many rows takes half as long written as
a convolution with one tap.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

STRIPS = 16  # pictures the rows are laid out as: from 16 on torch sends one-tap convolutions to oneDNN
MANY_ROWS = 256  # fewer cost more to lay out than the kernel saves, backwards too
MANY_PIXELS = 1_024  # of the smaller picture
# taps of a 3x3 kernel on a doubled picture -> taps of a 4x4 kernel that doubles: each row and column feeds two
_SPREAD = torch.tensor([[1.0, 0, 0], [1, 1, 0], [0, 1, 1], [0, 0, 1]])
TO_DOUBLING = torch.einsum("pa,qb->abpq", _SPREAD, _SPREAD).reshape(9, 16)


class Linear(nn.Linear):
    """`nn.Linear` by way of `linear`."""

    def forward(self, x: Float[Tensor, "*rows c"]) -> Float[Tensor, "*rows k"]:
        return linear(x, self.weight, self.bias)


def linear(
    x: Float[Tensor, "*rows c"], weight: Float[Tensor, "k c"], bias: Float[Tensor, " k"] | None = None
) -> Float[Tensor, "*rows k"]:
    """`F.linear`; many rows on a CPU go as a convolution of strips."""
    rows = x.shape[:-1].numel()
    if rows < MANY_ROWS or rows % STRIPS or not _float32_on_cpu(x):
        return F.linear(x, weight, bias)
    strips = x.reshape(STRIPS, rows // STRIPS, 1, -1).permute(0, 3, 1, 2)
    mapped = F.conv2d(strips, weight[:, :, None, None], bias)
    return mapped.permute(0, 2, 3, 1).reshape(*x.shape[:-1], -1)


def at_each_pixel(x: Float[Tensor, "b c h w"], conv: nn.Conv2d) -> Float[Tensor, "b k h w"]:
    """A convolution with one tap."""
    if not _float32_on_cpu(x):
        return conv(x)
    return linear(x.permute(0, 2, 3, 1), conv.weight.flatten(1), conv.bias).permute(0, 3, 1, 2)


def doubled(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
    """Each pixel four times."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def conv_of_doubled(x: Float[Tensor, "b c h w"], conv: nn.Conv2d) -> Float[Tensor, "b k h2 w2"]:
    """A 3x3 convolution of the doubled picture.

    Many pixels on a CPU go as one transposed convolution: 16 products a pixel and channel in place of 36.
    """
    if len(x) * x.shape[-2] * x.shape[-1] < MANY_PIXELS or not _float32_on_cpu(x):
        return conv(doubled(x))
    kernel = (conv.weight.flip(2, 3).flatten(2) @ TO_DOUBLING).unflatten(2, (4, 4))
    kernel = kernel.transpose(0, 1).contiguous()
    return F.conv_transpose2d(x, kernel, conv.bias, stride=2, padding=1)


def _float32_on_cpu(x: Tensor) -> bool:
    """Whether these kernels are the ones to choose; a compiler chooses its own."""
    plain = x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    return plain and not torch.compiler.is_compiling()
