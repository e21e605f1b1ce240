"""One U-Net for the decoder and for super-resolution; what differs is its configuration.

The mathematics is that of the networks unCLIP was published with (ADM blocks, attention over pixels and
condition tokens together). Legend: see shapes.py; `w` in a token's shape is a width.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from unclip_pipeline.models.attention import attend
from unclip_pipeline.weights import Weights

TIME_PERIOD = 10_000.0


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
    target: Literal["x0", "eps", "v"] = "eps"  # what the network puts out
    learned_variance: bool = False
    image_tokens: int = 4  # made of the image embedding
    text_embedding: bool = True  # the caption's embedding joins the time embedding
    text_tokens: bool = False  # the caption's token states join the condition tokens
    condition_width: int = 0  # of a small network between embeddings and U-Net; 0: linear maps, as published
    low_side_px: int = 0  # super-resolution: side of the smaller picture that is enlarged; 0 is none
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
        if self.schedule_shift <= 0:
            raise ValueError(
                f"schedule_shift is a factor above 0, got {self.schedule_shift}; 1 shifts nothing"
            )
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

    def why_not_exportable(self) -> list[str]:
        """What in this configuration diffusers' unCLIP classes cannot express; empty when they can."""
        reasons = {
            "target v: its scheduler knows eps and x0 only": self.target == "v",
            "unshuffle: its networks work at full size": self.unshuffle > 1,
            "condition_width: its networks map embeddings linearly": self.condition_width > 0,
            "residual_scale: its super-resolution predicts the picture itself": self.residual_scale > 0,
            "schedule linear: its scheduler knows cosine only": self.schedule == "linear",
            "schedule_shift: its scheduler has none": self.schedule_shift != 1,
            "text_embedding off: its decoder adds the text embedding to the time embedding": not (
                self.text_embedding or self.low_side_px
            ),
            "text_tokens off: its decoder attends to the caption": not (self.text_tokens or self.low_side_px),
        }
        return [reason for reason, holds in reasons.items() if holds]


class Condition(NamedTuple):
    """What a picture is made after. Embeddings are un-normalised; an absent part is None."""

    image_embedding: Float[Tensor, "b d"] | None = None
    text_embedding: Float[Tensor, "b d"] | None = None
    text_hidden: Float[Tensor, "b l w"] | None = None
    text_mask: Bool[Tensor, "b l"] | None = None
    low_res: Float[Tensor, "b c h w"] | None = None  # already at the size of the output


