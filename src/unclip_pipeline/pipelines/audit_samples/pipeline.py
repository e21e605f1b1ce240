"""From neutral prompts to pictures, and from pictures to shares beside those of training."""

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from unclip_pipeline.pipelines.audit_samples.nodes import audit, draw
from unclip_pipeline.training.cascade import FIRST

PARTS = {
    "clip": "clip_weights",
    "prior": "prior_weights",
    "decoder": "decoder_weights",
    "sampling": "params:sampling",
}


def create_pipeline(*, cascade: Sequence[str] = (FIRST,), **kwargs: object) -> Pipeline:
    """Draw, then audit what was drawn."""
    config = {"audit_samples": "params:audit_samples", "seed": "params:seed"}
    stack = PARTS | {stage: f"{stage}_weights" for stage in cascade}
    return Pipeline(
        [
            Node(draw, inputs={**stack, **config}, outputs="bias_samples", name="draw_neutral_prompts"),
            Node(
                audit,
                inputs={
                    "bias_samples": "bias_samples",
                    "dataset": "dataset",
                    "audit_labels": "audit_labels",
                    "clip": "clip_weights",
                    "axes": "params:audit_axes",
                    "audit_data": "params:audit_data",
                    **config,
                },
                outputs=["audit_samples_metrics", "audit_samples_report"],
                name="audit_samples",
            ),
        ]
    )
