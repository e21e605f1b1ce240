"""Adapters between the catalog and the audit."""

from pathlib import Path
from typing import Any

import pandas as pd

from unclip_pipeline.bias.axes import label_images
from unclip_pipeline.bias.config import AuditConfig
from unclip_pipeline.bias.reweighting import Weighting, post_stratify
from unclip_pipeline.corpus.embeddings import read_embeddings
from unclip_pipeline.corpus.fates import KEPT
from unclip_pipeline.corpus.vectors import rows_of, unit
from unclip_pipeline.pipelines.audit_data.measures import audit_metrics, check_unsafe
from unclip_pipeline.pipelines.audit_data.report import audit_page


def label(
    scrape_ledger: pd.DataFrame,
    embeddings: Path,
    clip: Any,  # Weights; a name that cannot be resolved here would hide the types of the parameters
    axes: dict[str, Any],
    config: AuditConfig,
) -> pd.DataFrame:
    """Read every fetched picture on every axis."""
    from unclip_pipeline.clip.encoder import load_encoder

    encoder, vectors = load_encoder(clip), read_embeddings(embeddings)
    uids = scrape_ledger["uid"][scrape_ledger["fate"] == KEPT].tolist()
    images = unit(vectors.image[rows_of(vectors.uid, uids, what="embeddings")], uids)
    labels = label_images(
        images,
        axes,
        lambda prompts: encoder.texts(prompts).float().cpu().numpy(),
        scale=encoder.logit_scale,
        min_probability=config.min_probability,
    )
    labels.insert(0, "uid", uids)
    return labels


def audit(
    scrape_ledger: pd.DataFrame,
    filter_verdicts: pd.DataFrame,
    duplicate_verdicts: pd.DataFrame,
    labels: pd.DataFrame,
    config: AuditConfig,
) -> tuple[pd.DataFrame, dict[str, int | float], str]:
    """Measure the groups at every stage and weigh what is left to train on."""
    train = pd.Index(scrape_ledger["uid"][scrape_ledger["split"] == "train"])
    tables = {"scraped": scrape_ledger, "filtered": filter_verdicts, "deduplicated": duplicate_verdicts}
    stages = {stage: _kept(table).intersection(train) for stage, table in tables.items()}
    labels = labels.set_index("uid")
    weighting = _weigh(labels, stages, config)
    unsafe = check_unsafe(filter_verdicts, weighting.weights, config)
    metrics = audit_metrics(labels, stages, weighting) | unsafe
    weights = weighting.weights.rename("weight").rename_axis("uid").reset_index()
    return weights, metrics, audit_page(labels, stages, weighting, metrics, config)


def _weigh(labels: pd.DataFrame, stages: dict[str, pd.Index], config: AuditConfig) -> Weighting:
    if missing := set(config.weighted_axes) - set(labels):
        raise ValueError(f"audit_data.weighted_axes names {sorted(missing)}, the axes are {list(labels)}")
    cells = pd.Series("", labels.index)  # without axes to weigh, one cell: every weight is 1
    for axis in config.weighted_axes:
        cells = cells + " " + labels[axis]
    return post_stratify(
        cells,
        stages["deduplicated"],
        before=stages["scraped"],
        target=config.target,
        clip=config.clip,
    )


def _kept(table: pd.DataFrame) -> pd.Index:
    return pd.Index(table["uid"][table["fate"] == KEPT])
