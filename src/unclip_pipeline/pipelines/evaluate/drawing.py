"""The evaluation's samples: held-out captions drawn in three ways, captions of training pictures in one."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from unclip_pipeline.corpus.images import encode_png
from unclip_pipeline.corpus.released import Dataset
from unclip_pipeline.metrics.alignment import unit
from unclip_pipeline.pipelines.evaluate.plan import EvaluateConfig, Plan, Rows
from unclip_pipeline.progress import progress
from unclip_pipeline.seeds import seed_of
from unclip_pipeline.unclip import UnClip


def draw_samples(
    unclip: UnClip, dataset: Dataset, plan: Plan, config: EvaluateConfig, *, seed: int
) -> pd.DataFrame:
    """Draw every prompt of the plan; one row per sample, with the embedding it was drawn from.

    Conditions: `text` decodes the caption's own embedding at the usual length of an image embedding, `prior`
    the prior's, `image` that of the true picture. The noise is the same in all three.
    """
    parts = [(plan.heldout, way, True) for way in ("text", "prior", "image")] + [(plan.seen, "prior", False)]
    length = float(np.linalg.norm(dataset.image_embeddings(plan.seen_references), axis=1).mean())
    batches = [
        (rows[start : start + config.batch_size], way, held_out, seed_of(seed, "evaluate", start))
        for rows, way, held_out in parts
        for start in range(0, len(rows), config.batch_size)
    ]
    drawn = [
        _draw(unclip, dataset, *batch, length)
        for batch in progress(batches, label="evaluate: drawing", unit="batch")
    ]
    return pd.concat(drawn, ignore_index=True)


def _draw(
    unclip: UnClip, dataset: Dataset, rows: Rows, way: str, held_out: bool, seed: int, length: float
) -> pd.DataFrame:
    captions = dataset.captions(rows)
    if way == "prior":
        embeddings = unclip.sample_image_embeddings(captions, seed=seed)
    elif way == "image":
        embeddings = torch.from_numpy(dataset.image_embeddings(rows))
    else:
        texts = unit(dataset.text_embeddings(rows)) * length
        embeddings = torch.from_numpy(texts.astype(np.float32))
    small = unclip.decode(embeddings, captions, seed=seed)
    large = unclip.upsample(small, embeddings, seed=seed, names=captions)
    uids = dataset.uids(rows)
    return pd.DataFrame(
        {
            "sample": [f"{way}-{uid}" for uid in uids],
            "uid": uids,
            "caption": captions,
            "condition": way,
            "held_out": held_out,
            "seed": seed,
            "small_png": _pngs(small),
            "png": _pngs(large),
            "embedding": list(embeddings.float().numpy()),
        }
    )


def _pngs(images: Tensor) -> list[bytes]:
    return [encode_png(image) for image in images.permute(0, 2, 3, 1).numpy()]
