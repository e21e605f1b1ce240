"""audit_data: verdicts and vectors in; labels, weights and the report out."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from unclip_pipeline.pipelines.audit_data.nodes import audit, label


def create_pipeline(**_: Any) -> Pipeline:
    """List the nodes."""
    tables = {
        "scrape_ledger": "scrape_ledger",
        "filter_verdicts": "filter_verdicts",
        "duplicate_verdicts": "duplicate_verdicts",
    }
    return Pipeline(
        [
            Node(
                label,
                inputs={
                    "scrape_ledger": "scrape_ledger",
                    "embeddings": "embeddings",
                    "clip": "clip_weights",
                    "axes": "params:audit_axes",
                    "config": "params:audit_data",
                },
                outputs="audit_labels",
                name="label_groups",
            ),
            Node(
                audit,
                inputs={**tables, "labels": "audit_labels", "config": "params:audit_data"},
                outputs=["sampling_weights", "audit_data_metrics", "audit_data_report"],
                name="audit_data",
            ),
        ]
    )
