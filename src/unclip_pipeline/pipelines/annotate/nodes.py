"""Adapters between the catalog and the work with people's labels."""

from pathlib import Path

import pandas as pd

from unclip_pipeline.cards.sheets import find_samples
from unclip_pipeline.corpus.embeddings import read_embeddings
from unclip_pipeline.corpus.files import atomic_folder
from unclip_pipeline.corpus.vectors import rows_of, unit
from unclip_pipeline.curation.annotation.choosing import AnnotateConfig, choose
from unclip_pipeline.curation.annotation.labels import read_labels
from unclip_pipeline.curation.annotation.study import LabelStudy, study_labels, study_metrics
from unclip_pipeline.curation.annotation.tasks import label_studio_tasks, write_tasks
from unclip_pipeline.curation.calibration import CalibrationConfig
from unclip_pipeline.curation.rules import FilterConfig
from unclip_pipeline.pipelines.annotate.report import annotate_page


def study(
    scrape_ledger: pd.DataFrame,
    filter_verdicts: pd.DataFrame,
    embeddings: Path,
    annotations: Path,
    config: CalibrationConfig,
    rules: FilterConfig,
    seed: int,
) -> tuple[LabelStudy, dict[str, int | float]]:
    """Read the labels so far and say what they show of the filter."""
    if filter_verdicts.empty:
        raise ValueError("there is no picture to label: nothing was scraped; look at `scrape_report`")
    labels = read_labels(annotations, scrape_ledger["uid"].tolist())
    rows = filter_verdicts.merge(
        scrape_ledger[["uid", "url", "caption", "shard"]], on="uid", validate="one_to_one"
    )
    found = read_embeddings(embeddings)
    rows = rows[~rows["uid"].isin(list(found.undecodable))].reset_index(drop=True)  # nothing to look at
    names = rows["uid"].tolist()
    vectors = unit(found.image[rows_of(found.uid, names, what="the embeddings")], names)
    study = study_labels(rows, vectors, labels, config, rules, seed=seed)
    return study, study_metrics(study)


def choose_pictures(study: LabelStudy, embeddings: Path, config: AnnotateConfig, seed: int) -> pd.DataFrame:
    """Choose pictures that nobody has labelled yet."""
    left = ~study.rows["uid"].isin(study.labels.uids).to_numpy()
    rows = study.rows[left]
    found = read_embeddings(embeddings)
    names = rows["uid"].tolist()
    vectors = unit(found.image[rows_of(found.uid, names, what="the embeddings")], names)
    chances = {name: one.chance[left] for name, one in study.concepts.items()}
    chosen = choose(
        rows["uid"].to_numpy(), vectors, chances, config, seed=seed, round=study.labels.rounds + 1
    )
    return chosen.merge(rows[["uid", "url", "caption", "shard"]], on="uid", validate="one_to_one")


def export(
    study: LabelStudy, chosen: pd.DataFrame, raw_shards: Path, target: Path, config: AnnotateConfig
) -> Path:
    """Write what people are handed: a Label Studio project and a plain table."""
    places = rows_of(study.rows["uid"].to_numpy(), chosen["uid"].tolist(), what="the verdicts")
    tasks = label_studio_tasks(
        chosen,
        find_samples(raw_shards, chosen),
        {name: one.chance[places] for name, one in study.concepts.items()},
        {name: one.claimed[places].tolist() for name, one in study.concepts.items()}
        if config.predictions
        else {},
        side_px=config.image_side_px,
        model_version=f"filter, round {study.labels.rounds + 1}",
    )
    with atomic_folder(target) as folder:
        write_tasks(folder, chosen, tasks, list(study.concepts))
    return target


def describe(study: LabelStudy, chosen: pd.DataFrame, raw_shards: Path, config: CalibrationConfig) -> str:
    """Show what was chosen, and what the labels so far say."""
    return annotate_page(study, chosen, raw_shards, config)
