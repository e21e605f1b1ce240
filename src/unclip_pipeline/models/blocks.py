"""The parts of a U-Net: residual blocks, attention over pixels and condition tokens, features of a step."""

import math

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from unclip_pipeline.models.attention import KeysValues, attend
from unclip_pipeline.models.products import Linear, at_each_pixel, conv_of_doubled, doubled

TIME_PERIOD = 10_000.0


class Block(nn.Module):
    """Two convolutions, the second normalised after the condition (scale and shift), around a skip."""

    def __init__(self, fan_in: int, width: int, *, groups: int, dropout: float = 0.0, resize: str = ""):
        super().__init__()
        self.width, self.resize = width, resize
        self.norm1 = nn.GroupNorm(math.gcd(groups, fan_in), fan_in)
        self.conv1 = nn.Conv2d(fan_in, width, 3, padding=1)
        self.norm2 = nn.GroupNorm(groups, width)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.skip = nn.Conv2d(fan_in, width, 1) if fan_in != width else nn.Identity()

    def forward(
        self, x: Float[Tensor, "b c h w"], modulation: Float[Tensor, "b two_k"]
    ) -> Float[Tensor, "b k h2 w2"]:
        h = activated(self.norm1(x))
        if self.resize == "up":
            h, x = conv_of_doubled(h, self.conv1), doubled(x)
        elif self.resize == "down":
            h, x = self.conv1(F.avg_pool2d(h, 2)), F.avg_pool2d(x, 2)
        else:
            h = self.conv1(h)
        scale, shift = modulation[:, :, None, None].chunk(2, 1)
        h = activated(torch.addcmul(shift, self.norm2(h), 1 + scale))
        skipped = at_each_pixel(x, self.skip) if isinstance(self.skip, nn.Conv2d) else x
        return skipped + self.conv2(self.dropout(h))


class Attention(nn.Module):
    """Pixels attend to condition tokens and to one another; keys and values of both stand in one row."""

    def __init__(self, width: int, *, head_width: int, groups: int, context: int):
        super().__init__()
        self.heads, self.width = width // head_width, width
        self.norm = nn.GroupNorm(groups, width)
        self.qkv = Linear(width, 3 * width)
        self.context_kv = Linear(context, 2 * width) if context else None
        self.out = Linear(width, width)

    def keys_values(self, tokens: Float[Tensor, "b l e"]) -> KeysValues:
        """What pixels may look up of the condition tokens."""
        k, v = (self._by_head(part) for part in self.context_kv(tokens).chunk(2, -1))
        return k, v

    def forward(
        self,
        x: Float[Tensor, "b c h w"],
        context: KeysValues | None,
        mask: Bool[Tensor, "b l"] | None,
    ) -> Float[Tensor, "b c h w"]:
        pixels = self.norm(x).flatten(2).mT  # (b, h*w, c)
        q, k, v = (self._by_head(part) for part in self.qkv(pixels).chunk(3, -1))
        if context is not None:
            k, v = torch.cat([context[0], k], 2), torch.cat([context[1], v], 2)
        if mask is not None:
            mask = F.pad(mask, (0, pixels.shape[1]), value=True)[:, None, None, :]
        mixed = attend(q, k, v, mask).transpose(1, 2).flatten(2)
        return x + self.out(mixed).mT.reshape(x.shape)

    def _by_head(self, x: Float[Tensor, "b l w"]) -> Float[Tensor, "b heads l v"]:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def activated(h: Float[Tensor, "*dims"]) -> Float[Tensor, "*dims"]:
    """SiLU; it overwrites `h` where no gradient will ask for it."""
    return F.silu(h, inplace=not torch.is_grad_enabled())


def time_features(t: Shaped[Tensor, " b"], width: int) -> Float[Tensor, "b w"]:
    """Cosines and sines of the step at geometric periods (Ho et al., 2020)."""
    frequencies = torch.exp(-math.log(TIME_PERIOD) * torch.arange(width // 2, device=t.device) / (width // 2))
    angles = t[:, None].float() * frequencies
    return torch.cat([angles.cos(), angles.sin()], 1)