class Unet(nn.Module):
    """x_t and step to eps, v or x_0 (and a variance share, when learned)."""

    def __init__(self, config: UnetConfig, *, embedding_width: int = 0, text_width: int = 0):
        super().__init__()
        self.config = config
        first, time_width = config.channels[0], 4 * config.channels[0]
        folded = 3 * config.unshuffle**2
        self.time = nn.Sequential(nn.Linear(first, time_width), nn.SiLU(), nn.Linear(time_width, time_width))
        if embedding_width:
            self.embed = EmbeddingCondition(config, embedding_width, time_width)
        self.embedding_width, self.text_width = embedding_width, text_width
        if config.text_tokens:
            self.text_in = nn.Sequential(
                nn.Linear(text_width, _context_width(config)), nn.LayerNorm(_context_width(config))
            )
        fan_in = folded * (2 if config.low_side_px else 1)
        self.conv_in = nn.Conv2d(fan_in, first, 3, padding=1)
        self._make_levels(config, has_context=bool(embedding_width or text_width))
        self.modulation = nn.Linear(time_width, sum(2 * block.width for block in self._blocks()))
        self.norm_out = nn.GroupNorm(config.norm_groups, first)
        self.conv_out = nn.Conv2d(first, folded * (2 if config.learned_variance else 1), 3, padding=1)
        self._start_from_zero()

    def _make_levels(self, config: UnetConfig, *, has_context: bool) -> None:
        """Down, middle and up path; `skips` tells which widths the up path finds on the stack."""
        widths, context = config.channels, _context_width(config) if has_context else 0

        def block(fan_in: int, level: int, resize: str = "") -> Block:
            return Block(fan_in, widths[level], groups=config.norm_groups, resize=resize)

        def attend(level: int) -> nn.Module:
            if not config.attention[level]:
                return nn.Identity()
            return Attention(
                widths[level], head_width=config.head_width, groups=config.norm_groups, context=context
            )

        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        skips, width = [widths[0]], widths[0]
        for level in range(len(widths)):
            for _ in range(config.blocks):
                self.down.append(nn.ModuleList([block(width, level), attend(level)]))
                width = widths[level]
                skips.append(width)
            if level < len(widths) - 1:
                self.down.append(nn.ModuleList([block(width, level, "down"), nn.Identity()]))
                skips.append(width)
        last = len(widths) - 1
        self.middle = nn.ModuleList([block(width, last), attend(last), block(width, last)])
        for level in reversed(range(len(widths))):
            for _ in range(config.blocks + 1):
                self.up.append(nn.ModuleList([block(width + skips.pop(), level), attend(level)]))
                width = widths[level]
            if level > 0:
                self.up[-1].append(block(width, level, "up"))

    def _blocks(self) -> list["Block"]:
        return [module for module in self.modules() if isinstance(module, Block)]

    def _start_from_zero(self) -> None:
        """Every residual branch and the output begin at zero (Dhariwal & Nichol, 2021)."""
        for last in [block.conv2 for block in self._blocks()] + [self.conv_out]:
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        for module in self.modules():
            if isinstance(module, Attention):
                nn.init.zeros_(module.out.weight)
        nn.init.zeros_(self.modulation.bias)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def forward(
        self,
        x: Float[Tensor, "b c h w"],
        t: Int[Tensor, " b"],
        condition: Condition = Condition(),  # noqa: B008
    ) -> Float[Tensor, "b k h w"]:
        time = self.time(time_features(t, self.config.channels[0]))
        context, middle_map = None, None
        planes = [
            F.pixel_unshuffle(part, self.config.unshuffle)
            for part in (x, condition.low_res)
            if part is not None
        ]
        if condition.image_embedding is not None:
            told = self.embed(condition.image_embedding, condition.text_embedding)
            time, context, middle_map = time + told.time, told.tokens, told.map
        mask = None
        if self.config.text_tokens:
            context = torch.cat([context, self.text_in(condition.text_hidden)], 1)
            mask = F.pad(condition.text_mask, (self.config.image_tokens, 0), value=True)
        modulations = iter(
            self.modulation(F.silu(time)).split([2 * block.width for block in self._blocks()], 1)
        )
        return self._through(torch.cat(planes, 1), modulations, context, mask, middle_map)

    def _through(self, x, modulations, context, mask, middle_map) -> Tensor:
        by_block = dict(zip(self._blocks(), modulations, strict=True))
        x = self.conv_in(x)
        skips = [x]
        for block, attention in self.down:
            x = block(x, by_block[block])
            x = attention(x, context, mask) if isinstance(attention, Attention) else x
            skips.append(x)
        first, attention, second = self.middle
        x = x if middle_map is None else x + middle_map
        x = first(x, by_block[first])
        x = attention(x, context, mask) if isinstance(attention, Attention) else x
        x = second(x, by_block[second])
        for block, attention, *resize in self.up:
            x = block(torch.cat([x, skips.pop()], 1), by_block[block])
            x = attention(x, context, mask) if isinstance(attention, Attention) else x
            for larger in resize:
                x = larger(x, by_block[larger])
        x = self.conv_out(F.silu(self.norm_out(x)))
        return F.pixel_shuffle(x, self.config.unshuffle).float()


class Told(NamedTuple):
    """What the condition contributes: to the time embedding, as tokens, as a map at the coarsest level."""

    time: Float[Tensor, "b w"]
    tokens: Float[Tensor, "b l w"]
    map: Float[Tensor, "b c h w"] | None


class EmbeddingCondition(nn.Module):
    """Standardised embeddings into the time embedding, into tokens and into a map of the picture."""

    def __init__(self, config: UnetConfig, width: int, time_width: int):
        super().__init__()
        self.config = config
        self.map_side_px = config.side_px // config.unshuffle // 2 ** (len(config.channels) - 1)
        for name in ("image_mean", "text_mean"):
            self.register_buffer(name, torch.zeros(width))
        for name in ("image_std", "text_std"):
            self.register_buffer(name, torch.ones(width))
        self.null_image = nn.Parameter(torch.zeros(width))
        told = width * (2 if config.text_embedding else 1)
        wide = config.condition_width
        self.trunk = (
            nn.Sequential(nn.Linear(told, wide), nn.SiLU(), nn.Linear(wide, wide), nn.SiLU())
            if wide
            else None
        )
        self.to_time = nn.Linear(wide or told, time_width)
        self.to_tokens = nn.Linear(wide or width, config.image_tokens * _context_width(config))
        self.to_map = nn.Linear(wide, config.channels[-1] * self.map_side_px**2) if wide else None

    @torch.no_grad()
    def measure(self, images: Float[Tensor, "n d"], texts: Float[Tensor, "n d"]) -> None:
        """Take mean and deviation of the training embeddings as the standard."""
        for name, rows in (("image", images), ("text", texts)):
            getattr(self, f"{name}_mean").copy_(rows.mean(0))
            getattr(self, f"{name}_std").copy_(rows.std(0).clamp_min(1e-6))

    @property
    def null_embedding(self) -> Float[Tensor, " d"]:
        """The learned stand-in for an image embedding that is not told, un-normalised as the others."""
        return self.null_image * self.image_std + self.image_mean

    def forward(self, image: Float[Tensor, "b d"], text: Float[Tensor, "b d"] | None) -> Told:
        image = (image - self.image_mean) / self.image_std
        told = (
            torch.cat([image, (text - self.text_mean) / self.text_std], 1)
            if self.config.text_embedding
            else image
        )
        if self.trunk is None:
            return Told(self.to_time(told), self._tokens(image), None)
        wide = self.trunk(told)
        sides = (self.config.channels[-1], self.map_side_px, self.map_side_px)
        return Told(self.to_time(wide), self._tokens(wide), self.to_map(wide).unflatten(1, sides))

    def _tokens(self, x: Float[Tensor, "b w"]) -> Float[Tensor, "b l e"]:
        return self.to_tokens(x).unflatten(1, (self.config.image_tokens, -1))


