"""Bring together what the rules ask of a pair: its embeddings, its pixels, its row in the ledger."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float16, Float32, Shaped

from unclip_pipeline.corpus.images import decode_rgb
from unclip_pipeline.corpus.shards import read_shard
from unclip_pipeline.corpus.vectors import draw_bank, pair_evidence, prompt_evidence, rows_of, unit
from unclip_pipeline.curation.pictures import Fingerprints, fingerprint, stack
from unclip_pipeline.curation.reference import references_in_clusters


def shard_fingerprints(shard: Path) -> Fingerprints:
    """Take the fingerprint of every image of a shard."""
    return stack([(sample.uid, fingerprint(decode_rgb(sample.image))) for sample in read_shard(shard)])


def join_fingerprints(parts: list[Fingerprints], uids: list[str]) -> Fingerprints:
    """Put the fingerprints of several shards together, in the order of these uids."""
    whole = Fingerprints(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    rows = rows_of(whole.uid, uids, what="the images of the raw shards")
    return Fingerprints(*(column[rows] for column in whole))


class Reference(NamedTuple):
    """What wanted images are like: unit vectors of pictures, of captions, or of both."""

    pictures: Float32[np.ndarray, "_ d"] | None
    captions: Float32[np.ndarray, "_ d"] | None
    clusters: int


def score_pairs(
    rows: pd.DataFrame,
    uid: Shaped[np.ndarray, " m"],
    image: Float16[np.ndarray, "m d"],
    text: Float16[np.ndarray, "m d"],
    prompts: Mapping[str, Float32[np.ndarray, "_ d"]],
    *,
    scale: float,
    bank_size: int,
    seed: int,
    reference: Reference | None = None,
) -> pd.DataFrame:
    """Add similarity, evidence and the scores of prompts to rows with uid; embeddings are found by uid.

    `prompts` are unit vectors by the name of their column, `scale` that of the CLIP's logits.
    """
    if rows.empty:
        raise ValueError("there is no pair to score: nothing was scraped; look at `scrape_report`")
    names = rows["uid"].tolist()
    places = rows_of(uid, names, what="the embeddings")
    images, texts = unit(image[places], names), unit(text[places], names)
    bank = draw_bank(images, texts, scale=scale, size=bank_size, seed=seed)
    scored = rows.assign(
        similarity=np.einsum("nd,nd->n", images, texts).astype(np.float64),
        evidence=pair_evidence(images, texts, bank),
        **{name: prompt_evidence(images, vectors, bank) for name, vectors in prompts.items()},
    )
    if reference is None:
        return scored
    near = references_in_clusters(images, **reference._asdict(), bank=bank, seed=seed)
    return scored.assign(references_in_cluster=near)
