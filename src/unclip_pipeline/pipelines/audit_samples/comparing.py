"""Drawn and training pictures of the same thing, ready to be compared."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import UInt8
from torch import Tensor

from unclip_pipeline.bias.axes import label_images
from unclip_pipeline.bias.sample_audit import Pictures, Prompt
from unclip_pipeline.clip.encoder import Encoder
from unclip_pipeline.corpus.images import decode_rgb
from unclip_pipeline.corpus.released import Dataset
from unclip_pipeline.corpus.vectors import unit
from unclip_pipeline.metrics.random_features import random_features
from unclip_pipeline.pipelines.audit_samples.config import AuditSamplesConfig
from unclip_pipeline.seeds import seeded_numpy


def prompts_to_compare(
    samples: pd.DataFrame,
    dataset: Dataset,
    training_labels: pd.DataFrame,
    encoder: Encoder,
    axes: Mapping[str, Any],
    config: AuditSamplesConfig,
    *,
    min_probability: float,
    seed: int,
) -> list[Prompt]:
    """Pair each prompt's samples with training pictures whose captions say its word.

    Both are labelled in the same way. A prompt whose word too few captions say is left out.
    """
    if missing := sorted(set(config.axes) - set(axes)):
        raise ValueError(f"audit_samples.axes names {missing}, the axes of audit_axes are {sorted(axes)}")
    axes = {axis: axes[axis] for axis in config.axes or axes}
    labels = training_labels.set_index("uid")[list(axes)]
    train = dataset.rows("train")
    captions = dataset.captions(train)
    prompts = []
    for word, drawn in samples.groupby("occupation", sort=False):
        rows = train[[says(caption, str(word)) for caption in captions]]
        if len(rows) >= config.least_references:
            pictures = _pixels(drawn["png"])
            embeddings = unit(torch.cat([encoder.images(part).cpu() for part in pictures.split(256)]).numpy())
            read = label_images(
                embeddings,
                axes,
                lambda texts: encoder.texts(texts).float().cpu().numpy(),
                scale=encoder.logit_scale,
                min_probability=min_probability,
            )
            prompts.append(
                Prompt(
                    word=str(word),
                    text=drawn["prompt"].iloc[0],
                    drawn=Pictures(read, {"clip": embeddings, "random": random_features(pictures)}),
                    training=_training(dataset, rows, labels, config, pictures.shape[-1], seed, str(word)),
                )
            )
    return prompts


def says(caption: str, word: str) -> bool:
    """Tell whether a caption has the word, as a whole word in any case."""
    return re.search(rf"\b{re.escape(word)}\b", caption, re.IGNORECASE) is not None


def _training(
    dataset: Dataset,
    rows: np.ndarray,
    labels: pd.DataFrame,
    config: AuditSamplesConfig,
    side_px: int,
    seed: int,
    word: str,
) -> Pictures:
    some = seeded_numpy(seed, "audit_samples", "references", word).permutation(rows)[: config.most_references]
    features = {
        "clip": unit(dataset.image_embeddings(some)),
        "random": random_features(torch.from_numpy(dataset.images(some, side_px))),
    }
    return Pictures(labels.loc[dataset.uids(rows)], features, dataset.weights(rows))


def _pixels(pngs: pd.Series) -> UInt8[Tensor, "n 3 s s"]:
    return torch.from_numpy(np.stack([decode_rgb(png) for png in pngs])).permute(0, 3, 1, 2).contiguous()
