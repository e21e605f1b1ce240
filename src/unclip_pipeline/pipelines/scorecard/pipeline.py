"""The only reader of the truth: data, CLIP and pictures are each compared with it, then put on one page."""

from kedro.pipeline import Node, Pipeline

from unclip_pipeline.pipelines.scorecard.nodes import (
    score_clip,
    score_data,
    score_pictures,
    write_scorecard,
)


def create_pipeline(**kwargs: object) -> Pipeline:
    """Score, then report."""
    return Pipeline(
        [
            Node(
                score_data,
                inputs=[
                    "world_truth", "url_list", "harvested_url_list", "scrape_ledger", "filter_verdicts",
                    "duplicate_verdicts", "audit_labels", "ledger", "deduplicate_metrics",
                ],
                outputs=["data_scores", "fate_mismatches"],
                name="score_data",
            ),
            Node(
                score_clip,
                inputs=["world_truth", "embeddings", "clip_weights", "params:world", "params:seed"],
                outputs="clip_scores",
                name="score_clip",
            ),
            Node(
                score_pictures,
                inputs=[
                    "world_truth", "samples", "bias_samples", "params:world", "params:judge", "params:seed",
                ],
                outputs=["picture_scores", "judged_samples"],
                name="score_pictures",
            ),
            Node(
                write_scorecard,
                inputs=["data_scores", "clip_scores", "picture_scores", "fate_mismatches", "judged_samples"],
                outputs=["scorecard_metrics", "scorecard_report"],
                name="write_scorecard",
            ),
        ]
    )  # fmt: skip
