"""Duplicates: found three ways, dropped only for a picture that is kept, which is named."""

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float32, Int, Shaped

from unclip_pipeline.corpus.fates import KEPT
from unclip_pipeline.corpus.intervals import share_metrics
from unclip_pipeline.curation.duplicate_config import DuplicateConfig
from unclip_pipeline.curation.links import Links, judge_pairs, links_of, near_pairs
from unclip_pipeline.curation.pairs import Pairs
from unclip_pipeline.curation.pictures import Fingerprints

REASONS = ("exact", "perceptual", "semantic")


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


def find_duplicates(
    rows: pd.DataFrame, vectors: Float32[np.ndarray, "n d"], prints: Fingerprints, config: DuplicateConfig
) -> pd.DataFrame:
    """Give every row a fate, and every dropped row the kept one that stands for it.

    `rows` needs uid, split, similarity, width, height, caption, sha256; unit vectors and fingerprints are
    in the same order. Only the first of each set of exact copies is compared further.
    """
    order = rank(rows)
    ranked = rows.iloc[order].reset_index(drop=True)
    original = _first_of(ranked["sha256"])
    unique, place = np.unique(original, return_inverse=True)
    chosen = order[unique]
    looked_at = Fingerprints(*(column[chosen] for column in prints))
    links = links_of(judge_pairs(near_pairs(vectors[chosen], config), vectors[chosen], looked_at, config))
    hubs = _hubs_first((ranked["split"] == "heldout").to_numpy()[unique], links.pairs)
    standing = np.empty(len(unique), np.int64)
    standing[hubs] = hubs[greedy_cover(len(unique), _renumbered(links.pairs, hubs), links.cosine)]
    reason = _reasons(links, standing)[place]
    stands_for = unique[standing[place]]
    reason = np.where((reason == "") & (stands_for != np.arange(len(ranked))), "exact", reason)
    cosine = np.einsum("nd,nd->n", vectors[order], vectors[order[stands_for]])
    return _verdicts(ranked["uid"].to_numpy(), stands_for, reason, cosine)


def _first_of(values: pd.Series) -> Int[np.ndarray, " n"]:
    """Give for each row the first row with the same value."""
    rows = pd.Series(np.arange(len(values)), index=values.index)
    return rows.groupby(values).transform("first").to_numpy()


def _hubs_first(heldout: Bool[np.ndarray, " n"], pairs: Pairs) -> Int[np.ndarray, " n"]:
    """Reorder ranked rows: held-out ones still first, then those that most others are copies of.

    A cropped and a stamped copy may not look alike, while the picture they were made from stands for both.
    """
    degree = np.bincount(np.concatenate([pairs.first, pairs.second]), minlength=len(heldout))
    return np.lexsort((np.arange(len(heldout)), -degree, ~heldout))


def _renumbered(pairs: Pairs, order: Int[np.ndarray, " n"]) -> Pairs:
    place = np.argsort(order)
    first, second = place[pairs.first], place[pairs.second]
    return Pairs(np.minimum(first, second), np.maximum(first, second))


def _reasons(links: Links, standing: Int[np.ndarray, " n"]) -> Shaped[np.ndarray, " n"]:
    """Name the rule that links each dropped row to the one that stands for it; "" for kept rows."""
    reasons = np.full(len(standing), "", dtype=object)
    pairs = links.pairs
    for kept, dropped in ((pairs.first, pairs.second), (pairs.second, pairs.first)):
        used = standing[dropped] == kept
        reasons[dropped[used]] = links.reason[used]
    return reasons


def _verdicts(
    uid: Shaped[np.ndarray, " n"],
    stands_for: Int[np.ndarray, " n"],
    reason: Shaped[np.ndarray, " n"],
    cosine: Float[np.ndarray, " n"],
) -> pd.DataFrame:
    dropped = stands_for != np.arange(len(uid))
    group = uid[stands_for]
    verdicts = pd.DataFrame(
        {
            "uid": uid,
            "fate": np.where(dropped, "deduplicate." + reason.astype(object), KEPT),
            "duplicate_of": pd.Series(group, dtype=object).where(dropped, None),
            "cosine": pd.Series(cosine, dtype="float64").where(dropped),
            "group": group,
        }
    )
    return verdicts.sort_values("uid", ignore_index=True)


def duplicate_metrics(verdicts: pd.DataFrame) -> dict[str, int | float]:
    """Count what was dropped and why, and how large groups are."""
    counts = verdicts["fate"].value_counts()
    sizes = verdicts["group"].value_counts()
    kept = int(counts.get(KEPT, 0))
    return {
        **share_metrics("kept_share", kept, len(verdicts)),
        "kept": kept,
        **{f"dropped_{rule}": int(counts.get(f"deduplicate.{rule}", 0)) for rule in REASONS},
        "groups": int((sizes > 1).sum()),
        "largest_group": int(sizes.max()) if len(sizes) else 0,
    }
