"""Noise draws per caption of the prior at equal computing time: python benchmarks/prior_draws.py

Trains the prior of conf/base on a dataset version with each number of draws for the same seconds of one thread,
the schedule of the learning rate ending with them, and measures it on the held-out rows.
"""

import argparse
import itertools
import os
import platform
import time
from pathlib import Path

import torch

from unclip_pipeline.clip.encoder import Encoder, load_encoder
from unclip_pipeline.corpus.released import Dataset
from unclip_pipeline.models.prior import PriorConfig
from unclip_pipeline.pipelines.train_prior.nodes import new_prior
from unclip_pipeline.pipelines.train_prior.validation import validate
from unclip_pipeline.training.loop import train
from unclip_pipeline.training.optim import muon_matrices
from unclip_pipeline.training.pairs import Pairs
from unclip_pipeline.training.prior import (
    ADAMW_LAYERS,
    PriorTraining,
    empty_text,
    prior_batches,
    prior_loss,
)
from unclip_pipeline.training.state import TrainingState
from unclip_pipeline.weights import load_weights

TIMED_STEPS = 15
SHOWN = ("cosine_prior", "retrieval_prior", "fd_prior", "fd_share_of_shifted")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, default=Path("data/05_model_input/dataset"))
    parser.add_argument("--clip", type=Path, default=Path("data/06_models/clip"))
    parser.add_argument("--draws", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--captions", type=int, default=256, help="of a batch")
    parser.add_argument(
        "--equal-rows", action="store_true", help="as many captions as give equal rows a batch"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--text-tokens", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{platform.machine()}, {os.cpu_count()} cores, 1 thread, torch {torch.__version__}, {options}")
    pairs = Pairs(Dataset.open(options.dataset), Dataset.open(options.dataset).rows("train"))
    encoder = load_encoder(load_weights(options.clip))
    architecture = PriorConfig(text_tokens=options.text_tokens)
    print("draws seed captions  steps    CPU s " + " ".join(f"{name:>20}" for name in SHOWN))
    for seed, draws in itertools.product(options.seeds, options.draws):
        captions = options.captions // draws if options.equal_rows else options.captions
        config = as_long_as(options.seconds, pairs, encoder, architecture, draws=draws, captions=captions)
        began_s = time.process_time()
        state = trained(pairs, encoder, architecture, config, seed=seed)
        took_s = time.process_time() - began_s
        empty = empty_text(encoder, tokens=architecture.text_tokens)
        found = validate(state.ema, pairs, pairs.dataset.rows("heldout"), encoder, empty, seed=0)
        figures = " ".join(f"{found[name]:20.4f}" for name in SHOWN)
        steps = config.images // config.batch_size
        print(f"{draws:5d} {seed:4d} {captions:8d} {steps:6d} {took_s:8.1f} {figures}", flush=True)


def as_long_as(
    seconds: float, pairs: Pairs, encoder: Encoder, architecture: PriorConfig, *, draws: int, captions: int
) -> PriorTraining:
    """Find how many images are seen in these seconds of this thread."""
    few = PriorTraining(images=TIMED_STEPS * captions, batch_size=captions, draws=draws, warmup_images=0)
    trained(pairs, encoder, architecture, few, seed=0)  # the first steps are slower
    began_s = time.process_time()
    trained(pairs, encoder, architecture, few, seed=0)
    step_s = (time.process_time() - began_s) / TIMED_STEPS
    return PriorTraining(images=round(seconds / step_s) * captions, batch_size=captions, draws=draws)


def trained(
    pairs: Pairs, encoder: Encoder, architecture: PriorConfig, config: PriorTraining, *, seed: int
) -> TrainingState:
    """Train a new prior to the end."""
    prior = new_prior(architecture, pairs, encoder.text_width, seed=seed)
    state = TrainingState.start(prior, config, muon=muon_matrices(prior, config, exclude=ADAMW_LAYERS))
    tokens = architecture.text_tokens
    batches = prior_batches(pairs, encoder, config, tokens=tokens, seed=seed)
    loss = prior_loss(config, empty_text(encoder, tokens=tokens), architecture.schedule)
    for _step in train(state, batches, loss, config, seed=seed):
        pass
    return state


if __name__ == "__main__":
    main()
