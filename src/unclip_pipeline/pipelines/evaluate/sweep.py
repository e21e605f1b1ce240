"""What the decoder's guidance does: the same captions, embeddings and noise, drawn at several scales."""

from copy import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from unclip_pipeline.clip.encoder import Encoder
from unclip_pipeline.corpus.images import encode_png
from unclip_pipeline.corpus.released import Dataset
from unclip_pipeline.metrics.estimate import flatten
from unclip_pipeline.metrics.evaluation import Captions, Extractors, picture_metrics
from unclip_pipeline.metrics.random_features import random_extractor_id
from unclip_pipeline.pipelines.evaluate.measuring import described, pictures_of
from unclip_pipeline.pipelines.evaluate.plan import EvaluateConfig, Plan
from unclip_pipeline.progress import progress
from unclip_pipeline.seeds import seed_of
from unclip_pipeline.unclip import SamplingConfig, UnClip

MEASURES = ("clip_score", "r_precision", "fd_clip", "fd_random", "recall_random")


def draw_sweep(
    unclip: UnClip, dataset: Dataset, plan: Plan, config: EvaluateConfig, *, seed: int
) -> pd.DataFrame:
    """Draw the first held-out captions at every scale, small: enlarging is the same for all."""
    rows = plan.heldout[: config.guidance_prompts]
    captions, uids = dataset.captions(rows), dataset.uids(rows)
    own_seed = seed_of(seed, "evaluate", "guidance")
    embeddings = unclip.sample_image_embeddings(captions, seed=own_seed)
    drawn = []
    for scale in progress(config.guidance_scales, label="evaluate: guidance", unit="scale"):
        guided = sampled(unclip, replace(unclip.sampling, decoder_guidance=float(scale)))
        small = guided.decode(embeddings, captions, seed=own_seed)
        pngs = [encode_png(image) for image in small.permute(0, 2, 3, 1).numpy()]
        drawn.append(pd.DataFrame({"guidance": float(scale), "uid": uids, "caption": captions, "png": pngs}))
    return pd.concat(drawn, ignore_index=True)


def measure_sweep(
    drawn: pd.DataFrame, dataset: Dataset, plan: Plan, encoder: Encoder, config: EvaluateConfig
) -> dict[str, float | int]:
    """Measure each scale as `guided_<measure>_<scale>`, and the true pictures at the same size as `_real`."""
    by_scale = {f"{scale:g}": rows for scale, rows in drawn.groupby("guidance")}
    pictures = {scale: pictures_of(rows) for scale, rows in by_scale.items()}
    side_px, count = next(iter(pictures.values())).shape[-1], len(next(iter(by_scale.values())))
    real, others = (
        described(torch.from_numpy(dataset.images(rows[:count], side_px)), encoder)
        for rows in (plan.heldout, plan.others)
    )
    words, own = np.unique(np.array(dataset.captions(plan.heldout)), return_inverse=True)
    found = picture_metrics(
        {scale: described(images, encoder) for scale, images in pictures.items()},
        real,
        others,
        Captions(encoder.texts(words.tolist()).double().cpu().numpy(), own[:count]),
        neighbours=config.neighbours,
        extractors=Extractors(encoder.embedder_id, random_extractor_id()),
    )
    told = {f"guided_{name}": one for name, one in found.items() if name.startswith(MEASURES)}
    return flatten(told)


def sampled(unclip: UnClip, sampling: SamplingConfig) -> UnClip:
    """The same stack, drawing in another way."""
    other = copy(unclip)
    other.sampling = sampling
    return other
