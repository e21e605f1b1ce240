"""From a dataset version and trained weights to samples, their measures and what they come nearest to."""

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from unclip_pipeline.pipelines.evaluate.nodes import draw, measure, report
from unclip_pipeline.training.cascade import FIRST

PARTS = {
    "clip": "clip_weights",
    "prior": "prior_weights",
    "decoder": "decoder_weights",
    "sampling": "params:sampling",
}


def create_pipeline(*, cascade: Sequence[str] = (FIRST,), **kwargs: object) -> Pipeline:
    """Draw, measure, show."""
    protocol = {"dataset": "dataset", "evaluate": "params:evaluate", "seed": "params:seed"}
    stack = PARTS | {stage: f"{stage}_weights" for stage in cascade}
    return Pipeline(
        [
            Node(
                draw,
                inputs={**stack, **protocol},
                outputs=["samples", "guidance_samples"],
                name="draw_samples",
            ),
            Node(
                measure,
                inputs={"samples": "samples", "guidance_samples": "guidance_samples", **stack, **protocol},
                outputs=["evaluate_metrics", "nearest_training"],
                name="measure_samples",
            ),
            Node(
                report,
                inputs=["evaluate_metrics", "samples", "guidance_samples", "nearest_training", "dataset"],
                outputs="evaluate_report",
                name="report_evaluation",
            ),
        ]
    )
