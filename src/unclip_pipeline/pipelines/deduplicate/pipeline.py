"""From pairs that passed the filters to one of each picture."""

from kedro.pipeline import Node, Pipeline

from unclip_pipeline.pipelines.deduplicate.nodes import deduplicate, describe, take_fingerprints


def create_pipeline(**kwargs: object) -> Pipeline:
    """Take fingerprints, find duplicates, show them side by side."""
    return Pipeline(
        [
            Node(
                take_fingerprints,
                inputs=["raw_shards", "scrape_ledger", "filter_verdicts", "params:engine"],
                outputs="picture_fingerprints",
                name="take_fingerprints",
            ),
            Node(
                deduplicate,
                inputs=[
                    "scrape_ledger", "filter_verdicts", "embeddings", "picture_fingerprints",
                    "params:deduplicate", "params:seed",
                ],
                outputs=["duplicate_verdicts", "duplicate_families", "deduplicate_metrics"],
                name="find_duplicates",
            ),
            Node(
                describe,
                inputs=[
                    "duplicate_verdicts", "duplicate_families", "deduplicate_metrics", "scrape_ledger",
                    "raw_shards", "params:deduplicate",
                ],
                outputs="deduplicate_report",
                name="describe_duplicates",
            ),
        ]
    )  # fmt: skip
