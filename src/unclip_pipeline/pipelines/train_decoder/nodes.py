"""Adapters between the catalog, the training loop and the decoder's validation."""

import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from unclip_pipeline.clip.encoder import load_encoder
from unclip_pipeline.corpus.places import DatasetPlace
from unclip_pipeline.corpus.released import Dataset
from unclip_pipeline.models.unet import Unet, UnetConfig, unet_weights
from unclip_pipeline.pipelines.train_decoder.validation import Previews, validate
from unclip_pipeline.provenance import code_revision
from unclip_pipeline.seeds import seed_of
from unclip_pipeline.tracking import log_image, note_exportable, watch
from unclip_pipeline.training.decoder import ADAMW_LAYERS, DecoderTraining, decoder_batches, decoder_loss
from unclip_pipeline.training.devices import default_device
from unclip_pipeline.training.loop import is_due, resumable
from unclip_pipeline.training.optim import muon_matrices
from unclip_pipeline.training.pairs import Pairs
from unclip_pipeline.training.prior import empty_text
from unclip_pipeline.training.state import TrainingState, initialised, run_identity
from unclip_pipeline.weights import Weights

STAGE = "train_decoder"


def train_decoder(
    dataset: DatasetPlace,
    clip: Weights,
    scratch: Path,
    architecture: UnetConfig,
    config: DecoderTraining,
    seed: int,
) -> tuple[Weights, dict[str, Any], pd.DataFrame]:
    """Train on the rows of split train; validate the averaged weights on the held-out ones."""
    note_exportable(architecture.why_not_exportable())
    released, device = Dataset.open(dataset), default_device()
    encoder = load_encoder(clip, device)
    pairs = Pairs(released, released.rows("train"), architecture.side_px, device)
    unet = new_decoder(architecture, pairs, encoder.text_width, seed=seed).to(device)
    unet.checkpointing = config.gradient_checkpointing
    state = TrainingState.start(unet, config, muon=muon_matrices(unet, config, exclude=ADAMW_LAYERS))
    tokens = architecture.text_tokens
    batches = decoder_batches(pairs, encoder, config, tokens=tokens, seed=seed)
    empty = empty_text(encoder, tokens=tokens)
    loss = decoder_loss(config, empty, architecture)
    identity = run_identity(architecture, config, released.version, encoder.embedder_id, seed)
    steps = resumable(state, batches, loss, config, seed=seed, scratch=scratch, identity=identity)
    heldout = Pairs(released, released.rows("heldout"), architecture.side_px, device)
    previews = Previews(heldout, encoder, empty, seed=seed)
    for step in watch(steps, stage=STAGE, images=config.images):
        if is_due(step, config.preview_images, config):
            log_image(previews.sheet(state.ema), "samples/grid", step=step.images_seen)
    log_image(previews.sheet(state.ema), "samples/grid", step=state.images_seen)
    facts = {
        "embedder_id": encoder.embedder_id,
        "dataset_version": released.version,
        "code_revision": code_revision(),
        "images_seen": state.images_seen,
        "exportable": not architecture.why_not_exportable(),
        "why_not_exportable": architecture.why_not_exportable(),
    }
    metrics = validate(state.ema, heldout, encoder, loss, seed=seed) | {"images_seen": state.images_seen}
    return unet_weights(state.ema, "decoder", facts), metrics, state.history.table()


def new_decoder(architecture: UnetConfig, pairs: Pairs, text_width: int, *, seed: int) -> Unet:
    """A decoder of random weights that knows mean and deviation of the training embeddings."""
    unet = initialised(
        lambda: Unet(architecture, embedding_width=pairs.dataset.embedding_width, text_width=text_width),
        seed=seed_of(seed, STAGE),
    )
    unet.embed.measure(
        pairs.image_embeddings(pairs.measured_rows), pairs.text_embeddings(pairs.measured_rows)
    )
    return unet


def discard_checkpoints(weights: Weights, scratch: Path) -> None:
    """Remove the rolling checkpoints, now that the weights they led to are stored."""
    shutil.rmtree(scratch, ignore_errors=True)
