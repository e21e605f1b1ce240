"""The keep rule: which of several copies stays, and what stands for those that go."""

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from unclip_pipeline.curation.pairs import Pairs


def rank(rows: pd.DataFrame) -> Int[np.ndarray, " n"]:
    """Order rows from the one that is kept first: held out, then most similar, largest, longest caption.

    Held-out rows come first so that no training image is a near-duplicate of one; the uid breaks ties.
    """
    keys = pd.DataFrame(
        {
            "heldout": rows["split"] != "heldout",
            "similarity": -rows["similarity"],
            "pixels": -(rows["width"] * rows["height"]).astype("float64"),
            "caption": -rows["caption"].str.len(),
            "uid": rows["uid"],
        }
    )
    return keys.reset_index(drop=True).sort_values(list(keys)).index.to_numpy()


def greedy_cover(n: int, pairs: Pairs, strength: Float[np.ndarray, " m"]) -> Int[np.ndarray, " n"]:
    """Name for each of n ranked rows what stands for it: itself, or the kept neighbour it is closest to.

    A row is dropped only if a kept row of higher rank is its neighbour, so every dropped row has one and no
    two kept rows are neighbours.
    """
    standing = np.arange(n)
    order = np.lexsort((-strength, pairs.second))
    first, second = pairs.first[order], pairs.second[order]
    starts = np.flatnonzero(np.diff(second, prepend=-1))
    for start, end in zip(starts, np.append(starts, len(second))[1:], strict=True):
        neighbours = first[start:end]
        kept = neighbours[standing[neighbours] == neighbours]
        if len(kept):
            standing[second[start]] = kept[0]
    return standing


def hubs_first(heldout: Bool[np.ndarray, " n"], pairs: Pairs) -> Int[np.ndarray, " n"]:
    """Reorder ranked rows: held-out ones still first, then those that most others are copies of.

    A cropped and a stamped copy may not look alike, while the picture they were made from stands for both.
    """
    degree = np.bincount(np.concatenate([pairs.first, pairs.second]), minlength=len(heldout))
    return np.lexsort((np.arange(len(heldout)), -degree, ~heldout))


def renumbered(pairs: Pairs, order: Int[np.ndarray, " n"]) -> Pairs:
    """Number rows by their place in this order."""
    place = np.argsort(order)
    first, second = place[pairs.first], place[pairs.second]
    return Pairs(np.minimum(first, second), np.maximum(first, second))
