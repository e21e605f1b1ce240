"""What super-resolution learns: a picture from a smaller one, on random crops."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Float, Int, Shaped, UInt8
from torch import Tensor
from torch.nn import functional as F

from unclip_pipeline.diffusion.process import add_noise, random_steps, target_of
from unclip_pipeline.diffusion.schedule import named_schedule
from unclip_pipeline.models.unet import Condition, Unet, UnetConfig
from unclip_pipeline.seeds import seeded
from unclip_pipeline.training.degradation import blurred, harshly_worsened
from unclip_pipeline.training.loop import Loss
from unclip_pipeline.training.optim import UnetTraining
from unclip_pipeline.training.pairs import Pairs

BICUBIC_REACH_PX = 2  # of a smaller picture, to either side
AS_FLOATS = 32  # whole pictures at a time, of which each takes four times its bytes


@dataclass(frozen=True, kw_only=True)
class UpsamplerTraining(UnetTraining):
    """How super-resolution is trained; the smaller picture is worsened as the decoder's own are."""

    crop_px: int = 32  # side of the crops, in pixels of the larger picture
    blur_share: float = 0.5  # of the smaller pictures
    blur_sigma_px: float = 0.6
    harsh_share: float = 0.0  # of the smaller pictures: blurred, resized, noised and compressed at random
    low_noise: float = 0.1  # most noise on the smaller picture, of a range of 2; each draws its own
    sampling_steps: int = field(default=2, repr=False)  # of DDIM, when validated and when drawing afterwards

    def __post_init__(self) -> None:
        super().__post_init__()
        shares = (self.blur_share, self.harsh_share)
        if min(shares) < 0 or max(shares) > 1 or self.blur_sigma_px <= 0 or self.low_noise < 0:
            raise ValueError(
                "blur_share and harsh_share must lie in [0, 1], blur_sigma_px above 0 and low_noise not below, "
                f"got {self.blur_share=}, {self.harsh_share=}, {self.blur_sigma_px=}, {self.low_noise=}"
            )
        if self.sampling_steps < 1:
            raise ValueError(f"sampling_steps must be at least 1, got {self.sampling_steps}")


class UpsamplerBatch(NamedTuple):
    picture: Float[Tensor, "b 3 s s"]
    low_res: Float[Tensor, "b 3 s s"]  # worsened, enlarged, cut to the same crop
    low_noise: Float[Tensor, " b"]  # share of the most noise that was added to the smaller picture
    uids: list[str]


def check_crop(config: UpsamplerTraining, architecture: UnetConfig) -> None:
    """Refuse crops that the network cannot halve or that do not fall on pixels of the smaller picture."""
    scale = architecture.side_px // architecture.low_side_px
    step = max(scale, architecture.unshuffle * 2 ** (len(architecture.channels) - 1))
    if config.crop_px % step or config.crop_px > architecture.side_px:
        raise ValueError(
            f"crop_px of an upsampler's training must be a multiple of {step} up to its side_px="
            f"{architecture.side_px}, got {config.crop_px}; try {min(step * 4, architecture.side_px)}"
        )


def upsampler_batches(
    pairs: Pairs, config: UpsamplerTraining, architecture: UnetConfig, *, seed: int
) -> Callable[[int], UpsamplerBatch]:
    """Batches by position, with crop, blur and noise keyed by it."""
    check_crop(config, architecture)
    read_at = pairs.ahead(config, seed=seed, embeddings=False)

    def batch(images_seen: int) -> UpsamplerBatch:
        read, generator = read_at(images_seen), seeded(seed, "upsampler", images_seen)
        picture, crop_px = read.pictures, config.crop_px
        small = torch.cat([shrunk(part, architecture.low_side_px) for part in picture.split(AS_FLOATS)])
        low_res, low_noise = worsened(small, config, generator)
        scale = architecture.side_px // architecture.low_side_px
        corners = random_corners(len(picture), architecture.side_px - crop_px, scale, generator)
        return UpsamplerBatch(
            crops(picture, corners, crop_px).float() / 127.5 - 1,
            enlarged_crops(low_res, corners, crop_px, scale),
            low_noise,
            pairs.dataset.uids(read.rows),
        )

    return batch


