"""Adapters between the catalog, the ledger and the dataset version."""

from pathlib import Path

import pandas as pd

from unclip_pipeline.cards.dataset_card import DatasetCard, croissant, dataset_card
from unclip_pipeline.cards.dataset_report import release_page
from unclip_pipeline.corpus.embeddings import read_embeddings
from unclip_pipeline.corpus.fates import KEPT
from unclip_pipeline.corpus.files import atomic_folder
from unclip_pipeline.corpus.ledger import join_ledger, waterfall
from unclip_pipeline.corpus.released import write_dataset
from unclip_pipeline.pipelines.release_dataset.pairs import released_shards


def join(
    scrape_ledger: pd.DataFrame,
    filter_verdicts: pd.DataFrame,
    duplicate_verdicts: pd.DataFrame,
    sampling_weights: pd.DataFrame,
) -> pd.DataFrame:
    """Join what every stage said; a row without exactly one fate stops the release."""
    kept = duplicate_verdicts["uid"][duplicate_verdicts["fate"] == KEPT]
    shards = scrape_ledger.set_index("uid")["shard"].reindex(kept)
    return join_ledger(scrape_ledger, filter_verdicts, duplicate_verdicts, sampling_weights, shards)


def release(
    ledger: pd.DataFrame,
    raw_shards: Path,
    embeddings: Path,
    target: Path,
    audit: dict[str, float],
    card: DatasetCard,
) -> tuple[Path, dict[str, int | float]]:
    """Write the dataset version with its card; it appears whole or not at all."""
    vectors = read_embeddings(embeddings)
    with atomic_folder(target) as part:
        pairs = released_shards(ledger, raw_shards, vectors)
        facts = write_dataset(part, pairs, embedder_id=vectors.embedder_id)
        (part / "card.md").write_text(dataset_card(card, facts, ledger, waterfall(ledger), audit))
        (part / "croissant.json").write_text(croissant(card, facts, part))
    size = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
    counts = {"rows": facts["rows"], "train": facts["train"], "heldout": facts["heldout"]}
    kept_share = facts["rows"] / len(ledger)
    return target, {**counts, "kept_share": kept_share, "shards": len(facts["shards"]), "size_bytes": size}


def describe(ledger: pd.DataFrame, raw_shards: Path, dataset: Path, metrics: dict[str, int | float]) -> str:
    """Show what was released and what was left out, with the reasons."""
    return release_page(ledger, waterfall(ledger), raw_shards, dataset, metrics)
