"""Adapters between the catalog and the rules."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from unclip_pipeline.corpus.embeddings import Embeddings, is_same_space, iter_embeddings
from unclip_pipeline.corpus.fates import KEPT
from unclip_pipeline.corpus.files import SUCCESS
from unclip_pipeline.corpus.ledger import check_accounted
from unclip_pipeline.corpus.shards import shard_paths
from unclip_pipeline.corpus.vectors import unit
from unclip_pipeline.curation.annotation.evidence import add_probes
from unclip_pipeline.curation.annotation.labels import read_labels
from unclip_pipeline.curation.calibration import CalibrationConfig
from unclip_pipeline.curation.measures import MeasureShard, is_measured, measures_path, read_measures
from unclip_pipeline.curation.reference import read_reference
from unclip_pipeline.curation.rules import FilterConfig, filter_metrics, judge
from unclip_pipeline.curation.scores import Reference, score_pairs
from unclip_pipeline.engines import EngineConfig, map_shards
from unclip_pipeline.pipelines.filter.report import filter_page
from unclip_pipeline.progress import progress

if TYPE_CHECKING:
    from unclip_pipeline.clip.encoder import Encoder


def measure(raw_shards: Path, target: Path, engine: EngineConfig) -> Path:
    """Measure pixels and captions of every shard whose measures are not there yet."""
    shards = shard_paths(raw_shards)
    target.mkdir(parents=True, exist_ok=True)
    (target / SUCCESS).unlink(missing_ok=True)
    waiting = [shard for shard in shards if not is_measured(target, shard)]
    finished = {measures_path(target, shard) for shard in set(shards) - set(waiting)}
    for file in set(target.iterdir()) - finished:
        file.unlink()
    done = map_shards(MeasureShard(target), waiting, engine)
    for _ in progress(done, label="measure", total=len(waiting), unit="shard"):
        pass
    (target / SUCCESS).touch()
    return target


def decide(
    scrape_ledger: pd.DataFrame,
    embeddings: Path,
    clip_weights: Any,  # Weights; naming it here would import torch
    pair_measures: Path,
    annotations: Path,
    config: FilterConfig,
    calibration: CalibrationConfig,
    seed: int,
) -> tuple[pd.DataFrame, dict[str, int | float], dict[str, float]]:
    """Score every scraped pair and let every rule answer; labels calibrate the concepts they suffice for."""
    from unclip_pipeline.clip.encoder import load_encoder

    kept = scrape_ledger[scrape_ledger["fate"] == KEPT].sort_values("uid", ignore_index=True)
    encoder = load_encoder(clip_weights)
    shards = {*kept["shard"], *(file.stem for file in embeddings.glob("*.parquet"))}

    def parts() -> Iterator[Embeddings]:
        found = _of_same_space(iter_embeddings(embeddings, shards), encoder.embedder_id)
        return progress(found, label="score", total=len(shards), unit="shard")

    scored = score_pairs(
        kept[["uid", "caption", "width", "height", "sha256"]], parts,
        {name: unit(encoder.texts(texts).numpy()) for name, texts in config.prompts.items()},
        scale=encoder.logit_scale, bank_size=config.bank_size, seed=seed,
        reference=_reference(config, encoder),
    )  # fmt: skip
    facts = scored.merge(read_measures(pair_measures), on="uid", how="left", validate="one_to_one")
    labels = read_labels(annotations, scrape_ledger["uid"].tolist())
    facts, probes = add_probes(facts, parts, labels, calibration, config, seed=seed)
    verdicts = judge(facts, config, probes)
    check_accounted(kept["uid"], verdicts, stage="filter")
    return verdicts, filter_metrics(verdicts), probes


def describe(
    verdicts: pd.DataFrame,
    scrape_ledger: pd.DataFrame,
    raw_shards: Path,
    probes: dict[str, float],
    config: FilterConfig,
) -> str:
    """Show what each rule dropped and what it nearly dropped."""
    return filter_page(verdicts, scrape_ledger, raw_shards, config, probes)


def _of_same_space(parts: Iterable[Embeddings], embedder_id: str) -> Iterator[Embeddings]:
    for part in parts:
        if not is_same_space(part.embedder_id, embedder_id):
            raise ValueError(
                f"embeddings of {part.embedder_id} cannot be judged by {embedder_id}; run `embed` again"
            )
        yield part


def _reference(config: FilterConfig, encoder: "Encoder") -> Reference | None:
    """Bring together what wanted images are like, if the configuration says so."""
    if config.min_references is None:
        return None
    folder, captions = config.reference_embeddings, config.reference_captions
    return Reference(
        read_reference(Path(folder), encoder.embedder_id) if folder else None,
        unit(encoder.texts(captions).numpy()) if captions else None,
        config.reference_clusters,
    )
