"""What a picture is made after, and what that contributes to a network."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from unclip_pipeline.models.attention import KeysValues
from unclip_pipeline.models.unet_config import UnetConfig


class Condition(NamedTuple):
    """What a picture is made after. Embeddings are un-normalised; an absent part is None."""

    image_embedding: Float[Tensor, "b d"] | None = None
    text_embedding: Float[Tensor, "b d"] | None = None
    text_hidden: Float[Tensor, "b l w"] | None = None
    text_mask: Bool[Tensor, "b l"] | None = None
    low_res: Float[Tensor, "b c h w"] | None = None  # already at the size of the output
    low_noise: Float[Tensor, " b"] | None = None  # of low_res, where the network is told: 0 none, 1 the most


class Context(NamedTuple):
    """What a condition contributes to every step alike: computed once, it serves a whole sampling."""

    time: Float[Tensor, "b w"] | None  # added to the time embedding
    map: Float[Tensor, "b c h w"] | None  # added at the coarsest level
    keys_values: Mapping[nn.Module, KeysValues]  # of the condition tokens, by attention layer
    mask: Bool[Tensor, "b l"] | None  # real condition tokens; None: all of them
    low_res: Float[Tensor, "b c h w"] | None

    def expanded(self, count: int) -> "Context":
        """Let a context of one row stand for `count` rows, without copying it."""

        def spread(part: Tensor | None) -> Tensor | None:
            return None if part is None else part.expand(count, *part.shape[1:])

        return Context(
            spread(self.time),
            spread(self.map),
            {layer: (spread(k), spread(v)) for layer, (k, v) in self.keys_values.items()},
            spread(self.mask),
            spread(self.low_res),
        )


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
        self.to_tokens = nn.Linear(wide or width, config.image_tokens * config.context_width)
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
