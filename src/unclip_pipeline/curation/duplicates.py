"""Duplicates: found three ways, dropped only for a picture that is kept, which is named."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float32, Int, Shaped

from unclip_pipeline.corpus.fates import KEPT
from unclip_pipeline.corpus.intervals import share_metrics
from unclip_pipeline.curation.cover import greedy_cover, hubs_first, rank, renumbered
from unclip_pipeline.curation.decontamination import heldout_pairs, prove_decontaminated, too_near
from unclip_pipeline.curation.duplicate_config import DuplicateConfig
from unclip_pipeline.curation.families import family_metrics, find_families
from unclip_pipeline.curation.links import Candidates, Links, judge_pairs, links_of, near_pairs
from unclip_pipeline.curation.neighbours import probe_recall
from unclip_pipeline.curation.pairs import union
from unclip_pipeline.curation.pictures import Fingerprints

REASONS = ("exact", "perceptual", "semantic", "near_heldout")


class Findings(NamedTuple):
    """What became of every row, the families among those kept, and figures that say how far to trust it."""

    verdicts: pd.DataFrame
    families: pd.DataFrame
    metrics: dict[str, int | float]


class Distinct(NamedTuple):
    """Rows of distinct bytes in the order of their rank, with what they are compared by."""

    rows: pd.DataFrame
    heldout: Bool[np.ndarray, " n"]
    vectors: Float32[np.ndarray, "n d"]
    prints: Fingerprints

    def where(self, kept: Bool[np.ndarray, " n"]) -> "Distinct":
        """Choose rows by mask."""
        prints = Fingerprints(*(column[kept] for column in self.prints))
        return Distinct(self.rows[kept], self.heldout[kept], self.vectors[kept], prints)


def find_duplicates(
    rows: pd.DataFrame,
    vectors: Float32[np.ndarray, "n d"],
    prints: Fingerprints,
    config: DuplicateConfig,
    *,
    seed: int = 0,
) -> Findings:
    """Give every row a fate, and every dropped row the kept one that stands for it.

    `rows` needs uid, split, similarity, width, height, caption, sha256; unit vectors and fingerprints are
    in the same order. Only the first of each set of exact copies is compared further. Raises where a
    training picture is left that is one of the held-out ones.
    """
    order = rank(rows)
    ranked = rows.iloc[order].reset_index(drop=True)
    unique, place = np.unique(_first_of(ranked["sha256"]), return_inverse=True)
    distinct = _distinct(ranked.iloc[unique], vectors[order[unique]], prints, order[unique])
    candidates, metrics = _search(distinct, config, seed)
    links = links_of(candidates, too_near(candidates, distinct.heldout, config))
    hubs = hubs_first(distinct.heldout, links.pairs)
    standing = np.empty(len(unique), np.int64)
    standing[hubs] = hubs[greedy_cover(len(unique), renumbered(links.pairs, hubs), links.cosine)]
    reason = _reasons(links, standing)[place]
    stands_for = unique[standing[place]]
    reason = np.where((reason == "") & (stands_for != np.arange(len(ranked))), "exact", reason)
    cosine = np.einsum("nd,nd->n", vectors[order], vectors[order[stands_for]])
    verdicts = _verdicts(ranked["uid"].to_numpy(), stands_for, reason, cosine)
    kept = standing == np.arange(len(standing))
    families = find_families(distinct.rows, kept, candidates, config)
    left = distinct.where(kept)
    proof = prove_decontaminated(left.rows, left.vectors, left.prints, config)
    gave_way = (ranked["split"] == "train") & (ranked["split"].iloc[stands_for] == "heldout").to_numpy()
    metrics |= duplicate_metrics(verdicts) | family_metrics(families) | proof
    return Findings(verdicts, families, metrics | {"dropped_for_heldout": int(gave_way.sum())})


def _distinct(
    rows: pd.DataFrame,
    vectors: Float32[np.ndarray, "m d"],
    prints: Fingerprints,
    chosen: Int[np.ndarray, " m"],
) -> Distinct:
    looked_at = Fingerprints(*(column[chosen] for column in prints))
    heldout = (rows["split"] == "heldout").to_numpy()
    return Distinct(rows.reset_index(drop=True), heldout, vectors, looked_at)


def _search(
    distinct: Distinct, config: DuplicateConfig, seed: int
) -> tuple[Candidates, dict[str, int | float]]:
    """Find near pairs and look at them closely; measure what share of them was found."""
    near = near_pairs(distinct.vectors, config, seed=seed)
    probe = probe_recall(
        distinct.vectors,
        near,
        config.min_cosine,
        rows=config.probe_rows,
        seed=seed,
        max_memory_mb=config.max_memory_mb,
    )
    near = union(len(distinct.rows), near, heldout_pairs(distinct.heldout, distinct.vectors, config))
    return judge_pairs(near, distinct.vectors, distinct.prints, config), probe


def _first_of(values: pd.Series) -> Int[np.ndarray, " n"]:
    """Give for each row the first row with the same value."""
    rows = pd.Series(np.arange(len(values)), index=values.index)
    return rows.groupby(values).transform("first").to_numpy()


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
