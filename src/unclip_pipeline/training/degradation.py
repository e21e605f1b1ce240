"""How smaller pictures are worsened before super-resolution learns to undo it.

Two ways: the slight blur that DALL-E 2's first upsampler was trained with, and the harsh mixture of blurs,
resizings, noises and compression (BSR; Zhang et al., 2021) of its second.
"""

import io
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

TAPS = 3  # Ramesh et al. (2022), table 3: a 3x3 Gaussian
MOST_BLUR_PX = 1.2  # deviation, in pixels of the smaller picture
LEAST_SIDE = 0.5  # to which a picture is shrunk on its way
MOST_NOISE = 0.1  # deviation, of a range of 2
QUALITIES = (30, 95)  # of JPEG

Worsen = Callable[[Float[Tensor, "1 3 s s"], torch.Generator], Float[Tensor, "1 3 s s"]]


def blurred(picture: Float[Tensor, "b c h w"], sigma_px: float) -> Float[Tensor, "b c h w"]:
    """Blur with a Gaussian of three by three taps; constant pictures stay as they are."""
    offsets = torch.arange(TAPS, device=picture.device) - TAPS // 2
    taps = torch.exp(-0.5 * (offsets / sigma_px).square())
    kernel = torch.outer(taps, taps) / taps.sum().square()
    channels = picture.shape[1]
    padded = F.pad(picture, [TAPS // 2] * 4, mode="replicate")
    return F.conv2d(padded, kernel.expand(channels, 1, -1, -1).to(picture), groups=channels)


def harshly_worsened(small: Float[Tensor, "b 3 s s"], generator: torch.Generator) -> Float[Tensor, "b 3 s s"]:
    """Put each picture through blur, resizing, noise and JPEG, in an order of its own."""
    return torch.cat([_one(picture, generator) for picture in small.split(1)])


def _one(picture: Float[Tensor, "1 3 s s"], generator: torch.Generator) -> Float[Tensor, "1 3 s s"]:
    steps: tuple[Worsen, ...] = (_blur, _resize, _noise, _compress)
    for place in torch.randperm(len(steps), generator=generator).tolist():
        picture = steps[place](picture, generator)
    return picture


def _blur(picture: Float[Tensor, "1 3 s s"], generator: torch.Generator) -> Float[Tensor, "1 3 s s"]:
    return blurred(picture, 0.1 + (MOST_BLUR_PX - 0.1) * _share(generator))


def _resize(picture: Float[Tensor, "1 3 s s"], generator: torch.Generator) -> Float[Tensor, "1 3 s s"]:
    """Shrink and enlarge again, by kernels of their own."""
    side_px = picture.shape[-1]
    middle_px = max(1, round(side_px * (LEAST_SIDE + (1 - LEAST_SIDE) * _share(generator))))
    for size_px in (middle_px, side_px):
        mode = ("nearest", "bilinear", "bicubic")[int(torch.randint(3, (), generator=generator))]
        smooth = {} if mode == "nearest" else {"antialias": size_px < side_px}
        picture = F.interpolate(picture, (size_px, size_px), mode=mode, **smooth)
    return picture.clamp(-1, 1)


def _noise(picture: Float[Tensor, "1 3 s s"], generator: torch.Generator) -> Float[Tensor, "1 3 s s"]:
    """Add noise of every colour its own, or of all alike."""
    channels = (1, 3)[int(torch.randint(2, (), generator=generator))]
    drawn = torch.randn(1, channels, *picture.shape[-2:], generator=generator).to(picture)
    return (picture + MOST_NOISE * _share(generator) * drawn).clamp(-1, 1)


def _compress(picture: Float[Tensor, "1 3 s s"], generator: torch.Generator) -> Float[Tensor, "1 3 s s"]:
    quality = int(torch.randint(*QUALITIES, (), generator=generator))
    pixels = ((picture[0] + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0)
    stream = io.BytesIO()
    Image.fromarray(pixels.cpu().numpy()).save(stream, "JPEG", quality=quality)
    decoded = torch.from_numpy(np.array(Image.open(stream))).permute(2, 0, 1)[None]
    return (decoded.float() / 127.5 - 1).to(picture)


def _share(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator))
