"""Sizes and options of the U-Net, what they refuse, and what they cost in exchange formats."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class UnetConfig:
    """Sizes and options of a U-Net. With the defaults it is a small decoder of the published form."""

    side_px: int = 32  # pictures come and go at this size
    unshuffle: int = 1  # pixels folded into channels on the way in, unfolded on the way out
    channels: Sequence[int] = (64, 128, 192)  # one level each; every level but the first halves the side
    blocks: int = 1  # residual blocks of a level
    attention: Sequence[bool] = (False, False, True)  # levels that attend over pixels and condition tokens
    head_width: int = 32
    norm_groups: int = 8
    dropout: float = 0.0  # within residual blocks, before the second convolution
    target: Literal["x0", "eps", "v"] = "eps"  # what the network puts out
    learned_variance: bool = False  # the network also says where the variance lies between its bounds
    image_tokens: int = 4  # made of the image embedding
    text_embedding: bool = True  # the caption's embedding joins the time embedding
    text_tokens: bool = False  # the caption's token states join the condition tokens
    condition_width: int = 0  # of a small network between embeddings and U-Net; 0: linear maps, as published
    low_side_px: int = 0  # super-resolution: side of the smaller picture that is enlarged; 0 is none
    told_noise: bool = False  # super-resolution: it is told how noisy the smaller picture is
    residual_scale: float = 0.0  # x_0 is (picture - enlarged smaller one) / this; 0: x_0 is the picture
    schedule: Literal["cosine", "linear"] = "cosine"
    schedule_shift: float = 1.0  # factor on the square root of every step's signal-to-noise ratio

    def __post_init__(self) -> None:
        for name in ("channels", "attention"):  # YAML gives lists
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if len(self.attention) != len(self.channels):
            raise ValueError(
                f"attention needs one entry a level, got {self.attention=} for {self.channels=}; "
                f"try {(False,) * (len(self.channels) - 1) + (True,)}"
            )
        if self.residual_scale and not self.low_side_px:
            raise ValueError(
                f"residual_scale is for super-resolution, got {self.residual_scale=} with low_side_px=0; set both"
            )
        if self.told_noise and not self.low_side_px:
            raise ValueError(
                "told_noise is for super-resolution, got told_noise=True with low_side_px=0; set both"
            )
        if self.schedule_shift <= 0:
            raise ValueError(
                f"schedule_shift is a factor above 0, got {self.schedule_shift}; 1 shifts nothing"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is a share in [0, 1), got {self.dropout}; as published 0.1, 0 is none")
        factor = self.unshuffle * 2 ** (len(self.channels) - 1)
        if self.side_px % factor:
            raise ValueError(
                f"side_px must be a multiple of {factor} with {self.unshuffle=} and {len(self.channels)} levels, "
                f"got {self.side_px}; try {max(self.side_px // factor, 1) * factor}"
            )
        for width in self.channels:
            if width % self.norm_groups or width % self.head_width:
                raise ValueError(
                    f"every entry of channels must be a multiple of norm_groups and head_width, got {width} with "
                    f"{self.norm_groups=} and {self.head_width=}; try norm_groups={math.gcd(*self.channels, 32)}"
                )

    @property
    def context_width(self) -> int:
        """Width of the condition tokens."""
        return self.channels[-1]

    def why_not_exportable(self) -> list[str]:
        """What in this configuration diffusers' unCLIP classes cannot express; empty when they can."""
        reasons = {
            "target v: its scheduler knows eps and x0 only": self.target == "v",
            "unshuffle: its networks work at full size": self.unshuffle > 1,
            "condition_width: its networks map embeddings linearly": self.condition_width > 0,
            "residual_scale: its super-resolution predicts the picture itself": self.residual_scale > 0,
            "told_noise: its super-resolution is not told how noisy the smaller picture is": self.told_noise,
            "schedule linear: its scheduler knows cosine only": self.schedule == "linear",
            "schedule_shift: its scheduler has none": self.schedule_shift != 1,
            "text_embedding off: its decoder adds the text embedding to the time embedding": not (
                self.text_embedding or self.low_side_px
            ),
            "text_tokens off: its decoder attends to the caption": not (self.text_tokens or self.low_side_px),
            "image_tokens 0: its decoder attends to tokens of the image embedding": (
                self.image_tokens < 1 and not self.low_side_px
            ),
            "attention off at the last level: the middle of its decoder attends": not (
                self.attention[-1] or self.low_side_px
            ),
            "attention: its super-resolution has none": any(self.attention) and self.low_side_px > 0,
        }
        return [reason for reason, holds in reasons.items() if holds]
