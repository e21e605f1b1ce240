"""From trained weights and what was measured to a registered model: gates, bundle, registry."""

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from unclip_pipeline.pipelines.release_model.nodes import bundle, hold_gates, register_model
from unclip_pipeline.training.cascade import FIRST

PARTS = {
    "clip": "clip_weights",
    "prior": "prior_weights",
    "decoder": "decoder_weights",
}
MEASURED = {
    "evaluate": "evaluate_metrics",
    "audit_samples": "audit_samples_metrics",
    "audit_data": "audit_data_metrics",
}


def create_pipeline(*, cascade: Sequence[str] = (FIRST,), **kwargs: object) -> Pipeline:
    """Stop at a failed gate before anything is written."""
    return Pipeline(
        [
            Node(
                hold_gates,
                inputs={"gates": "params:gates", **MEASURED},
                outputs="release_gates",
                name="hold_gates",
            ),
            Node(
                bundle,
                inputs={
                    "target": "model_bundle_target",
                    **PARTS,
                    "sampling": "params:sampling",
                    "release": "params:release_model",
                    "dataset": "dataset",
                    "ledger": "ledger",
                    "gates": "release_gates",
                    **{name: name for name in MEASURED.values()},
                    **{stage: f"{stage}_weights" for stage in cascade},
                },
                outputs="model_bundle",
                name="write_bundle",
            ),
            Node(
                register_model,
                inputs=["model_bundle", "release_gates", "params:release_model"],
                outputs=["release_model_metrics", "release_model_report"],
                name="register_model",
            ),
        ]
    )
