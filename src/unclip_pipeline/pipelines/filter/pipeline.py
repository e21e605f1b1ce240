"""From scraped pairs to verdicts: every score, every rule's answer, and the first that failed."""

from kedro.pipeline import Node, Pipeline

from unclip_pipeline.pipelines.filter.nodes import decide, describe, measure


def create_pipeline(**kwargs: object) -> Pipeline:
    """Measure pixels and captions, decide by rules, show what was dropped."""
    return Pipeline(
        [
            Node(
                measure,
                inputs=["raw_shards", "pair_measures_target", "params:engine"],
                outputs="pair_measures",
                name="measure_pairs",
            ),
            Node(
                decide,
                inputs=[
                    "scrape_ledger", "embeddings", "clip_weights", "pair_measures", "annotations",
                    "params:filter", "params:calibration", "params:seed",
                ],
                outputs=["filter_verdicts", "filter_metrics", "concept_probes"],
                name="decide_filter",
            ),
            Node(
                describe,
                inputs=[
                    "filter_verdicts", "scrape_ledger", "raw_shards", "concept_probes", "params:filter",
                ],
                outputs="filter_report",
                name="describe_filter",
            ),
        ]
    )  # fmt: skip