class Block(nn.Module):
    """Two convolutions, the second normalised after the condition (scale and shift), around a skip."""

    def __init__(self, fan_in: int, width: int, *, groups: int, resize: str = ""):
        super().__init__()
        self.width, self.resize = width, resize
        self.norm1 = nn.GroupNorm(math.gcd(groups, fan_in), fan_in)
        self.conv1 = nn.Conv2d(fan_in, width, 3, padding=1)
        self.norm2 = nn.GroupNorm(groups, width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.skip = nn.Conv2d(fan_in, width, 1) if fan_in != width else nn.Identity()

    def forward(
        self, x: Float[Tensor, "b c h w"], modulation: Float[Tensor, "b two_k"]
    ) -> Float[Tensor, "b k h2 w2"]:
        h = F.silu(self.norm1(x))
        if self.resize == "down":
            h, x = F.avg_pool2d(h, 2), F.avg_pool2d(x, 2)
        elif self.resize == "up":
            h, x = (F.interpolate(part, scale_factor=2.0, mode="nearest") for part in (h, x))
        scale, shift = modulation[:, :, None, None].chunk(2, 1)
        h = torch.addcmul(shift, self.norm2(self.conv1(h)), 1 + scale)
        return self.skip(x) + self.conv2(F.silu(h))


class Attention(nn.Module):
    """Pixels attend to condition tokens and to one another; keys and values of both stand in one row."""

    def __init__(self, width: int, *, head_width: int, groups: int, context: int):
        super().__init__()
        self.heads, self.width = width // head_width, width
        self.norm = nn.GroupNorm(groups, width)
        self.qkv = nn.Linear(width, 3 * width)
        self.context_kv = nn.Linear(context, 2 * width) if context else None
        self.out = nn.Linear(width, width)

    def forward(
        self,
        x: Float[Tensor, "b c h w"],
        context: Float[Tensor, "b l e"] | None,
        mask: Bool[Tensor, "b l"] | None,
    ) -> Float[Tensor, "b c h w"]:
        pixels = self.norm(x).flatten(2).mT  # (b, h*w, c)
        q, k, v = self.qkv(pixels).chunk(3, -1)
        if self.context_kv is not None:
            context_k, context_v = self.context_kv(context).chunk(2, -1)
            k, v = torch.cat([context_k, k], 1), torch.cat([context_v, v], 1)
        if mask is not None:
            mask = F.pad(mask, (0, pixels.shape[1]), value=True)[:, None, None, :]
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (q, k, v))
        mixed = attend(q, k, v, mask).transpose(1, 2).flatten(2)
        return x + self.out(mixed).mT.reshape(x.shape)


def _context_width(config: UnetConfig) -> int:
    return config.channels[-1]


def time_features(t: Int[Tensor, " b"], width: int) -> Float[Tensor, "b w"]:
    """Cosines and sines of the step at geometric periods (Ho et al., 2020)."""
    frequencies = torch.exp(-math.log(TIME_PERIOD) * torch.arange(width // 2, device=t.device) / (width // 2))
    angles = t[:, None].float() * frequencies
    return torch.cat([angles.cos(), angles.sin()], 1)


def unet_weights(unet: Unet, kind: Literal["decoder", "upsampler"], facts: Mapping[str, Any]) -> Weights:
    """The U-Net's tensors with what is needed to build it again, and `facts` about its training."""
    widths = {"embedding_width": unet.embedding_width, "text_width": unet.text_width}
    return Weights(
        dict(unet.state_dict()), {"kind": kind, "architecture": asdict(unet.config) | widths, **facts}
    )


def load_unet(weights: Weights, kind: Literal["decoder", "upsampler"]) -> Unet:
    """Build the U-Net of trained weights, in evaluation mode."""
    if weights.config.get("kind") != kind:
        raise ValueError(f"these weights must be of kind {kind!r}, got {weights.config.get('kind')!r}")
    architecture = dict(weights.config["architecture"])
    widths = {name: architecture.pop(name) for name in ("embedding_width", "text_width")}
    unet = Unet(UnetConfig(**architecture), **widths)
    unet.load_state_dict(weights.tensors)
    return unet.eval().requires_grad_(False)
