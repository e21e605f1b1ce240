"""Bring together what the rules ask of a pair's embeddings, one shard after the other."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float32

from unclip_pipeline.corpus.embeddings import Embeddings
from unclip_pipeline.corpus.vectors import (
    Bank,
    bank_rows,
    pair_evidence,
    prompt_evidence,
    rows_of,
    unit,
)
from unclip_pipeline.curation.margin import SAMPLE_PER_CLUSTER, k_means
from unclip_pipeline.curation.reference import References, place_references
from unclip_pipeline.seeds import seed_of

Parts = Callable[[], Iterable[Embeddings]]  # starts a new pass over the embeddings, shard by shard
Vectors = Float32[np.ndarray, "_ d"]


class Reference(NamedTuple):
    """What wanted images are like: unit vectors of pictures, of captions, or of both."""

    pictures: Vectors | None
    captions: Vectors | None
    clusters: int  # of the corpus; 0: the square root of its size


class Scorer(NamedTuple):
    """What pairs are scored against."""

    bank: Bank
    prompts: Mapping[str, Vectors]
    references: References | None

    def __call__(self, part: Embeddings, wanted: frozenset[str]) -> pd.DataFrame:
        """Score the wanted pairs of one shard; those without vectors have no scores but their error."""
        rows = np.flatnonzero([uid in wanted for uid in part.uid])
        uids = part.uid[rows].tolist()
        images, texts = unit(part.image[rows], uids), unit(part.text[rows], uids)
        scores = {
            "similarity": np.einsum("nd,nd->n", images, texts).astype(np.float64),
            "evidence": pair_evidence(images, texts, self.bank),
            **{name: prompt_evidence(images, vectors, self.bank) for name, vectors in self.prompts.items()},
        }
        if self.references is not None:
            scores["references_in_cluster"] = self.references.near(images)
        lost = {uid: error for uid, error in part.undecodable.items() if uid in wanted}
        scored = pd.DataFrame({"uid": uids, **scores, "embedding_error": ""})
        errors = pd.DataFrame({"uid": list(lost), "embedding_error": list(lost.values())}, dtype=object)
        return pd.concat([scored, errors], ignore_index=True) if lost else scored


def score_pairs(
    rows: pd.DataFrame,
    parts: Parts,
    prompts: Mapping[str, Vectors],
    *,
    scale: float,
    bank_size: int,
    seed: int,
    reference: Reference | None = None,
) -> pd.DataFrame:
    """Add similarity, evidence and the scores of prompts to rows with uid; embeddings are found by uid.

    `prompts` are unit vectors by the name of their column, `scale` that of the CLIP's logits. Two passes
    over the embeddings: one for the pairs that chance is measured on, one for the scores.
    """
    if rows.empty:
        raise ValueError("there is no pair to score: nothing was scraped; look at `scrape_report`")
    uids = sorted(rows["uid"])
    bank = Bank(*_gather(parts(), [uids[row] for row in bank_rows(len(uids), bank_size, seed)]), scale)
    references = _references(parts, uids, reference, bank, seed) if reference is not None else None
    scorer, wanted = Scorer(bank, prompts, references), frozenset(uids)
    scored = pd.concat([scorer(part, wanted) for part in parts()], ignore_index=True)
    rows_of(scored["uid"].to_numpy(), uids, what="the embeddings")
    return rows.merge(scored, on="uid", how="left", validate="one_to_one")


def _references(parts: Parts, uids: Sequence[str], given: Reference, bank: Bank, seed: int) -> References:
    """Make clusters of a random part of the corpus and let the references fall into them."""
    clusters = given.clusters or math.isqrt(len(uids))
    if clusters > len(uids):
        raise ValueError(
            f"filter.reference_clusters must be at most the {len(uids)} images there are, got {clusters}"
        )
    chosen = bank_rows(len(uids), SAMPLE_PER_CLUSTER * clusters, seed_of(seed, "references"))
    images, _ = _gather(parts(), [uids[row] for row in chosen])
    centres = k_means(images, clusters, seed=seed)
    return place_references(centres, pictures=given.pictures, captions=given.captions, bank=bank)


def _gather(parts: Iterable[Embeddings], wanted: Sequence[str]) -> tuple[Vectors, Vectors]:
    """Collect the unit vectors of some pairs from all shards, in the order wanted; lost images leave no gap."""
    places = {uid: place for place, uid in enumerate(wanted)}
    found = sorted(_found(parts, places), key=lambda row: row[0])
    if not found:
        raise ValueError("no scraped pair has embeddings; run `embed` again")
    uids = [wanted[place] for place, _, _ in found]
    return unit(np.stack([image for _, image, _ in found]), uids), unit(
        np.stack([text for _, _, text in found]), uids
    )


def _found(
    parts: Iterable[Embeddings], places: Mapping[str, int]
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    for part in parts:
        for row, uid in enumerate(part.uid):
            if uid in places:
                yield places[uid], part.image[row], part.text[row]
