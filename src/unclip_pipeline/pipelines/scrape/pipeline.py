"""From a URL list to raw shards, a ledger of what became of every URL, and a page that shows it."""

from kedro.pipeline import Node, Pipeline

from unclip_pipeline.pipelines.scrape.nodes import describe, fetch


def create_pipeline(**kwargs: object) -> Pipeline:
    """Fetch, then describe what came of it."""
    return Pipeline(
        [
            Node(
                fetch,
                inputs=[
                    "url_list",
                    "takedown_list",
                    "raw_shards_target",
                    "scrape_records_target",
                    "params:scrape",
                    "params:engine",
                ],  # fmt: skip
                outputs=[
                    "raw_shards",
                    "scrape_ledger",
                    "scrape_requests",
                    "scrape_evidence",
                    "scrape_metrics",
                ],  # fmt: skip
                name="fetch",
            ),
            Node(
                describe,
                inputs=["raw_shards", "scrape_ledger", "scrape_requests", "scrape_evidence"],
                outputs="scrape_report",
                name="describe",
            ),
        ]
    )
