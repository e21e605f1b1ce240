"""Adapters between the catalog, the stack and the evaluation's measures."""

from typing import Any

import pandas as pd

from unclip_pipeline.cards.evaluation import evaluation_page, uids_shown
from unclip_pipeline.cards.gallery import dataset_pictures
from unclip_pipeline.corpus.places import DatasetPlace
from unclip_pipeline.corpus.released import Dataset
from unclip_pipeline.pipelines.evaluate import drawing, measuring, sweep
from unclip_pipeline.pipelines.evaluate.plan import EvaluateConfig, make_plan
from unclip_pipeline.unclip import SamplingConfig, UnClip
from unclip_pipeline.weights import Weights

PICTURE_SIDE_PX = 64
HEADLINES = ("r_precision_prior", "fd_clip_prior", "fd_clip_real", "copies_tiles_heldout_excess")


def draw(
    dataset: DatasetPlace,
    clip: Weights,
    prior: Weights,
    decoder: Weights,
    sampling: SamplingConfig,
    evaluate: EvaluateConfig,
    seed: int,
    **upsamplers: Weights,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw held-out captions in three ways and at several scales of guidance, and captions of training pictures."""
    released = Dataset.open(dataset)
    unclip = UnClip.from_weights(clip=clip, prior=prior, decoder=decoder, sampling=sampling, **upsamplers)
    plan = make_plan(released, evaluate, seed=seed)
    samples = drawing.draw_samples(unclip, released, plan, evaluate, seed=seed)
    return samples, sweep.draw_sweep(unclip, released, plan, evaluate, seed=seed)


def measure(
    samples: pd.DataFrame,
    guidance_samples: pd.DataFrame,
    dataset: DatasetPlace,
    clip: Weights,
    prior: Weights,
    decoder: Weights,
    sampling: SamplingConfig,
    evaluate: EvaluateConfig,
    seed: int,
    **upsamplers: Weights,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Measure pictures, embeddings, super-resolution, guidance and copies."""
    released = Dataset.open(dataset)
    unclip = UnClip.from_weights(clip=clip, prior=prior, decoder=decoder, sampling=sampling, **upsamplers)
    plan = make_plan(released, evaluate, seed=seed)
    copies, nearest = measuring.measure_copies(samples, released, plan, unclip.encoder, evaluate)
    figures = {
        **measuring.measure_pictures(samples, released, plan, unclip.encoder, evaluate),
        **measuring.measure_embeddings(samples, released, plan, evaluate, seed=seed),
        **measuring.measure_upsampler(unclip, released, plan, seed=seed),
        **sweep.measure_sweep(guidance_samples, released, plan, unclip.encoder, evaluate),
        **copies,
        "guidance_prior": sampling.prior_guidance,
        "guidance_decoder": sampling.decoder_guidance,
        "dataset_version": released.version,
    }
    return headlines_first(figures), nearest


def report(
    evaluate_metrics: dict[str, Any],
    samples: pd.DataFrame,
    guidance_samples: pd.DataFrame,
    nearest_training: pd.DataFrame,
    dataset: DatasetPlace,
) -> str:
    """Show samples, what each part adds, what guidance does, figures with floors, and the nearest training pictures."""
    released = Dataset.open(dataset)
    shown = dataset_pictures(released, uids_shown(samples, nearest_training), PICTURE_SIDE_PX)
    return evaluation_page(
        evaluate_metrics,
        samples=samples,
        guided=guidance_samples,
        nearest=nearest_training,
        pictures_by_uid=shown,
    )


def headlines_first(figures: dict[str, Any]) -> dict[str, Any]:
    """Put the figures a reader asks for first in front: the stage's line shows the first four."""
    return {name: figures[name] for name in HEADLINES} | figures
