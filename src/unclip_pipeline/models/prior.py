"""The diffusion prior: from a caption to the CLIP image embedding of a picture it may describe.

A causal transformer over [text tokens, text embedding, time, noisy image embedding, query]; the state at
the query is its estimate of x_0 (Ramesh et al., 2022, section 2.2). It works on standardised embeddings.

What the caption contributes comes first in the row, so it sees neither step nor noise: its keys and values
are computed once a caption (`prefix`) and serve every step, every draw and both branches of guidance.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from unclip_pipeline.models.attention import KeysValues, attend
from unclip_pipeline.models.blocks import time_features
from unclip_pipeline.models.products import Linear, linear
from unclip_pipeline.weights import Weights

OWN_TOKENS = 4  # text embedding, time, noisy image embedding, query
DRAWN_TOKENS = 3  # of these, the ones that belong to a draw and not to the caption


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

    def why_not_exportable(self) -> list[str]:
        """What in this configuration diffusers' prior cannot express; empty when it can."""
        reasons = {
            "text_tokens off: it reads the caption's token states": not self.text_tokens,
            "schedule linear: its scheduler knows cosine only": self.schedule == "linear",
        }
        return [reason for reason, holds in reasons.items() if holds]


class Text(NamedTuple):
    """What the prior knows of a caption. The embedding is un-normalised; tokens only if it reads them."""

    embedding: Float[Tensor, "b d"]
    hidden: Float[Tensor, "b l w"] | None = None
    mask: Bool[Tensor, "b l"] | None = None


class Prefix(NamedTuple):
    """Keys and values of a caption's part of the row, by layer, and which of its tokens are real."""

    keys_values: tuple[KeysValues, ...]
    real: Bool[Tensor, "b l"]

    def __len__(self) -> int:
        return len(self.real)

    def expanded(self, count: int) -> "Prefix":
        """Let a prefix of one caption stand for `count` of them, without copying it."""
        spread = tuple(
            (k.expand(count, -1, -1, -1), v.expand(count, -1, -1, -1)) for k, v in self.keys_values
        )
        return Prefix(spread, self.real.expand(count, -1))


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
        self.text_in = Linear(embedding_width, width)
        self.image_in = Linear(embedding_width, width)
        self.time_in = nn.Sequential(Linear(width, width), nn.SiLU(), Linear(width, width))
        self.tokens_in = Linear(text_width, width) if config.text_tokens else None
        self.query = nn.Parameter(torch.zeros(width))
        length = OWN_TOKENS + (config.context_length if config.text_tokens else 0)
        self.positions = nn.Parameter(0.01 * torch.randn(length, width))
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.out = Linear(width, embedding_width)
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

    def prefix(self, text: Text) -> Prefix:
        """Run the caption's tokens through the layers; the last one's own output is never needed."""
        row = (self.text_in((text.embedding - self.text_mean) / self.text_std) + self.positions[-4])[:, None]
        real = torch.ones(row.shape[:2], dtype=torch.bool, device=row.device)
        if self.tokens_in is not None:
            tokens = self.tokens_in(text.hidden)
            row = torch.cat([tokens + self.positions[: tokens.shape[1]], row], 1)
            real = torch.cat([text.mask, real], 1)
        visible = causal_mask(row.shape[1], real, row.device)
        keys_values = []
        for layer in self.layers[:-1]:
            keys_values.append(layer.keys_values(row))
            row = layer(row, keys_values[-1], visible)
        keys_values.append(self.layers[-1].keys_values(row))
        return Prefix(tuple(keys_values), real)

    def forward(
        self, x_t: Float[Tensor, "n d"], t: Int[Tensor, " n"], told: Text | Prefix
    ) -> Float[Tensor, "n d"]:
        """Estimate x_0. Of b captions told, each has n / b draws, which lie together in `x_t`."""
        prefix = told if isinstance(told, Prefix) else self.prefix(told)
        draws = len(x_t) // len(prefix)
        if draws * len(prefix) != len(x_t):
            raise ValueError(f"every caption needs as many draws, got {len(x_t)} of {len(prefix)} captions")
        time = self.time_in(time_features(t, self.config.width))
        drawn = torch.stack([time, self.image_in(x_t), self.query.expand(len(x_t), -1)], 1)
        row = (drawn + self.positions[-DRAWN_TOKENS:]).unflatten(0, (-1, draws)).flatten(1, 2)
        visible = drawn_mask(prefix.real, draws)
        for layer, (k, v) in zip(self.layers, prefix.keys_values, strict=True):
            own_k, own_v = layer.keys_values(row)
            both = torch.cat([k, own_k], 2), torch.cat([v, own_v], 2)
            if layer is self.layers[-1]:  # only the query's row is read
                row, visible = (
                    row[:, DRAWN_TOKENS - 1 :: DRAWN_TOKENS],
                    visible[:, :, DRAWN_TOKENS - 1 :: DRAWN_TOKENS],
                )
            row = layer(row, both, visible)
        return self.out(self.norm(row)).flatten(0, 1).float()


class Layer(nn.Module):
    """Pre-norm attention and a four times wider GELU network."""

    def __init__(self, config: PriorConfig):
        super().__init__()
        self.heads = config.heads
        self.norm1, self.norm2 = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.qkv = Linear(config.width, 3 * config.width)
        self.out = Linear(config.width, config.width)
        self.wide = Linear(config.width, 4 * config.width)
        self.narrow = Linear(4 * config.width, config.width)
        self.dropout = nn.Dropout(config.dropout)

    def keys_values(self, x: Float[Tensor, "b l w"]) -> KeysValues:
        """What later tokens may look up of these."""
        width = x.shape[-1]
        both = linear(self.norm1(x), self.qkv.weight[width:], self.qkv.bias[width:])
        k, v = (self._by_head(part) for part in both.chunk(2, -1))
        return k, v

    def forward(
        self, x: Float[Tensor, "b l w"], keys_values: KeysValues, visible: Bool[Tensor, "#b 1 l m"]
    ) -> Float[Tensor, "b l w"]:
        width = x.shape[-1]
        q = self._by_head(linear(self.norm1(x), self.qkv.weight[:width], self.qkv.bias[:width]))
        x = x + self.dropout(self.out(attend(q, *keys_values, visible).transpose(1, 2).flatten(2)))
        return x + self.dropout(self.narrow(F.gelu(self.wide(self.norm2(x)))))

    def _by_head(self, x: Float[Tensor, "b l w"]) -> Float[Tensor, "b heads l v"]:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def causal_mask(length: int, real: Bool[Tensor, "b l"], device: torch.device) -> Bool[Tensor, "b 1 l l"]:
    """True where a token may look: at itself and before it, but never at padding."""
    before = torch.ones(length, length, dtype=torch.bool, device=device).tril()[None, None]
    return before & (real[:, None, None, :] | torch.eye(length, dtype=torch.bool, device=device))


def drawn_mask(real: Bool[Tensor, "b l"], draws: int) -> Bool[Tensor, "b 1 n m"]:
    """True where the tokens of several draws may look: at the caption, and before them within their draw."""
    own = torch.block_diag(*[torch.ones(DRAWN_TOKENS, DRAWN_TOKENS, device=real.device).tril()] * draws)
    size = draws * DRAWN_TOKENS
    before = real[:, None, None, :].expand(-1, -1, size, -1)
    return torch.cat([before, own.bool()[None, None].expand(len(real), 1, -1, -1)], 3)


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
