"""Families: kept pictures that are near-identical and yet no copies, as their captions say.

The clock at one, at two, at three o'clock: a careless search takes them for copies. They are reported, so
that people see what the search keeps apart.
"""

import numpy as np
import pandas as pd
from jaxtyping import Bool

from unclip_pipeline.curation.cover import greedy_cover
from unclip_pipeline.curation.decontamination import plain_words
from unclip_pipeline.curation.duplicate_config import DuplicateConfig
from unclip_pipeline.curation.links import MAX_MEDIAN_CELL, Candidates
from unclip_pipeline.curation.pairs import Pairs

SHARED_WORDS = 0.5
COLUMNS = ["family", "uid", "cosine", "differs"]


def find_families(
    rows: pd.DataFrame, kept: Bool[np.ndarray, " n"], candidates: Candidates, config: DuplicateConfig
) -> pd.DataFrame:
    """List families, one row for each picture: family (uid of its first), cosine to that, words that differ.

    Rows (uid, caption) are those that the candidates number. Pictures join the nearest first one, so no
    family drifts from what it started with.
    """
    pairs = candidates.pairs
    near = kept[pairs.first] & kept[pairs.second] & ~candidates.same
    near &= (candidates.cosine >= config.family_cosine) & (candidates.median_cell <= MAX_MEDIAN_CELL)
    words = rows["caption"].map(lambda caption: frozenset(plain_words(caption).split())).to_numpy()
    near[near] = [_say_otherwise(words[a], words[b]) for a, b in zip(*_rows(pairs.where(near)), strict=True)]
    members, cosine = pairs.where(near), candidates.cosine[near]
    head = greedy_cover(len(rows), members, cosine)
    of_pair = dict(zip(zip(*_rows(members), strict=True), cosine, strict=True))
    uid = rows["uid"].to_numpy()
    joined = np.flatnonzero(np.isin(head, head[head != np.arange(len(head))]))
    found = [
        (uid[first], uid[row], of_pair.get((first, row), 1.0), _difference(words[first], words[row]))
        for first, row in zip(head[joined].tolist(), joined.tolist(), strict=True)
    ]
    return pd.DataFrame(found, columns=COLUMNS).sort_values(["family", "cosine", "uid"], ignore_index=True)


def family_metrics(families: pd.DataFrame) -> dict[str, int]:
    """Count families and the pictures in them."""
    sizes = families["family"].value_counts()
    return {
        "families": len(sizes),
        "pictures_in_families": len(families),
        "largest_family": int(sizes.max()) if len(sizes) else 0,
    }


def _rows(pairs: Pairs) -> tuple[list[int], list[int]]:
    return pairs.first.tolist(), pairs.second.tolist()


def _say_otherwise(one: frozenset[str], other: frozenset[str]) -> bool:
    """Tell whether captions share half of their words and differ in others: not merely worded afresh."""
    return one != other and len(one & other) >= SHARED_WORDS * len(one | other)


def _difference(first: frozenset[str], other: frozenset[str]) -> str:
    """Write which words the other caption lacks, and which it has instead."""
    lost, new = " ".join(sorted(first - other)), " ".join(sorted(other - first))
    return f"{lost or '-'} > {new or '-'}" if lost or new else ""
