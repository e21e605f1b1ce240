"""Does the picture answer the caption: similarity and retrieval between two aligned sets of embeddings."""

import numpy as np
from jaxtyping import Float, Int

from unclip_pipeline.metrics.estimate import Estimate, Features, Others, mean_of, share_of


def unit(rows: Features) -> Features:
    """Rows divided by their length, float64; a row of zeros stays zero."""
    rows = np.asarray(rows, np.float64)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def cosine(first: Features, second: Features, *, extractor: str) -> Estimate:
    """Mean cosine of aligned rows, in [-1, 1]."""
    return mean_of(np.sum(unit(first) * unit(second), axis=1), extractor)


def spread(first: Features, second: Features, *, extractor: str) -> Estimate:
    """Mean 1 - cos of two drawings of the same captions, in [0, 2]; 0 is one picture over and over."""
    return mean_of(1 - np.sum(unit(first) * unit(second), axis=1), extractor)


def clip_score(images: Features, texts: Features, *, extractor: str) -> Estimate:
    """Mean of 100 max(cos, 0) over pairs, clamped pair by pair (Hessel et al., 2021); best is 100."""
    return mean_of(100 * np.clip(np.sum(unit(images) * unit(texts), axis=1), 0, None), extractor)


def hits_at_1(queries: Features, candidates: Others, right: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Chance of each query to find its right candidate first, ties shared: 1, 0, or 1/ties.

    Sharing keeps a constant scorer at guessing, where an argmax would let the first candidate win.
    """
    scores = unit(queries) @ unit(candidates).T
    own = scores[np.arange(len(queries)), right][:, None]
    tolerance = 1e-12
    better = (scores > own + tolerance).sum(1)
    tied = (np.abs(scores - own) <= tolerance).sum(1)
    return np.where(better == 0, 1 / tied, 0.0)


def retrieval_at_1(
    queries: Features, targets: Features, *, among: int, order: Int[np.ndarray, " n"], extractor: str
) -> Estimate:
    """Share of queries whose own target is the nearest among `among` targets; chance is 1/among.

    Rows are dealt into groups in the given random order; rows beyond the last full group are left out.
    """
    groups = len(queries) // among
    if groups == 0:
        raise ValueError(f"retrieval among {among} needs as many pairs, got {len(queries)}; lower `among`")
    dealt = order[: groups * among].reshape(groups, among)
    hits = [hits_at_1(queries[rows], targets[rows], np.arange(among)) for rows in dealt]
    return share_of(np.concatenate(hits), extractor)
