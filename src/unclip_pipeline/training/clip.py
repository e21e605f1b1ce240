"""What CLIP learns: which caption of a batch belongs to which picture."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from unclip_pipeline.clip import text
from unclip_pipeline.clip.encoder import make_tokenizer, model_input
from unclip_pipeline.clip.model import MAX_LOGIT_SCALE
from unclip_pipeline.clip.vocabulary import UsedTokens
from unclip_pipeline.corpus.released import batch_rows
from unclip_pipeline.training.loop import Loss
from unclip_pipeline.training.optim import TrainConfig

STEM = "visual.trunk.stages.0.0.*"  # touches pixels: trained by AdamW


@dataclass(frozen=True, kw_only=True)
class ClipTraining(TrainConfig):
    """How CLIP is trained."""

    batch_size: int = 128
    preview_images: int = 12_000  # images between two validations while training; 0: only at the end


class ClipBatch(NamedTuple):
    images: UInt8[Tensor, "b 3 s s"]
    tokens: Int[Tensor, "b l"]
    uids: list[str]


class Corpus:
    """Pictures and captions to learn from, with the token table cut down to what the captions use."""

    def __init__(
        self,
        images: UInt8[np.ndarray, "n 3 s s"],
        captions: Sequence[str],
        uids: Sequence[str],
        architecture: dict[str, Any],
    ) -> None:
        tokens = make_tokenizer(architecture)(list(captions))
        self.images, self.uids = images, list(uids)
        self.used = UsedTokens(tokens)
        self.tokens = self.used.compact(tokens)

    def batches(self, model: nn.Module, batch_size: int, *, seed: int) -> Callable[[int], ClipBatch]:
        """Batches by position, every picture once an epoch."""
        rows, weights = np.arange(len(self.uids)), np.ones(len(self.uids))

        def at(images_seen: int) -> ClipBatch:
            drawn = batch_rows(rows, weights, seed=seed, images_seen=images_seen, batch_size=batch_size)
            tokens = text.trimmed(model.text, self.tokens[torch.from_numpy(drawn)])
            return ClipBatch(torch.from_numpy(self.images[drawn]), tokens, [self.uids[row] for row in drawn])

        return at

    def shrink(self, model: nn.Module) -> nn.Module:
        """Give a copy of a model whose token table holds the used rows alone."""
        small = deepcopy(model)
        small.visual.to(memory_format=torch.channels_last)  # 1.3 times the speed in convolutions
        small.text.token_embedding = self.used.shrink(model.text.token_embedding)
        return small

    def restore(self, model: nn.Module, trained: nn.Module) -> nn.Module:
        """Give a copy of the trained model with the whole token table of `model`."""
        whole = deepcopy(trained)
        whole.text.token_embedding = self.used.restore(
            model.text.token_embedding, trained.text.token_embedding
        )
        return whole


def clip_loss(architecture: dict[str, Any]) -> Loss[ClipBatch]:
    """Symmetric cross-entropy over the cosines of a batch (Radford et al., 2021, figure 3)."""

    def loss(
        model: nn.Module, batch: ClipBatch, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float | Tensor]]:
        images = model.visual(model_input(batch.images, architecture)).float()
        texts = text.text_embeddings(model.text, batch.tokens).float()
        with torch.autocast(images.device.type, enabled=False):
            scale = model.logit_scale.clamp(max=MAX_LOGIT_SCALE).exp()
            logits = scale * F.normalize(images, dim=1) @ F.normalize(texts, dim=1).T
        own = torch.arange(len(logits), device=logits.device)
        value = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
        return value, {
            "batch_accuracy": (logits.argmax(1) == own).float().mean(),
            "logit_scale": scale.detach(),
        }

    return loss
