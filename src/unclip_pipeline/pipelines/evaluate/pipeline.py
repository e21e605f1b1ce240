"""From a dataset version and trained weights to samples, their measures and what they come nearest to."""

from kedro.pipeline import Node, Pipeline

from unclip_pipeline.pipelines.evaluate.nodes import draw, measure, report

STACK = {
    "clip": "clip_weights",
    "prior": "prior_weights",
    "decoder": "decoder_weights",
    "upsampler": "upsampler_weights",
    "sampling": "params:sampling",
}


def create_pipeline(**kwargs: object) -> Pipeline:
    """Draw, measure, show."""
    protocol = {"dataset": "dataset", "evaluate": "params:evaluate", "seed": "params:seed"}
    return Pipeline(
        [
            Node(draw, inputs={**STACK, **protocol}, outputs="samples", name="draw_samples"),
            Node(
                measure,
                inputs={"samples": "samples", **STACK, **protocol},
                outputs=["evaluate_metrics", "nearest_training"],
                name="measure_samples",
            ),
            Node(
                report,
                inputs=["evaluate_metrics", "samples", "nearest_training", "dataset"],
                outputs="evaluate_report",
                name="report_evaluation",
            ),
        ]
    )
