"""The diffusion prior: from a caption to the CLIP image embedding of a picture it may describe.

A causal transformer over [text tokens, text embedding, time, noisy image embedding, query]; the state at
the query is its estimate of x_0 (Ramesh et al., 2022, section 2.2). It works on standardised embeddings.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from unclip_pipeline.models.attention import attend
from unclip_pipeline.models.unet import time_features
from unclip_pipeline.weights import Weights

OWN_TOKENS = 4  # text embedding, time, noisy image embedding, query


@dataclass(frozen=True, kw_only=True)
class PriorConfig:
    """Sizes of the prior."""

    width: int = 192
    layers: int = 4
    heads: int = 4
    text_tokens: bool = False  # the caption's token states come first in the row
    context_length: int = 77  # text tokens at most
    dropout: float = 0.0
    schedule: Literal["cosine", "linear"] = "cosine"

    def __post_init__(self) -> None:
        if self.width % self.heads or self.width % 2:
            raise ValueError(
                f"prior.width must be even and a multiple of prior.heads, got {self.width=} and {self.heads=}; "
                f"try width={max(self.width // (2 * self.heads), 1) * 2 * self.heads}"
            )
        if self.layers < 1 or not 0 <= self.dropout < 1:
            raise ValueError(
                f"prior needs layers >= 1 and dropout in [0, 1), got {self.layers=}, {self.dropout=}"
            )


class Text(NamedTuple):
    """What the prior knows of a caption. The embedding is un-normalised; tokens only if it reads them."""

    embedding: Float[Tensor, "b d"]
    hidden: Float[Tensor, "b l w"] | None = None
    mask: Bool[Tensor, "b l"] | None = None


class Prior(nn.Module):
    """x_t and step to x_0, both standardised image embeddings."""

    def __init__(self, config: PriorConfig, *, embedding_width: int, text_width: int = 0):
        super().__init__()
        self.config, width = config, config.width
        self.embedding_width, self.text_width = embedding_width, text_width
        for name in ("image_mean", "text_mean"):
            self.register_buffer(name, torch.zeros(embedding_width))
        for name in ("image_std", "text_std"):
            self.register_buffer(name, torch.ones(embedding_width))
        self.text_in = nn.Linear(embedding_width, width)
        self.image_in = nn.Linear(embedding_width, width)
        self.time_in = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.tokens_in = nn.Linear(text_width, width) if config.text_tokens else None
        self.query = nn.Parameter(torch.zeros(width))
        length = OWN_TOKENS + (config.context_length if config.text_tokens else 0)
        self.positions = nn.Parameter(0.01 * torch.randn(length, width))
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, embedding_width)
        nn.init.zeros_(self.out.weight)

    @torch.no_grad()
    def measure(self, images: Float[Tensor, "n d"], texts: Float[Tensor, "n d"]) -> None:
        """Take mean and deviation of the training embeddings as the standard."""
        for name, rows in (("image", images), ("text", texts)):
            getattr(self, f"{name}_mean").copy_(rows.mean(0))
            getattr(self, f"{name}_std").copy_(rows.std(0).clamp_min(1e-6))

    def standardised(self, image: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
        """Image embeddings in the space the prior works in."""
        return (image - self.image_mean) / self.image_std

    def restored(self, x_0: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
        """The inverse of `standardised`."""
        return x_0 * self.image_std + self.image_mean

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def forward(self, x_t: Float[Tensor, "b d"], t: Int[Tensor, " b"], text: Text) -> Float[Tensor, "b d"]:
        own = torch.stack(
            [
                self.text_in((text.embedding - self.text_mean) / self.text_std),
                self.time_in(time_features(t, self.config.width)),
                self.image_in(x_t),
                self.query.expand(len(x_t), -1),
            ],
            dim=1,
        ) + self.positions[-OWN_TOKENS:]  # fmt: skip
        row, mask = own, None
        if self.tokens_in is not None:
            tokens = self.tokens_in(text.hidden)
            row = torch.cat([tokens + self.positions[: tokens.shape[1]], own], 1)
            mask = F.pad(text.mask, (0, OWN_TOKENS), value=True)
        visible = causal_mask(row.shape[1], mask, row.device)
        for layer in self.layers:
            row = layer(row, visible)
        return self.out(self.norm(row[:, -1])).float()


class Layer(nn.Module):
    """Pre-norm attention and a four times wider GELU network."""

    def __init__(self, config: PriorConfig):
        super().__init__()
        self.heads = config.heads
        self.norm1, self.norm2 = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)
        self.wide = nn.Linear(config.width, 4 * config.width)
        self.narrow = nn.Linear(4 * config.width, config.width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Float[Tensor, "b l w"], visible: Bool[Tensor, "#b 1 l l"]) -> Float[Tensor, "b l w"]:
        parts = self.qkv(self.norm1(x)).chunk(3, -1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        x = x + self.dropout(self.out(attend(q, k, v, visible).transpose(1, 2).flatten(2)))
        return x + self.dropout(self.narrow(F.gelu(self.wide(self.norm2(x)))))


def causal_mask(
    length: int, real: Bool[Tensor, "b l"] | None, device: torch.device
) -> Bool[Tensor, "#b 1 l l"]:
    """True where a token may look: at itself and before it, but never at padding."""
    before = torch.ones(length, length, dtype=torch.bool, device=device).tril()[None, None]
    return (
        before
        if real is None
        else before & (real[:, None, None, :] | torch.eye(length, dtype=torch.bool, device=device))
    )


def prior_weights(prior: Prior, facts: Mapping[str, Any]) -> Weights:
    """The prior's tensors with what is needed to build it again, and `facts` about its training."""
    widths = {"embedding_width": prior.embedding_width, "text_width": prior.text_width}
    return Weights(
        dict(prior.state_dict()), {"kind": "prior", "architecture": asdict(prior.config) | widths, **facts}
    )


def load_prior(weights: Weights) -> Prior:
    """Build the prior of trained weights, in evaluation mode."""
    if weights.config.get("kind") != "prior":
        raise ValueError(f"these weights must be of kind 'prior', got {weights.config.get('kind')!r}")
    architecture = dict(weights.config["architecture"])
    widths = {name: architecture.pop(name) for name in ("embedding_width", "text_width")}
    prior = Prior(PriorConfig(**architecture), **widths)
    prior.load_state_dict(weights.tensors)
    return prior.eval().requires_grad_(False)
