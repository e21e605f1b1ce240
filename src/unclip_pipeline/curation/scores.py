"""Bring together what the rules ask of a pair: its embeddings, its pixels, its row in the ledger."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float16, Float32, Shaped

from unclip_pipeline.corpus.images import decode_rgb
from unclip_pipeline.corpus.shards import read_shard
from unclip_pipeline.corpus.vectors import draw_bank, pair_evidence, prompt_evidence, rows_of, unit
from unclip_pipeline.curation.pictures import Fingerprints, contrast, fingerprint, stack


def shard_contrasts(shard: Path) -> pd.DataFrame:
    """Measure the contrast of every image of a shard."""
    found = [(sample.uid, contrast(decode_rgb(sample.image))) for sample in read_shard(shard)]
    return pd.DataFrame(found, columns=["uid", "contrast"]).astype({"contrast": "float64"})


def shard_fingerprints(shard: Path) -> Fingerprints:
    """Take the fingerprint of every image of a shard."""
    return stack([(sample.uid, fingerprint(decode_rgb(sample.image))) for sample in read_shard(shard)])


def join_fingerprints(parts: list[Fingerprints], uids: list[str]) -> Fingerprints:
    """Put the fingerprints of several shards together, in the order of these uids."""
    whole = Fingerprints(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    rows = rows_of(whole.uid, uids, what="the images of the raw shards")
    return Fingerprints(*(column[rows] for column in whole))


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
) -> pd.DataFrame:
    """Add similarity, evidence and a score per concept to rows with uid; embeddings are found by uid.

    `prompts` are unit vectors by concept, `scale` that of the CLIP's logits.
    """
    if rows.empty:
        raise ValueError("there is no pair to score: nothing was scraped; look at `scrape_report`")
    names = rows["uid"].tolist()
    places = rows_of(uid, names, what="the embeddings")
    images, texts = unit(image[places], names), unit(text[places], names)
    bank = draw_bank(images, texts, scale=scale, size=bank_size, seed=seed)
    scores = {f"score_{name}": prompt_evidence(images, vectors, bank) for name, vectors in prompts.items()}
    return rows.assign(
        similarity=np.einsum("nd,nd->n", images, texts).astype(np.float64),
        evidence=pair_evidence(images, texts, bank),
        **scores,
    )
