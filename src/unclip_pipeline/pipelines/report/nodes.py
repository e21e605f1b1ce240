"""Adapters between the catalog and the overview page."""

from pathlib import Path
from typing import Any

import pandas as pd

from unclip_pipeline.cards.evaluation import uids_shown
from unclip_pipeline.cards.gallery import dataset_pictures
from unclip_pipeline.cards.overview import Origin, overview_page
from unclip_pipeline.corpus.released import Dataset
from unclip_pipeline.provenance import code_revision

TRAININGS = ("train_clip", "train_prior", "train_decoder", "train_upsampler")
MEASURED = (
    "scrape",
    "train_clip",
    "filter",
    "annotate",
    "deduplicate",
    "audit_data",
    "release_dataset",
    "train_prior",
    "train_decoder",
    "train_upsampler",
    "evaluate",
    "audit_samples",
    "release_model",
    "scorecard",
)
PICTURE_SIDE_PX = 64


def write_report(
    dataset: Path,
    ledger: pd.DataFrame,
    samples: pd.DataFrame,
    nearest_training: pd.DataFrame,
    seed: int,
    *stages: Any,
) -> str:
    """Put the run on one page; `stages` are the histories of TRAININGS, then the metrics of MEASURED."""
    released = Dataset.open(dataset)
    return overview_page(
        Origin(released.version, released.embedder_id, code_revision(), seed),
        ledger=ledger,
        samples=samples,
        nearest=nearest_training,
        pictures_by_uid=dataset_pictures(released, uids_shown(samples, nearest_training), PICTURE_SIDE_PX),
        histories=dict(zip(TRAININGS, stages[: len(TRAININGS)], strict=True)),
        metrics=dict(zip(MEASURED, stages[len(TRAININGS) :], strict=True)),
    )
