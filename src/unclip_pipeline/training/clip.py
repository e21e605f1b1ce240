"""What CLIP learns: which caption of a batch belongs to which picture, without learning wrong captions by heart."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from unclip_pipeline.clip import text
from unclip_pipeline.clip.encoder import make_tokenizer, model_input
from unclip_pipeline.clip.model import MAX_LOGIT_SCALE
from unclip_pipeline.clip.open_clip_guard import open_clip
from unclip_pipeline.clip.vocabulary import UsedTokens
from unclip_pipeline.corpus.epochs import batches_of
from unclip_pipeline.training.distributed import gathered
from unclip_pipeline.training.loop import Loss
from unclip_pipeline.training.optim import TrainConfig

# Those that touch pixels: of the small tower, of open_clip's own, of timm's
ADAMW_LAYERS = (
    "visual.trunk.stages.0.0.*",
    "visual.conv1.*",
    "visual.trunk.stem*",
    "visual.trunk.patch_embed*",
)
ROBUST_AFTER = 0.3  # share of the run in which the loss moves from cross-entropy to its robust form


@dataclass(frozen=True, kw_only=True)
class ClipTraining(TrainConfig):
    """How a CLIP is trained from scratch."""

    batch_size: int = 128
    weight_decay: float = 0.1
    robustness: float = 0.7  # 0: cross-entropy; towards 1: pairs that do not fit count less and less
    word_dropout: float = 0.0  # share of a caption's tokens left out; small corpora want some
    preview_images: int = 12_000  # images between two validations while training; 0: only at the end

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.robustness <= 1:
            raise ValueError(f"train_clip.robustness must lie in 0..1, got {self.robustness}")
        if not 0 <= self.word_dropout < 1 or self.preview_images < 0:
            raise ValueError(
                "train_clip.word_dropout must lie in [0, 1) and preview_images must not be negative, got "
                f"{self.word_dropout=} and {self.preview_images=}"
            )
        if self.sharding != "none":
            raise ValueError(
                "train_clip.sharding must be none, since FSDP2 shards no scalar such as CLIP's logit_scale; got "
                f"{self.sharding!r}; leave it out, and each process keeps the whole model"
            )
        if self.micro_batches:
            raise ValueError(
                "train_clip.micro_batches must be 0, since a pair is told from all others of its batch; got "
                f"{self.micro_batches}; processes share a batch without it"
            )


class ClipBatch(NamedTuple):
    images: UInt8[Tensor, "b 3 s s"]
    tokens: Int[Tensor, "b l"]
    uids: list[str]
    images_seen: int  # before this batch


class Corpus:
    """Pictures and captions to learn from, with the token table cut down to what the captions use."""

    def __init__(
        self,
        images: UInt8[np.ndarray, "n 3 s s"],
        captions: Sequence[str],
        uids: Sequence[str],
        architecture: dict[str, Any],
        device: torch.device,
    ) -> None:
        tokens = make_tokenizer(architecture)(list(captions))
        self.images, self.uids, self.device = images, np.asarray(uids, dtype=str), device
        self.used = UsedTokens(tokens)
        self.tokens = self.used.compact(tokens)

    def batches(self, model: nn.Module, batch_size: int, *, seed: int) -> Callable[[int], ClipBatch]:
        """Batches by position, every picture once an epoch."""
        draw = batches_of(np.arange(len(self.uids)), np.ones(len(self.uids)), seed=seed)

        def at(images_seen: int) -> ClipBatch:
            drawn = draw(images_seen, batch_size)
            tokens = text.trimmed(model.text, self.tokens[torch.from_numpy(drawn)])
            images = torch.from_numpy(self.images[drawn])
            return ClipBatch(
                images.to(self.device), tokens.to(self.device), self.uids[drawn].tolist(), images_seen
            )

        return at

    def shrink(self, model: nn.Module) -> nn.Module:
        """Give a copy of a model to train: its token table holds the used rows alone."""
        small = deepcopy(model)
        small.text.token_embedding = self.used.shrink(model.text.token_embedding)
        small.visual.to(memory_format=torch.channels_last)  # 1.35 times as fast on CPUs
        return small.to(self.device)

    def restore(self, model: nn.Module, trained: nn.Module) -> nn.Module:
        """Give a copy of the trained model with the whole token table of `model`, on the CPU."""
        whole = deepcopy(trained).cpu()
        whole.text.token_embedding = self.used.restore(model.text.token_embedding, whole.text.token_embedding)
        return whole


def clip_loss(architecture: dict[str, Any], training: ClipTraining) -> Loss[ClipBatch]:
    """Symmetric loss over open_clip's logits of a batch (Radford et al., 2021), in its robust form.

    With cross-entropy the few wrong captions of a scraped corpus dominate the gradient once the right ones
    are learned, and the network learns them by heart: on the default world's 8% that costs a third of the
    shapes of unseen combinations. Of several processes each embeds its part of the batch and compares all.
    """
    logits_of = open_clip.ClipLoss().get_logits

    def loss(
        model: nn.Module, batch: ClipBatch, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float | Tensor]]:
        with torch.no_grad():  # in place: beyond a clamp of its value no gradient would lead back
            model.logit_scale.clamp_(max=MAX_LOGIT_SCALE)
        tokens = drop_words(model.text, batch.tokens, training.word_dropout, generator)
        images = model.visual(model_input(batch.images, architecture)).float()
        texts = text.text_embeddings(model.text, tokens).float()
        with torch.autocast(images.device.type, enabled=False):
            scale = model.logit_scale.exp()
            images, texts = (gathered(F.normalize(part, dim=1)) for part in (images, texts))
            by_image, by_text = logits_of(images, texts, scale)
        images_seen = batch.images_seen // training.batch_size * training.batch_size  # the same for all parts
        q = training.robustness * min(1.0, images_seen / (ROBUST_AFTER * training.images))
        value = (robust_cross_entropy(by_image, q) + robust_cross_entropy(by_text, q)) / 2
        own = torch.arange(len(by_image), device=by_image.device)
        accuracy = (by_image.detach().argmax(1) == own).float().mean()
        return value, {"batch_accuracy": accuracy, "logit_scale": scale.detach()}

    return loss


def robust_cross_entropy(logits: Float[Tensor, "b b"], q: float) -> Float[Tensor, ""]:
    """Mean of (1 - p^q) / q over the probability p of each row's own column (Zhang & Sabuncu, 2018, eq. 6).

    Its gradient is that of cross-entropy times p^q: what the model finds impossible does not pull.
    Cross-entropy at q = 0; at q = 1 the share of probability that is misplaced.
    """
    own = torch.arange(len(logits), device=logits.device)
    surprise = F.cross_entropy(logits, own, reduction="none")
    return surprise.mean() if q == 0 else -torch.expm1(-q * surprise).mean() / q


def drop_words(
    tower: nn.Module, tokens: Int[Tensor, "b l"], share: float, generator: torch.Generator
) -> Int[Tensor, "b m"]:
    """Leave out a share of the tokens at random and close the gaps; start and end of the text stay."""
    if share == 0:
        return tokens
    places, ends = torch.arange(tokens.shape[1]), text.end_positions(tower, tokens).cpu()[:, None]
    kept = torch.rand(tokens.shape, generator=generator) >= share
    kept = (kept | (places == 0) | (places == ends)) & (places <= ends)
    order = (~kept).to(torch.uint8).argsort(dim=1, stable=True).to(tokens.device)
    closed = torch.where(kept.to(tokens.device).gather(1, order), tokens.gather(1, order), 0)
    return text.trimmed(tower, closed)
