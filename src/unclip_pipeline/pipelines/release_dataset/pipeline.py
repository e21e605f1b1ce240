"""release_dataset: verdicts, shards and vectors in; the ledger and the dataset version out."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from unclip_pipeline.pipelines.release_dataset.nodes import describe, join, release


def create_pipeline(**_: Any) -> Pipeline:
    """List the nodes."""
    return Pipeline(
        [
            Node(
                join,
                inputs=["scrape_ledger", "filter_verdicts", "duplicate_verdicts", "sampling_weights"],
                outputs="ledger",
                name="join_ledger",
            ),
            Node(
                release,
                inputs={
                    "ledger": "ledger",
                    "raw_shards": "raw_shards",
                    "embeddings": "embeddings",
                    "target": "dataset_target",
                    "audit": "audit_data_metrics",
                    "card": "params:dataset_card",
                },
                outputs=["dataset", "release_dataset_metrics"],
                name="release_dataset",
            ),
            Node(
                describe,
                inputs=["ledger", "raw_shards", "dataset", "release_dataset_metrics"],
                outputs="release_dataset_report",
                name="describe_release",
            ),
        ]
    )
