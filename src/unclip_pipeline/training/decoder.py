"""What the decoder learns: a small picture, after its image embedding and its caption."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unclip_pipeline.clip.encoder import Encoder
from unclip_pipeline.diffusion.process import add_noise, min_snr_weight, random_steps, target_of, x_0_of
from unclip_pipeline.diffusion.schedule import named_schedule
from unclip_pipeline.diffusion.variance import variational_bound
from unclip_pipeline.models.prior import Text
from unclip_pipeline.models.unet import Condition, Unet, UnetConfig
from unclip_pipeline.training.loop import Loss
from unclip_pipeline.training.optim import UnetTraining
from unclip_pipeline.training.pairs import Pairs, Read, Rows
from unclip_pipeline.training.prior import replaced_text, text_of

VARIANCE_SHARE = 0.001  # of the variational bound in the loss (Nichol & Dhariwal, 2021, eq. 16)

# Layers that touch pixels, steps or embeddings
ADAMW_LAYERS = (
    "conv_in.*",
    "conv_out.*",
    "time.0.*",
    "text_in.*",
    "embed.to_time.*",
    "embed.to_tokens.*",
    "embed.trunk.0.*",
)


@dataclass(frozen=True, kw_only=True)
class DecoderTraining(UnetTraining):
    """How the decoder is trained. The shares dropped are what guidance is learned from."""

    image_dropout: float = 0.1
    text_dropout: float = 0.5
    joint_dropout: float = 0.05  # at least so often both at once, as guided sampling asks
    min_snr_gamma: float = 0.0  # no noise level's x_0 error counts more than this; 0: plain squared error

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("image_dropout", "text_dropout", "joint_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in [0, 1), got {getattr(self, name)}")
        if self.joint_dropout > min(self.image_dropout, self.text_dropout):
            raise ValueError(
                "joint_dropout is part of image_dropout and of text_dropout, got "
                f"{self.joint_dropout=}, {self.image_dropout=}, {self.text_dropout=}; lower it"
            )


class DecoderBatch(NamedTuple):
    picture: Float[Tensor, "b 3 s s"]
    image_embedding: Float[Tensor, "b d"]
    text: Text
    uids: list[str]


class Dropped(NamedTuple):
    """Which rows of a batch are told nothing of their picture, or of their caption."""

    image: Bool[Tensor, " b"]
    text: Bool[Tensor, " b"]


def decoder_batches(
    pairs: Pairs, encoder: Encoder, config: DecoderTraining, *, tokens: bool, seed: int
) -> Callable[[int], DecoderBatch]:
    """Batches by position."""
    read_at = pairs.ahead(config, seed=seed)
    return lambda images_seen: _batch(pairs, read_at(images_seen), encoder, tokens=tokens)


def decoder_batch(pairs: Pairs, rows: Rows, encoder: Encoder, *, tokens: bool) -> DecoderBatch:
    """These rows; token states are computed by the encoder only if the decoder reads them."""
    return _batch(pairs, pairs.read(rows), encoder, tokens=tokens)


def _batch(pairs: Pairs, read: Read, encoder: Encoder, *, tokens: bool) -> DecoderBatch:
    return DecoderBatch(
        read.pictures.float() / 127.5 - 1,
        read.image_embeddings,
        text_of(read.text_embeddings, pairs.dataset.captions(read.rows), encoder, tokens=tokens),
        pairs.dataset.uids(read.rows),
    )


def draw_dropped(count: int, config: DecoderTraining, generator: torch.Generator) -> Dropped:
    """Drop each condition at its own rate, both together at `joint_dropout` exactly."""
    u, v = torch.rand(2, count, generator=generator)
    both = u < config.joint_dropout
    image = u < config.image_dropout
    rest = (config.text_dropout - config.joint_dropout) / (1 - config.image_dropout)
    return Dropped(image, both | (~image & (v < rest)))


def decoder_loss(config: DecoderTraining, empty: Text, architecture: UnetConfig) -> Loss[DecoderBatch]:
    """Squared error of the network's target, weighted by min-SNR if asked."""
    schedule = named_schedule(architecture.schedule, shift=architecture.schedule_shift)

    def loss(
        unet: Unet, batch: DecoderBatch, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float | Tensor]]:
        x_0 = batch.picture
        count, device = len(x_0), x_0.device
        dropped = Dropped(*(part.to(device) for part in draw_dropped(count, config, generator)))
        image = torch.where(dropped.image[:, None], unet.embed.null_embedding, batch.image_embedding)
        text = replaced_text(batch.text, empty, dropped.text)
        t = random_steps(count, schedule, generator).to(device)
        eps = torch.randn(x_0.shape, generator=generator).to(device)
        condition = Condition(image, text.embedding, text.hidden, text.mask)
        x_t = add_noise(x_0, eps, t, schedule)
        said, share = unet(x_t, t, condition), None
        if architecture.learned_variance:
            said, share = said.chunk(2, 1)
        error = (said - target_of(architecture.target, x_0, eps, t, schedule)).square().flatten(1).mean(1)
        value, shown = error.mean(), {}
        if config.min_snr_gamma:
            weight = min_snr_weight(t, schedule, target=architecture.target, gamma=config.min_snr_gamma)
            value, shown = (weight * error).mean(), {"squared_error": value.detach()}
        if share is not None:
            estimate = x_0_of(architecture.target, said.detach().float(), x_t, t, schedule)
            bound = variational_bound(x_0, x_t, estimate, share, t, schedule).mean()
            value, shown = value + VARIANCE_SHARE * bound, {**shown, "variational_bound": bound.detach()}
        return value, shown

    return loss
