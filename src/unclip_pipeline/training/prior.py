"""What the prior learns: the image embedding of a caption, from a noisy one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from unclip_pipeline.clip.encoder import Encoder
from unclip_pipeline.diffusion.process import add_noise, random_steps
from unclip_pipeline.diffusion.schedule import named_schedule
from unclip_pipeline.models.prior import Prior, Text
from unclip_pipeline.training.loop import Loss
from unclip_pipeline.training.optim import PairsTraining
from unclip_pipeline.training.pairs import Pairs, Rows

ADAMW_LAYERS = ("text_in.*", "image_in.*", "tokens_in.*", "out.*")  # those that touch embeddings


@dataclass(frozen=True, kw_only=True)
class PriorTraining(PairsTraining):
    """How the prior is trained."""

    batch_size: int = 256
    text_dropout: float = 0.1  # share of captions replaced by the empty one, for guidance
    draws: int = 1  # steps and noises drawn a caption; more share its part of the work, not its variance

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.text_dropout < 1:
            raise ValueError(f"text_dropout must lie in [0, 1), got {self.text_dropout}")
        if self.draws < 1:
            raise ValueError(
                f"train_prior.draws must be at least 1, got {self.draws}; 2 pay with text tokens"
            )


class PriorBatch(NamedTuple):
    image: Float[Tensor, "b d"]
    text: Text
    uids: list[str]


def prior_batches(
    pairs: Pairs, encoder: Encoder, config: PriorTraining, *, tokens: bool, seed: int
) -> Callable[[int], PriorBatch]:
    """Batches by position; token states are computed by the encoder only if the prior reads them."""
    read_at = pairs.ahead(config, seed=seed)

    def batch(images_seen: int) -> PriorBatch:
        read = read_at(images_seen)
        captions = pairs.dataset.captions(read.rows)
        text = text_of(read.text_embeddings, captions, encoder, tokens=tokens)
        return PriorBatch(read.image_embeddings, text, pairs.dataset.uids(read.rows))

    return batch


def texts(pairs: Pairs, rows: Rows, encoder: Encoder, *, tokens: bool) -> Text:
    """What a network is told of the captions of these rows."""
    return text_of(pairs.text_embeddings(rows), pairs.dataset.captions(rows), encoder, tokens=tokens)


def text_of(
    embeddings: Float[Tensor, "b d"], captions: Sequence[str], encoder: Encoder, *, tokens: bool
) -> Text:
    """What a network is told of these captions, whose embeddings are known."""
    if not tokens:
        return Text(embeddings)
    states = encoder.text_tokens(captions)
    return Text(embeddings, states.hidden, states.mask)


def empty_text(encoder: Encoder, *, tokens: bool) -> Text:
    """What a network is told of the empty caption, one row."""
    text = Text(encoder.texts([""]))
    if not tokens:
        return text
    states = encoder.text_tokens([""])
    return text._replace(hidden=states.hidden, mask=states.mask)


def replaced_text(text: Text, other: Text, where: Bool[Tensor, " b"]) -> Text:
    """`text` with the single row of `other` in the rows that `where` marks."""
    embedding = torch.where(where[:, None], other.embedding, text.embedding)
    if text.hidden is None:
        return Text(embedding)
    missing = text.hidden.shape[1] - other.hidden.shape[1]
    hidden = F.pad(other.hidden, (0, 0, 0, missing))
    mask = F.pad(other.mask, (0, missing), value=False)
    return Text(
        embedding,
        torch.where(where[:, None, None], hidden, text.hidden),
        torch.where(where[:, None], mask, text.mask),
    )


def prior_loss(config: PriorTraining, empty: Text, schedule_name: str) -> Loss[PriorBatch]:
    """Mean squared error of x_0 in the standardised space, a share of the captions being unknown."""
    schedule = named_schedule(schedule_name)

    def loss(
        prior: Prior, batch: PriorBatch, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float | Tensor]]:
        captions, device = len(batch.image), batch.image.device
        unknown = torch.rand(captions, generator=generator).to(device) < config.text_dropout
        x_0 = prior.standardised(batch.image).repeat_interleave(config.draws, 0)
        t = random_steps(len(x_0), schedule, generator).to(device)
        eps = torch.randn(x_0.shape, generator=generator).to(device)
        said = prior(add_noise(x_0, eps, t, schedule), t, replaced_text(batch.text, empty, unknown))
        return (said - x_0).square().mean(), {}

    return loss
