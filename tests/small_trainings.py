"""The four trainings on made-up rows: real networks, losses and optimizers, small enough to run in a moment."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from networks import awake, noise
from unclip_pipeline.clip.model import ClipConfig, initial_model, scratch_architecture
from unclip_pipeline.models.prior import Prior, PriorConfig, Text
from unclip_pipeline.models.unet import Unet, UnetConfig
from unclip_pipeline.training.clip import ClipTraining, Corpus, clip_loss
from unclip_pipeline.training.decoder import DecoderBatch, DecoderTraining, decoder_loss
from unclip_pipeline.training.loop import Loss, part_size
from unclip_pipeline.training.optim import TrainConfig, hidden_matrices
from unclip_pipeline.training.prior import PriorBatch, PriorTraining, prior_loss
from unclip_pipeline.training.state import TrainingState, initialised
from unclip_pipeline.training.upsampler import UpsamplerBatch, UpsamplerTraining, upsampler_loss

NAMES = ("prior", "decoder", "upsampler", "clip")
ROWS, WIDTH, TOKENS = 24, 8, 5
RUN = dict(images=48, batch_size=8, warmup_images=8, checkpoint_images=16, precision="float32")
SMALL = dict(channels=(8, 16), head_width=8, norm_groups=4, target="v")
DECODER = UnetConfig(side_px=8, attention=(False, True), condition_width=16, text_tokens=True, **SMALL)
UPSAMPLER = UnetConfig(side_px=16, low_side_px=8, attention=(False, False), **SMALL)
CLIP = ClipConfig(
    width=16, image_side_px=16, channels=(4, 8), text_width=16, text_heads=2, text_layers=2, context_length=12
)


class Training(NamedTuple):
    state: TrainingState
    batches: Callable[[int], Any]
    loss: Loss
    config: TrainConfig


def small_training(name: str, **options: Any) -> Training:
    """Make a training by its name; options are fields of its configuration."""
    model, batches_of, loss, config = MAKERS[name](RUN | options)
    state = TrainingState.start(model, config, muon=hidden_matrices(model) if config.muon else ())
    rows = torch.arange(ROWS).repeat(3)
    size = part_size(config)

    def batches(position: int) -> Any:
        return batches_of(rows[position % ROWS : position % ROWS + size], position)

    return Training(state, batches, loss, config)


def texts(rows: torch.Tensor) -> Text:
    """Captions of different lengths."""
    real = torch.arange(TOKENS) < (2 + rows % (TOKENS - 1))[:, None]
    return Text(noise(ROWS, WIDTH, seed=2)[rows], noise(ROWS, TOKENS, WIDTH, seed=3)[rows], real)


def uids(rows: torch.Tensor) -> list[str]:
    return [f"uid{row}" for row in rows.tolist()]


def _prior(run: dict[str, Any]) -> tuple[nn.Module, Callable[..., Any], Loss, TrainConfig]:
    architecture = PriorConfig(
        width=16, layers=2, heads=2, text_tokens=True, context_length=TOKENS, dropout=0.1
    )
    config = PriorTraining(**run, draws=2)
    model = initialised(lambda: awake(Prior(architecture, embedding_width=WIDTH, text_width=WIDTH)), seed=0)
    return (
        model,
        lambda rows, _: PriorBatch(noise(ROWS, WIDTH)[rows], texts(rows), uids(rows)),
        prior_loss(config, Text(*(part[:1] for part in texts(torch.tensor([0])))), "cosine"),
        config,
    )


def _decoder(run: dict[str, Any]) -> tuple[nn.Module, Callable[..., Any], Loss, TrainConfig]:
    config = DecoderTraining(**run)
    model = initialised(lambda: awake(Unet(DECODER, embedding_width=WIDTH, text_width=WIDTH)), seed=0)
    model.checkpointing = True
    return (
        model,
        lambda rows, _: DecoderBatch(
            noise(ROWS, 3, 8, 8, seed=1)[rows], noise(ROWS, WIDTH)[rows], texts(rows), uids(rows)
        ),
        decoder_loss(config, texts(torch.tensor([0])), DECODER),
        config,
    )


def _upsampler(run: dict[str, Any]) -> tuple[nn.Module, Callable[..., Any], Loss, TrainConfig]:
    def batch(rows: torch.Tensor, _: int) -> UpsamplerBatch:
        pictures, small = noise(2, ROWS, 3, 16, 16, seed=1)[:, rows]
        return UpsamplerBatch(pictures, small, noise(ROWS, seed=2)[rows].abs(), uids(rows))

    config = UpsamplerTraining(**run, crop_px=16)
    return initialised(lambda: awake(Unet(UPSAMPLER)), seed=0), batch, upsampler_loss(UPSAMPLER), config


def _clip(run: dict[str, Any]) -> tuple[nn.Module, Callable[..., Any], Loss, TrainConfig]:
    architecture = scratch_architecture(CLIP)
    images = np.random.default_rng(0).integers(0, 256, (ROWS, 3, 16, 16), dtype=np.uint8)
    captions = [f"{'a very ' * (row % 3)}small disc number {row}" for row in range(ROWS)]
    corpus = Corpus(images, captions, uids(torch.arange(ROWS)), architecture, torch.device("cpu"))
    config = ClipTraining(**run)
    model = corpus.shrink(initial_model(CLIP, seed=0))
    at = corpus.batches(model, part_size(config), seed=0)
    return model, lambda _, position: at(position), clip_loss(architecture, config), config


MAKERS = {"prior": _prior, "decoder": _decoder, "upsampler": _upsampler, "clip": _clip}
