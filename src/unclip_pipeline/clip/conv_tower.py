"""A small plain image tower for training a CLIP from scratch on few cores.

Convolution, BatchNorm, ReLU; no residuals. The head sees the last feature map flattened (where things are)
beside the global averages of every stage (what the whole picture is like: backgrounds are learned only with
them) and the global maxima (what occurs anywhere: a corner tells a square from a disc wherever it is).
Registered with timm, so that open_clip's own model classes build it from a config that names it.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import adaptive_max_pool2d

from unclip_pipeline.clip.open_clip_guard import timm


@dataclass(frozen=True, kw_only=True)
class ConvTowerConfig:
    """Sizes of the tower."""

    image_side_px: int = 48
    fold: int = 2  # pixels are folded fold x fold into channels before the first convolution
    channels: tuple[int, ...] = (32, 64, 128)  # one stage each; every stage but the first halves the side

    def __post_init__(self) -> None:
        if self.fold < 1 or not self.channels:
            raise ValueError(
                f"clip.fold must be at least 1 and clip.channels not empty, got {self.fold}, {self.channels}"
            )
        divisor = self.fold * 2 ** (len(self.channels) - 1)
        if self.image_side_px < divisor or self.image_side_px % divisor:
            raise ValueError(
                f"clip.image_side_px must be a multiple of {divisor}: clip.fold {self.fold}, then "
                f"{len(self.channels)} stages of clip.channels; got {self.image_side_px}, try "
                f"{max(self.image_side_px // divisor, 1) * divisor}"
            )

    @property
    def timm_name(self) -> str:
        """Name the architecture in timm's registry."""
        channels = "_".join(map(str, self.channels))
        return f"unclip_conv_tower_{self.image_side_px}px_fold{self.fold}_{channels}"

    @property
    def features(self) -> int:
        """Numbers that the head sees: the last map, and two summaries of every stage."""
        last_side = self.image_side_px // (self.fold * 2 ** (len(self.channels) - 1))
        return self.channels[-1] * last_side**2 + 2 * sum(self.channels)


class ConvTower(nn.Module):
    """Stages of two 3x3 convolutions, and a linear head over the last map, averages and maxima."""

    def __init__(self, config: ConvTowerConfig, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.fold = nn.PixelUnshuffle(config.fold)
        widths = (3 * config.fold**2, *config.channels)
        self.stages = nn.ModuleList(
            _stage(fan_in, fan_out, stride=1 if place == 0 else 2)
            for place, (fan_in, fan_out) in enumerate(zip(widths[:-1], widths[1:], strict=True))
        )
        self.norm = nn.LayerNorm(config.features)
        self.head = nn.Linear(config.features, num_classes)

    def forward(self, x: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b d"]:
        x = self.fold(x).contiguous(memory_format=torch.channels_last)
        summaries = []
        for stage in self.stages:
            x = stage(x)
            summaries += [x.mean((2, 3)), adaptive_max_pool2d(x, 1).flatten(1)]  # amax: slow to differentiate
        return self.head(self.norm(torch.cat([x.flatten(1), *summaries], 1)))


def _stage(fan_in: int, fan_out: int, *, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(fan_in, fan_out, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(fan_out),
        nn.ReLU(),
        nn.Conv2d(fan_out, fan_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(fan_out),
        nn.ReLU(),
    )


def register_conv_tower(config: ConvTowerConfig) -> str:
    """Make timm, and so open_clip, know this tower; return the name for `vision_cfg.timm_model_name`."""
    if not timm.is_model(config.timm_name):

        def build(pretrained: bool = False, num_classes: int = 128, **_: object) -> ConvTower:
            return ConvTower(config, num_classes)

        build.__name__ = config.timm_name
        timm.models.register_model(build)
    return config.timm_name
