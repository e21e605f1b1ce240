"""Copies found among samples: one pass over the training pictures for samples and reference alike."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from unclip_pipeline.metrics.estimate import Estimate
from unclip_pipeline.metrics.memorisation import Nearest, copy_rates, nearest, ratio_of

MEASURES = ("tiles", "ratio", "clip")


class Group(NamedTuple):
    """Samples, and pictures of the same kind that the model cannot have copied.

    For held-out captions these are held-out pictures. For captions of training pictures they are training
    pictures that must not find themselves (`own_row`, -1 for none).
    """

    samples: Float[Tensor, "tiles n p"]
    reference: Float[Tensor, "tiles m p"]
    reference_own_row: Int[np.ndarray, " m"]


class Found(NamedTuple):
    samples: Nearest
    reference: Nearest


def search(
    groups: Mapping[str, Group], index: Iterable[Float[Tensor, "tiles _ p"]], *, k: int
) -> dict[str, Found]:
    """Find the k nearest training rows of every group's samples and reference in one pass."""
    parts = [part for group in groups.values() for part in (group.samples, group.reference)]
    own_rows = [
        rows
        for group in groups.values()
        for rows in (np.full(group.samples.shape[1], -1), group.reference_own_row)
    ]
    found = nearest(torch.cat(parts, 1), index, k=k, own_row=np.concatenate(own_rows))
    ends = np.cumsum([part.shape[1] for part in parts])[:-1]
    pieces = [
        Nearest(rows, distances)
        for rows, distances in zip(np.split(found.rows, ends), np.split(found.distances, ends), strict=True)
    ]
    return {name: Found(*pieces[2 * i : 2 * i + 2]) for i, name in enumerate(groups)}


def copy_metrics(
    tiles: Mapping[str, Found], clip: Mapping[str, Found], *, false_positive_rate: float, extractor: str
) -> dict[str, Estimate | float]:
    """Compare samples with reference pictures by group and distance; the excess is what speaks of copying."""
    figures: dict[str, Estimate | float] = {}
    for group in tiles:
        scores = {
            "tiles": (tiles[group].samples.distances[:, 0], tiles[group].reference.distances[:, 0]),
            "ratio": (ratio_of(tiles[group].samples), ratio_of(tiles[group].reference)),
            "clip": (clip[group].samples.distances[:, 0], clip[group].reference.distances[:, 0]),
        }
        for measure, (mine, reference) in scores.items():
            named = extractor if measure == "clip" else "pixels"
            rates = copy_rates(mine, reference, false_positive_rate=false_positive_rate, extractor=named)
            stem = f"copies_{measure}_{group}"
            figures[f"{stem}_excess"] = rates.excess
            figures[f"{stem}_flagged"] = rates.flagged
            figures[f"{stem}_reference"] = rates.reference_flagged
            figures[f"{stem}_nearer_p"] = rates.nearer
            figures[f"{stem}_threshold"] = rates.threshold
    return figures


def nearest_table(names: list[str], uids: np.ndarray, found: Nearest, measure: str) -> pd.DataFrame:
    """Write neighbours as rows: sample, rank from 1, uid of the training picture, distance, measure."""
    n, k = found.rows.shape
    return pd.DataFrame(
        {
            "sample": np.repeat(names, k),
            "rank": np.tile(np.arange(1, k + 1), n),
            "uid": uids[found.rows.ravel()],
            "distance": found.distances.ravel(),
            "measure": measure,
        }
    )
