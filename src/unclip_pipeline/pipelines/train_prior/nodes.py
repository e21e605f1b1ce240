"""Adapters between the catalog, the training loop and the prior's validation."""

import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from unclip_pipeline.clip.encoder import load_encoder
from unclip_pipeline.corpus.places import DatasetPlace
from unclip_pipeline.corpus.released import Dataset
from unclip_pipeline.models.prior import Prior, PriorConfig, prior_weights
from unclip_pipeline.pipelines.train_prior.validation import validate
from unclip_pipeline.provenance import code_revision
from unclip_pipeline.seeds import seed_of
from unclip_pipeline.tracking import log_metrics, note_exportable, watch
from unclip_pipeline.training.devices import default_device
from unclip_pipeline.training.loop import is_due, resumable
from unclip_pipeline.training.optim import muon_matrices
from unclip_pipeline.training.pairs import Pairs
from unclip_pipeline.training.prior import (
    ADAMW_LAYERS,
    PriorTraining,
    empty_text,
    prior_batches,
    prior_loss,
)
from unclip_pipeline.training.state import TrainingState, initialised, run_identity
from unclip_pipeline.weights import Weights

STAGE = "train_prior"


def train_prior(
    dataset: DatasetPlace,
    clip: Weights,
    scratch: Path,
    architecture: PriorConfig,
    config: PriorTraining,
    seed: int,
) -> tuple[Weights, dict[str, Any], pd.DataFrame]:
    """Train on the rows of split train; validate the averaged weights on the held-out ones."""
    note_exportable(architecture.why_not_exportable())
    released, device = Dataset.open(dataset), default_device()
    encoder = load_encoder(clip, device)
    pairs = Pairs(released, released.rows("train"), device=device)
    prior = new_prior(architecture, pairs, encoder.text_width, seed=seed).to(device)
    state = TrainingState.start(prior, config, muon=muon_matrices(prior, config, exclude=ADAMW_LAYERS))
    tokens = architecture.text_tokens
    batches = prior_batches(pairs, encoder, config, tokens=tokens, seed=seed)
    empty = empty_text(encoder, tokens=tokens)
    loss = prior_loss(config, empty, architecture.schedule)
    identity = run_identity(architecture, config, released.version, encoder.embedder_id, seed)
    steps = resumable(state, batches, loss, config, seed=seed, scratch=scratch, identity=identity)
    heldout = released.rows("heldout")
    for step in watch(steps, stage=STAGE, images=config.images):
        if is_due(step, config.preview_images, config):
            metrics = validate(state.ema, pairs, heldout, encoder, empty, seed=seed)
            log_metrics(metrics, step=step.images_seen)
    facts = {
        "embedder_id": encoder.embedder_id,
        "dataset_version": released.version,
        "code_revision": code_revision(),
        "images_seen": state.images_seen,
        "exportable": not architecture.why_not_exportable(),
        "why_not_exportable": architecture.why_not_exportable(),
    }
    metrics = validate(state.ema, pairs, heldout, encoder, empty, seed=seed)
    return (
        prior_weights(state.ema, facts),
        metrics | {"images_seen": state.images_seen},
        state.history.table(),
    )


def new_prior(architecture: PriorConfig, pairs: Pairs, text_width: int, *, seed: int) -> Prior:
    """A prior of random weights that knows mean and deviation of the training embeddings."""
    width = pairs.dataset.embedding_width
    prior = initialised(
        lambda: Prior(architecture, embedding_width=width, text_width=text_width), seed=seed_of(seed, STAGE)
    )
    prior.measure(pairs.image_embeddings(pairs.measured_rows), pairs.text_embeddings(pairs.measured_rows))
    return prior


def discard_checkpoints(weights: Weights, scratch: Path) -> None:
    """Remove the rolling checkpoints, now that the weights they led to are stored."""
    shutil.rmtree(scratch, ignore_errors=True)
