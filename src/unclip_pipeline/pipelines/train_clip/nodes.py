"""Adapters between the catalog, the CLIP and the training loop."""

import hashlib
import json
import shutil
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from unclip_pipeline.clip.encoder import Encoder, embedder_id_of
from unclip_pipeline.clip.model import SCRATCH, ClipConfig, initial_model, named_weights, scratch_architecture
from unclip_pipeline.corpus.intervals import share_metrics
from unclip_pipeline.corpus.vectors import unit
from unclip_pipeline.pipelines.train_clip.corpus import Pictures, read_pictures, split_validation
from unclip_pipeline.provenance import code_revision
from unclip_pipeline.seeds import seed_of
from unclip_pipeline.tracking import log_metrics, watch
from unclip_pipeline.training.clip import STEM, ClipTraining, Corpus, clip_loss
from unclip_pipeline.training.loop import checkpointed, resume, train
from unclip_pipeline.training.optim import hidden_matrices
from unclip_pipeline.training.state import TrainingState
from unclip_pipeline.weights import Weights

RETRIEVAL_AMONG = 64
HISTORY = ("images_seen", "loss", "batch_accuracy", "logit_scale", "gradient_norm")
Trained = tuple[Weights, dict[str, int | float], pd.DataFrame]


def train_clip(
    raw_shards: Path,
    ledger: pd.DataFrame,
    scratch: Path,
    config: ClipConfig,
    training: ClipTraining,
    seed: int,
) -> Trained:
    """Train the encoder on what was fetched, or load the one that `clip.source` names."""
    if config.source != SCRATCH:
        weights = named_weights(config)
        weights.config["embedder_id"] = embedder_id_of(weights)
        return weights, {"images_seen": 0}, pd.DataFrame(columns=list(HISTORY))
    architecture = scratch_architecture(config)
    pictures, validation = split_validation(
        read_pictures(raw_shards, ledger, config.image_side_px), config.validation_share
    )
    corpus = Corpus(pictures.images, pictures.captions, pictures.uids, architecture)
    whole = initial_model(config, seed=seed_of(seed, "train_clip"))
    state = TrainingState.start(corpus.shrink(whole), training, muon=hidden_matrices(whole, exclude=[STEM]))
    identity = _identity(config, training, pictures, seed)
    history = _run(state, corpus, architecture, whole, validation, training, scratch, identity, seed)
    weights = _weights(corpus.restore(whole, state.ema), architecture, state.images_seen)
    metrics = _retrieval(_encoder(corpus.restore(whole, state.ema), architecture), validation)
    shutil.rmtree(scratch, ignore_errors=True)
    return weights, {**metrics, "loss": history["loss"].iloc[-1], "rows": len(pictures.uids)}, history


def _run(
    state: TrainingState,
    corpus: Corpus,
    architecture: dict[str, Any],
    whole: nn.Module,
    validation: Pictures,
    training: ClipTraining,
    scratch: Path,
    identity: str,
    seed: int,
) -> pd.DataFrame:
    resume(state, scratch, identity=identity)
    batches = corpus.batches(state.model, training.batch_size, seed=seed_of(seed, "train_clip", "order"))
    steps = train(
        state, batches, clip_loss(architecture), training, seed=seed_of(seed, "train_clip", "steps")
    )
    steps = checkpointed(steps, state, scratch, training, identity=identity)
    rows = []
    for step in watch(steps, stage="train_clip", images=training.images):
        rows.append({"images_seen": step.images_seen, **step.metrics})
        if training.preview_images and step.images_seen % training.preview_images < training.batch_size:
            encoder = _encoder(corpus.restore(whole, state.ema), architecture)
            log_metrics(_retrieval(encoder, validation), step=step.images_seen)
    return pd.DataFrame(rows)


def _retrieval(encoder: Encoder, pictures: Pictures) -> dict[str, int | float]:
    """Find each picture's caption among 64: R@1 with its interval; chance is 1/64."""
    pixels = torch.from_numpy(pictures.images)
    images = unit(torch.cat([encoder.images(part) for part in pixels.split(256)]).numpy())
    texts = unit(encoder.texts(pictures.captions).numpy())
    groups = np.arange(len(images) // RETRIEVAL_AMONG * RETRIEVAL_AMONG).reshape(-1, RETRIEVAL_AMONG)
    hits = sum(int(((images[g] @ texts[g].T).argmax(1) == np.arange(RETRIEVAL_AMONG)).sum()) for g in groups)
    return share_metrics("retrieval_at_1_of_64", hits, groups.size)


def _encoder(model: nn.Module, architecture: dict[str, Any]) -> Encoder:
    return Encoder(deepcopy(model), architecture, "in training")


def _weights(model: nn.Module, architecture: dict[str, Any], images_seen: int) -> Weights:
    facts = {"kind": "clip", "architecture": architecture, "images_seen": images_seen}
    weights = Weights(dict(model.state_dict()), {**facts, "code_revision": code_revision()})
    weights.config["embedder_id"] = embedder_id_of(weights)
    return weights


def _identity(config: ClipConfig, training: ClipTraining, pictures: Pictures, seed: int) -> str:
    said = json.dumps([asdict(config), asdict(training), seed, sorted(pictures.uids)])
    return hashlib.sha256(said.encode()).hexdigest()
