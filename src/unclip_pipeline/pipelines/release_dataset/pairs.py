"""The pairs of a dataset version, shard by shard."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from unclip_pipeline.corpus.embeddings import Embeddings
from unclip_pipeline.corpus.fates import KEPT
from unclip_pipeline.corpus.released import ReleasedPair
from unclip_pipeline.corpus.shards import read_shard
from unclip_pipeline.corpus.vectors import rows_of
from unclip_pipeline.progress import progress

HELDOUT_WEIGHT = 1.0  # held-out pairs are measured, never drawn


def released_shards(
    ledger: pd.DataFrame, raw_shards: Path, vectors: Embeddings
) -> Iterator[tuple[str, Iterator[ReleasedPair]]]:
    """Yield each raw shard's kept pairs with their vectors."""
    kept = ledger[ledger["fate"] == KEPT].sort_values("uid")
    places = rows_of(vectors.uid, kept["uid"].tolist(), what="embeddings")
    place_of = dict(zip(kept["uid"], places.tolist(), strict=True))
    shards = sorted(kept["shard"].unique())
    for shard in progress(shards, label="release_dataset", unit="shard"):
        yield shard, _pairs(raw_shards / f"{shard}.tar", kept[kept["shard"] == shard], place_of, vectors)


def _pairs(
    path: Path, rows: pd.DataFrame, place_of: dict[str, int], vectors: Embeddings
) -> Iterator[ReleasedPair]:
    split = dict(zip(rows["uid"], rows["split"], strict=True))
    weight = dict(zip(rows["uid"], rows["weight"].fillna(HELDOUT_WEIGHT), strict=True))
    for sample in read_shard(path):
        if sample.uid in split:
            place = place_of[sample.uid]
            yield ReleasedPair(
                sample, split[sample.uid], weight[sample.uid], vectors.image[place], vectors.text[place]
            )
