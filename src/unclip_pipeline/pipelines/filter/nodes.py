"""Adapters between the catalog and the rules."""

from pathlib import Path
from typing import Any

import pandas as pd

from unclip_pipeline.corpus.embeddings import read_embeddings
from unclip_pipeline.corpus.fates import KEPT
from unclip_pipeline.corpus.ledger import check_accounted
from unclip_pipeline.corpus.shards import shard_paths
from unclip_pipeline.corpus.vectors import unit
from unclip_pipeline.curation.rules import FilterConfig, filter_metrics, judge
from unclip_pipeline.curation.scores import score_pairs, shard_contrasts
from unclip_pipeline.engines import EngineConfig, map_shards
from unclip_pipeline.pipelines.filter.report import filter_page
from unclip_pipeline.progress import progress


def measure(raw_shards: Path, engine: EngineConfig) -> pd.DataFrame:
    """Measure every picture, shard by shard."""
    shards = shard_paths(raw_shards)
    parts = progress(map_shards(shard_contrasts, shards, engine), label="measure", total=len(shards))
    return pd.concat(parts, ignore_index=True)


def decide(
    scrape_ledger: pd.DataFrame,
    embeddings: Path,
    clip_weights: Any,  # Weights; naming it here would import torch
    contrasts: pd.DataFrame,
    config: FilterConfig,
    seed: int,
) -> tuple[pd.DataFrame, dict[str, int | float]]:
    """Score every scraped pair and let every rule answer."""
    from unclip_pipeline.clip.encoder import load_encoder

    kept = scrape_ledger[scrape_ledger["fate"] == KEPT].sort_values("uid", ignore_index=True)
    encoder, found = load_encoder(clip_weights), read_embeddings(embeddings)
    if found.embedder_id != encoder.embedder_id:
        raise ValueError(
            f"embeddings of {found.embedder_id} cannot be judged by {encoder.embedder_id}; run `embed` again"
        )
    prompts = {name: unit(encoder.texts(texts).numpy()) for name, texts in config.prompts.items()}
    scored = score_pairs(
        kept, found.uid, found.image, found.text, prompts,
        scale=encoder.logit_scale, bank_size=config.bank_size, seed=seed,
    )  # fmt: skip
    verdicts = judge(scored.merge(contrasts, on="uid", how="left", validate="one_to_one"), config)
    check_accounted(kept["uid"], verdicts, stage="filter")
    return verdicts, filter_metrics(verdicts)


def describe(
    verdicts: pd.DataFrame, scrape_ledger: pd.DataFrame, raw_shards: Path, config: FilterConfig
) -> str:
    """Show what each rule dropped and what it nearly dropped."""
    return filter_page(verdicts, scrape_ledger, raw_shards, config)
