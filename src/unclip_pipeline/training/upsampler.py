"""What super-resolution learns: a picture from a smaller one, on random crops."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from unclip_pipeline.diffusion.process import add_noise, random_steps, target_of
from unclip_pipeline.diffusion.schedule import named_schedule
from unclip_pipeline.models.unet import Condition, Unet, UnetConfig
from unclip_pipeline.seeds import seeded
from unclip_pipeline.training.degradation import blurred, harshly_worsened
from unclip_pipeline.training.loop import Loss, part_size
from unclip_pipeline.training.optim import UnetTraining
from unclip_pipeline.training.pairs import Pairs


@dataclass(frozen=True, kw_only=True)
class UpsamplerTraining(UnetTraining):
    """How super-resolution is trained; the smaller picture is worsened as the decoder's own are."""

    crop_px: int = 32  # side of the crops, in pixels of the larger picture
    blur_share: float = 0.5  # of the smaller pictures
    blur_sigma_px: float = 0.6
    harsh_share: float = 0.0  # of the smaller pictures: blurred, resized, noised and compressed at random
    low_noise: float = 0.1  # most noise on the smaller picture, of a range of 2; each draws its own

    def __post_init__(self) -> None:
        super().__post_init__()
        shares = (self.blur_share, self.harsh_share)
        if min(shares) < 0 or max(shares) > 1 or self.blur_sigma_px <= 0 or self.low_noise < 0:
            raise ValueError(
                "blur_share and harsh_share must lie in [0, 1], blur_sigma_px above 0 and low_noise not below, "
                f"got {self.blur_share=}, {self.harsh_share=}, {self.blur_sigma_px=}, {self.low_noise=}"
            )


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
            f"train_upsampler.crop_px must be a multiple of {step} up to upsampler.side_px="
            f"{architecture.side_px}, got {config.crop_px}; try {min(step * 4, architecture.side_px)}"
        )


def upsampler_batches(
    pairs: Pairs, config: UpsamplerTraining, architecture: UnetConfig, *, seed: int
) -> Callable[[int], UpsamplerBatch]:
    """Batches by position, with crop, blur and noise keyed by it."""
    check_crop(config, architecture)
    rows_at = pairs.batches(part_size(config), seed=seed)

    def batch(images_seen: int) -> UpsamplerBatch:
        rows, generator = rows_at(images_seen), seeded(seed, "upsampler", images_seen)
        picture = pairs.images(rows)
        low_res, low_noise = worsened(shrunk(picture, architecture.low_side_px), config, generator)
        smooth = F.interpolate(low_res, picture.shape[-2:], mode="bicubic", antialias=True)
        scale = architecture.side_px // architecture.low_side_px
        both = torch.cat([picture.float() / 127.5 - 1, smooth], 1)
        crops = random_crops(both, config.crop_px, scale, generator)
        return UpsamplerBatch(*crops.split(3, 1), low_noise, pairs.dataset.uids(rows))

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


def random_crops(
    picture: Float[Tensor, "b c h w"], side_px: int, step_px: int, generator: torch.Generator
) -> Float[Tensor, "b c s s"]:
    """Cut one square from each picture, at multiples of `step_px`."""
    most = (picture.shape[-1] - side_px) // step_px + 1
    corners = torch.randint(most, (len(picture), 2), generator=generator) * step_px
    return torch.stack(
        [
            one[:, top : top + side_px, left : left + side_px]
            for one, (top, left) in zip(picture, corners.tolist(), strict=True)
        ]
    )


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
