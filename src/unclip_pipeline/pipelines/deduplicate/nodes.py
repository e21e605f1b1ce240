"""Adapters between the catalog and the search for duplicates."""

from pathlib import Path

import pandas as pd

from unclip_pipeline.corpus.embeddings import read_embeddings
from unclip_pipeline.corpus.ledger import check_accounted
from unclip_pipeline.corpus.vectors import rows_of, unit
from unclip_pipeline.curation.duplicate_config import DuplicateConfig
from unclip_pipeline.curation.duplicates import find_duplicates
from unclip_pipeline.curation.fingerprints import (
    ShardFingerprints,
    join_fingerprints,
    passed_rows,
    shards_of,
)
from unclip_pipeline.curation.pictures import Fingerprints
from unclip_pipeline.engines import EngineConfig, map_shards
from unclip_pipeline.pipelines.deduplicate.report import duplicate_page
from unclip_pipeline.progress import progress


def take_fingerprints(
    raw_shards: Path, scrape_ledger: pd.DataFrame, filter_verdicts: pd.DataFrame, engine: EngineConfig
) -> Fingerprints:
    """Take the fingerprint of every picture that passed the filters."""
    rows = passed_rows(scrape_ledger, filter_verdicts)
    shards, uids = shards_of(rows, raw_shards), rows["uid"].tolist()
    parts = map_shards(ShardFingerprints(frozenset(uids)), shards, engine)
    return join_fingerprints(list(progress(parts, label="fingerprints", total=len(shards))), uids)


def deduplicate(
    scrape_ledger: pd.DataFrame,
    filter_verdicts: pd.DataFrame,
    embeddings: Path,
    prints: Fingerprints,
    config: DuplicateConfig,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, int | float]]:
    """Give every pair that passed the filters a fate, list families, and measure the search."""
    rows = passed_rows(scrape_ledger, filter_verdicts)
    found = read_embeddings(
        embeddings, {*rows["shard"], *(file.stem for file in embeddings.glob("*.parquet"))}
    )
    uids = rows["uid"].tolist()
    vectors = unit(found.image[rows_of(found.uid, uids, what=f"the embeddings in {embeddings}")], uids)
    findings = find_duplicates(rows, vectors, prints, config, seed=seed)
    check_accounted(rows["uid"], findings.verdicts, stage="deduplicate")
    return findings.verdicts, findings.families, findings.metrics


def describe(
    verdicts: pd.DataFrame,
    families: pd.DataFrame,
    metrics: dict[str, int | float],
    scrape_ledger: pd.DataFrame,
    raw_shards: Path,
    config: DuplicateConfig,
) -> str:
    """Show duplicates and families side by side, the probe of the search, and what is held out."""
    return duplicate_page(verdicts, families, metrics, scrape_ledger, raw_shards, config)
