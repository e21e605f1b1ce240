"""Adapters between the catalog, the stack and the evaluation's measures."""

from pathlib import Path
from typing import Any

import pandas as pd

from unclip_pipeline.cards.evaluation import evaluation_page, uids_shown
from unclip_pipeline.cards.gallery import dataset_pictures
from unclip_pipeline.corpus.released import Dataset
from unclip_pipeline.pipelines.evaluate import drawing, measuring
from unclip_pipeline.pipelines.evaluate.plan import EvaluateConfig, make_plan
from unclip_pipeline.unclip import SamplingConfig, UnClip
from unclip_pipeline.weights import Weights

PICTURE_SIDE_PX = 64
HEADLINES = ("r_precision_prior", "fd_clip_prior", "fd_clip_real", "copies_tiles_heldout_excess")


def draw(
    dataset: Path,
    clip: Weights,
    prior: Weights,
    decoder: Weights,
    sampling: SamplingConfig,
    evaluate: EvaluateConfig,
    seed: int,
    **upsamplers: Weights,
) -> pd.DataFrame:
    """Draw held-out captions in three ways, and captions of training pictures."""
    released = Dataset.open(dataset)
    unclip = UnClip.from_weights(clip=clip, prior=prior, decoder=decoder, sampling=sampling, **upsamplers)
    return drawing.draw_samples(
        unclip, released, make_plan(released, evaluate, seed=seed), evaluate, seed=seed
    )


def measure(
    samples: pd.DataFrame,
    dataset: Path,
    clip: Weights,
    prior: Weights,
    decoder: Weights,
    sampling: SamplingConfig,
    evaluate: EvaluateConfig,
    seed: int,
    **upsamplers: Weights,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Measure pictures, embeddings, super-resolution and copies."""
    released = Dataset.open(dataset)
    unclip = UnClip.from_weights(clip=clip, prior=prior, decoder=decoder, sampling=sampling, **upsamplers)
    plan = make_plan(released, evaluate, seed=seed)
    copies, nearest = measuring.measure_copies(samples, released, plan, unclip.encoder, evaluate)
    figures = {
        **measuring.measure_pictures(samples, released, plan, unclip.encoder, evaluate),
        **measuring.measure_embeddings(samples, released, plan, evaluate, seed=seed),
        **measuring.measure_upsampler(unclip, released, plan, seed=seed),
        **copies,
        "guidance_prior": sampling.prior_guidance,
        "guidance_decoder": sampling.decoder_guidance,
        "dataset_version": released.version,
    }
    return headlines_first(figures), nearest


def report(
    evaluate_metrics: dict[str, Any], samples: pd.DataFrame, nearest_training: pd.DataFrame, dataset: Path
) -> str:
    """Show samples, what each part adds, figures with floors, and the nearest training pictures."""
    released = Dataset.open(dataset)
    shown = dataset_pictures(released, uids_shown(samples, nearest_training), PICTURE_SIDE_PX)
    return evaluation_page(evaluate_metrics, samples=samples, nearest=nearest_training, pictures_by_uid=shown)


def headlines_first(figures: dict[str, Any]) -> dict[str, Any]:
    """Put the figures a reader asks for first in front: the stage's line shows the first four."""
    return {name: figures[name] for name in HEADLINES} | figures