def shrunk(picture: UInt8[Tensor, "b 3 h w"], side_px: int) -> Float[Tensor, "b 3 s s"]:
    """Antialiased bicubic reduction, in -1..1."""
    small = F.interpolate(picture.float(), (side_px, side_px), mode="bicubic", antialias=True)
    return small.round().clamp(0, 255) / 127.5 - 1


class Worsened(NamedTuple):
    """Smaller pictures, and how noisy each was made: 0 not at all, 1 as much as the configuration allows."""

    picture: Float[Tensor, "b 3 s s"]
    noise: Float[Tensor, " b"]


def worsened(
    small: Float[Tensor, "b 3 s s"], config: UpsamplerTraining, generator: torch.Generator
) -> Worsened:
    """Blur a share of the pictures, worsen a share harshly, and add noise of a random strength to each."""
    count, device = len(small), small.device
    blurs = torch.rand(count, generator=generator) < config.blur_share
    small = torch.where(blurs.to(device)[:, None, None, None], blurred(small, config.blur_sigma_px), small)
    if config.harsh_share:
        harsh = (torch.rand(count, generator=generator) < config.harsh_share).to(device)
        small = small.clone()
        small[harsh] = harshly_worsened(small[harsh], generator)
    noise = torch.rand(count, generator=generator)
    drawn = torch.randn(small.shape, generator=generator)
    added = config.low_noise * noise[:, None, None, None] * drawn
    return Worsened(small + added.to(device), noise.to(device))


def random_corners(
    count: int, most_px: int, step_px: int, generator: torch.Generator
) -> Int[Tensor, "count 2"]:
    """Top and left of a crop of each picture, at multiples of `step_px` up to `most_px`."""
    return torch.randint(most_px // step_px + 1, (count, 2), generator=generator) * step_px


def crops(
    pictures: Shaped[Tensor, "b c h w"], corners: Int[Tensor, "b 2"], side_px: int
) -> Shaped[Tensor, "b c s s"]:
    """Cut one square from each picture."""
    return torch.stack(
        [
            one[:, top : top + side_px, left : left + side_px]
            for one, (top, left) in zip(pictures, corners.tolist(), strict=True)
        ]
    )


def enlarged_crops(
    small: Float[Tensor, "b c h w"], corners: Int[Tensor, "b 2"], side_px: int, scale: int
) -> Float[Tensor, "b c s s"]:
    """What `crops` cuts from the enlarged pictures, without enlarging what it leaves out.

    A margin as wide as the filter keeps the crop's rim as it is in the whole.
    """
    own, whole = side_px // scale, small.shape[-1]
    window = min(own + 2 * BICUBIC_REACH_PX, whole)
    starts = (corners // scale - BICUBIC_REACH_PX).clamp(0, whole - window)
    enlarged = F.interpolate(
        crops(small, starts, window), (window * scale,) * 2, mode="bicubic", antialias=True
    )
    return crops(enlarged, corners - starts * scale, side_px)


def upsampler_loss(architecture: UnetConfig) -> Loss[UpsamplerBatch]:
    """Squared error of the network's target, on the picture or on its difference to the enlarged one."""
    schedule = named_schedule(architecture.schedule, shift=architecture.schedule_shift)
    scale = architecture.residual_scale

    def loss(
        unet: Unet, batch: UpsamplerBatch, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float | Tensor]]:
        x_0 = (batch.picture - batch.low_res) / scale if scale else batch.picture
        t = random_steps(len(x_0), schedule, generator).to(x_0.device)
        eps = torch.randn(x_0.shape, generator=generator).to(x_0.device)
        told = Condition(low_res=batch.low_res, low_noise=batch.low_noise)
        said = unet(add_noise(x_0, eps, t, schedule), t, told)
        return (said - target_of(architecture.target, x_0, eps, t, schedule)).square().mean(), {}

    return loss
