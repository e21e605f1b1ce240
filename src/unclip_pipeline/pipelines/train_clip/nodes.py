"""Adapters between the catalog, the CLIP and the training loop."""

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from torch import nn

from unclip_pipeline.clip.encoder import Encoder, embedder_id_of, load_encoder
from unclip_pipeline.clip.model import SCRATCH, ClipConfig, initial_model, scratch_architecture
from unclip_pipeline.clip.named import named_weights
from unclip_pipeline.clip.zero_shot import Question, ZeroShotConfig, questions
from unclip_pipeline.export.towers import why_text_not_exportable
from unclip_pipeline.pipelines.train_clip.corpus import (
    Pictures,
    read_pictures,
    split_validation,
    training_uids,
)
from unclip_pipeline.pipelines.train_clip.validation import retrieval_sheet, validate
from unclip_pipeline.provenance import code_revision
from unclip_pipeline.seeds import seed_of
from unclip_pipeline.tracking import log_image, log_metrics, note_exportable, watch
from unclip_pipeline.training.clip import ADAMW_LAYERS, ClipTraining, Corpus, clip_loss
from unclip_pipeline.training.devices import default_device
from unclip_pipeline.training.history import History
from unclip_pipeline.training.loop import is_due, part_size, resumable
from unclip_pipeline.training.optim import muon_matrices
from unclip_pipeline.training.state import TrainingState, run_identity
from unclip_pipeline.weights import Weights

STAGE = "train_clip"
MOST_VALIDATED = 1024  # pairs: a large named model takes its time on a CPU


class HeldBack(NamedTuple):
    """Pictures that nothing is learned from, and what is asked of them."""

    pictures: Pictures
    asked: list[Question]


def train_clip(
    raw_shards: Path,
    ledger: pd.DataFrame,
    scratch: Path,
    config: ClipConfig,
    training: ClipTraining,
    zero_shot: ZeroShotConfig,
    seed: int,
) -> tuple[Weights, dict[str, int | float], pd.DataFrame]:
    """Train the encoder on what was fetched, or load the one that `clip.source` names; validate it."""
    learned, held_back = split_validation(training_uids(ledger), config.validation_share)
    history = History(images=training.images)
    named = None if config.source == SCRATCH else named_weights(config)
    architecture = named.config["architecture"] if named else scratch_architecture(config)
    note_exportable(why_text_not_exportable(architecture))
    side_px = architecture["preprocessing"]["size"]
    pictures = read_pictures(raw_shards, held_back[:MOST_VALIDATED], side_px, scratch / "validation.npy")
    held = HeldBack(pictures, questions(zero_shot, pictures.captions))
    if named:
        weights = _with_facts(named, {"images_seen": 0})
    else:
        shown = read_pictures(raw_shards, learned, side_px, scratch / "pictures.npy")
        weights = _train(shown, held, scratch, config, training, history, seed)
    found = validate(load_encoder(weights, default_device()), *held)
    log_image(retrieval_sheet(pictures, found), "retrieval/sheet")
    log_metrics(found.metrics, step=weights.config["images_seen"])  # where the curve ends
    seen = {"images_seen": weights.config["images_seen"], "training_pairs": len(learned)}
    return weights, found.metrics | seen, history.table()


def _train(
    pictures: Pictures,
    held: HeldBack,
    scratch: Path,
    config: ClipConfig,
    training: ClipTraining,
    history: History,
    seed: int,
) -> Weights:
    architecture, device = scratch_architecture(config), default_device()
    corpus = Corpus(pictures.images, pictures.captions, pictures.uids, architecture, device)
    whole = initial_model(config, seed=seed_of(seed, STAGE))
    state = TrainingState.start(
        corpus.shrink(whole), training, muon=muon_matrices(whole, training, exclude=ADAMW_LAYERS)
    )
    batches = corpus.batches(state.model, part_size(training), seed=seed_of(seed, STAGE, "order"))
    loss, identity = clip_loss(architecture, training), run_identity(config, training, pictures.uids, seed)
    steps = resumable(
        state, batches, loss, training, seed=seed_of(seed, STAGE, "steps"), scratch=scratch, identity=identity
    )
    state.history = history
    for step in watch(steps, stage=STAGE, images=training.images):
        if is_due(step, training.preview_images, training):
            encoder = _preview(corpus.restore(whole, state.ema), architecture)
            log_metrics(validate(encoder, *held).metrics, step=step.images_seen)
    tensors = dict(corpus.restore(whole, state.ema).state_dict())
    weights = Weights(tensors, {"kind": "clip", "architecture": architecture})
    return _with_facts(weights, {"images_seen": state.images_seen, "training_pairs": len(pictures.uids)})


def _preview(model: nn.Module, architecture: dict[str, Any]) -> Encoder:
    return Encoder(model.to(default_device()), architecture, "in training")


def _with_facts(weights: Weights, facts: dict[str, Any]) -> Weights:
    known = {**weights.config, **facts, "code_revision": code_revision()}
    return Weights(weights.tensors, known | {"embedder_id": embedder_id_of(weights)})


def discard_checkpoints(weights: Weights, scratch: Path) -> None:
    """Remove checkpoints and decoded pictures, now that the weights they led to are stored."""
    shutil.rmtree(scratch, ignore_errors=True)
