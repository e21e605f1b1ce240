"""Adapters between the catalog and the search for duplicates."""

from pathlib import Path

import pandas as pd

from unclip_pipeline.corpus.embeddings import read_embeddings
from unclip_pipeline.corpus.fates import KEPT
from unclip_pipeline.corpus.ledger import check_accounted
from unclip_pipeline.corpus.shards import shard_paths
from unclip_pipeline.corpus.vectors import rows_of, unit
from unclip_pipeline.curation.duplicate_config import DuplicateConfig
from unclip_pipeline.curation.duplicates import duplicate_metrics, find_duplicates
from unclip_pipeline.curation.pictures import Fingerprints
from unclip_pipeline.curation.scores import join_fingerprints, shard_fingerprints
from unclip_pipeline.engines import EngineConfig, map_shards
from unclip_pipeline.pipelines.deduplicate.report import duplicate_page
from unclip_pipeline.progress import progress


def take_fingerprints(raw_shards: Path, filter_verdicts: pd.DataFrame, engine: EngineConfig) -> Fingerprints:
    """Take the fingerprint of every picture that passed the filters."""
    shards = shard_paths(raw_shards)
    parts = progress(map_shards(shard_fingerprints, shards, engine), label="fingerprints", total=len(shards))
    return join_fingerprints(list(parts), filter_verdicts["uid"][filter_verdicts["fate"] == KEPT].tolist())


def deduplicate(
    scrape_ledger: pd.DataFrame,
    filter_verdicts: pd.DataFrame,
    embeddings: Path,
    prints: Fingerprints,
    config: DuplicateConfig,
) -> tuple[pd.DataFrame, dict[str, int | float]]:
    """Give every pair that passed the filters a fate."""
    passed = filter_verdicts.loc[filter_verdicts["fate"] == KEPT, ["uid", "similarity"]]
    rows = passed.merge(scrape_ledger.drop(columns="fate"), on="uid", validate="one_to_one")
    found = read_embeddings(embeddings)
    uids = rows["uid"].tolist()
    vectors = unit(found.image[rows_of(found.uid, uids, what="the embeddings")], uids)
    verdicts = find_duplicates(rows, vectors, prints, config).verdicts
    check_accounted(rows["uid"], verdicts, stage="deduplicate")
    return verdicts, duplicate_metrics(verdicts)


def describe(
    verdicts: pd.DataFrame, scrape_ledger: pd.DataFrame, raw_shards: Path, config: DuplicateConfig
) -> str:
    """Show groups of duplicates side by side."""
    return duplicate_page(verdicts, scrape_ledger, raw_shards, config)
