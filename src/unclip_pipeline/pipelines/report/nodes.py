"""Adapters between the catalog and the overview page."""

from typing import Any

import pandas as pd

from unclip_pipeline.cards.evaluation import uids_shown
from unclip_pipeline.cards.gallery import dataset_pictures
from unclip_pipeline.cards.overview import Origin, overview_page
from unclip_pipeline.corpus.places import DatasetPlace
from unclip_pipeline.corpus.released import Dataset
from unclip_pipeline.provenance import code_revision

PICTURE_SIDE_PX = 64


def write_report(
    dataset: DatasetPlace,
    ledger: pd.DataFrame,
    samples: pd.DataFrame,
    nearest_training: pd.DataFrame,
    seed: int,
    **stages: Any,
) -> str:
    """Put the run on one page; `stages` are `<stage>_history` and `<stage>_metrics`, in running order."""
    released = Dataset.open(dataset)
    return overview_page(
        Origin(released.version, released.embedder_id, code_revision(), seed),
        ledger=ledger,
        samples=samples,
        nearest=nearest_training,
        pictures_by_uid=dataset_pictures(released, uids_shown(samples, nearest_training), PICTURE_SIDE_PX),
        histories=_of_kind(stages, "_history"),
        metrics=_of_kind(stages, "_metrics"),
    )


def _of_kind(stages: dict[str, Any], ending: str) -> dict[str, Any]:
    return {name.removesuffix(ending): value for name, value in stages.items() if name.endswith(ending)}
