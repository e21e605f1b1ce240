"""Adapters between the catalog, the training loop and super-resolution's validation."""

import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from unclip_pipeline.corpus.places import DatasetPlace
from unclip_pipeline.corpus.released import Dataset
from unclip_pipeline.models.unet import Unet, UnetConfig, unet_weights
from unclip_pipeline.pipelines.train_upsampler.validation import Previews, validate
from unclip_pipeline.provenance import code_revision
from unclip_pipeline.seeds import seed_of
from unclip_pipeline.tracking import log_image, note_exportable, watch
from unclip_pipeline.training.decoder import ADAMW_LAYERS
from unclip_pipeline.training.devices import default_device
from unclip_pipeline.training.loop import is_due, resumable
from unclip_pipeline.training.optim import muon_matrices
from unclip_pipeline.training.pairs import Pairs
from unclip_pipeline.training.state import TrainingState, initialised, run_identity
from unclip_pipeline.training.upsampler import UpsamplerTraining, upsampler_batches, upsampler_loss
from unclip_pipeline.weights import Weights

STAGE = "train_upsampler"


def train_upsampler(
    dataset: DatasetPlace, scratch: Path, architecture: UnetConfig, config: UpsamplerTraining, seed: int
) -> tuple[Weights, dict[str, Any], pd.DataFrame]:
    """Train on crops of the rows of split train; validate at full size on the held-out ones."""
    note_exportable(architecture.why_not_exportable())
    released, device = Dataset.open(dataset), default_device()
    pairs = Pairs(released, released.rows("train"), architecture.side_px, device)
    unet = initialised(lambda: Unet(architecture), seed=seed_of(seed, STAGE)).to(device)
    unet.checkpointing = config.gradient_checkpointing
    state = TrainingState.start(unet, config, muon=muon_matrices(unet, config, exclude=ADAMW_LAYERS))
    batches = upsampler_batches(pairs, config, architecture, seed=seed)
    identity = run_identity(architecture, config, released.version, seed)
    loss = upsampler_loss(architecture)
    steps = resumable(state, batches, loss, config, seed=seed, scratch=scratch, identity=identity)
    heldout = Pairs(released, released.rows("heldout"), architecture.side_px, device)
    previews = Previews(heldout, config.sampling_steps, seed)
    for step in watch(steps, stage=f"{STAGE} to {architecture.side_px} px", images=config.images):
        if is_due(step, config.preview_images, config):
            log_image(previews.sheet(state.ema), "samples/grid", step=step.images_seen)
    found = validate(state.ema, heldout, config.sampling_steps, seed=seed)
    log_image(previews.sheet(state.ema, found.best_noise), "samples/grid", step=state.images_seen)
    facts = {
        "dataset_version": released.version,
        "code_revision": code_revision(),
        "images_seen": state.images_seen,
        "sampling_steps": config.sampling_steps,
        "best_noise": found.best_noise,
        "exportable": not architecture.why_not_exportable(),
        "why_not_exportable": architecture.why_not_exportable(),
    }
    metrics = found.metrics | {"images_seen": state.images_seen}
    return unet_weights(state.ema, "upsampler", facts), metrics, state.history.table()


def discard_checkpoints(weights: Weights, scratch: Path) -> None:
    """Remove the rolling checkpoints, now that the weights they led to are stored."""
    shutil.rmtree(scratch, ignore_errors=True)
