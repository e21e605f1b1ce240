"""From the dataset version to one stage of super-resolution."""

from kedro.pipeline import Node, Pipeline

from unclip_pipeline.pipelines.train_upsampler.nodes import discard_checkpoints, train_upsampler
from unclip_pipeline.training.cascade import FIRST


def create_pipeline(*, stage: str = FIRST, **kwargs: object) -> Pipeline:
    """Train and validate one stage, then drop the rolling checkpoints."""
    first = stage == FIRST
    return Pipeline(
        [
            Node(
                train_upsampler,
                inputs={
                    "dataset": "dataset",
                    "scratch": f"train_{stage}_scratch",
                    "architecture": "params:upsampler" if first else f"params:cascade.{stage}.network",
                    "config": "params:train_upsampler" if first else f"params:cascade.{stage}.training",
                    "seed": "params:seed",
                },
                outputs=[f"{stage}_weights", f"train_{stage}_metrics", f"train_{stage}_history"],
                name=f"train_{stage}",
            ),
            Node(
                discard_checkpoints,
                inputs=[f"{stage}_weights", f"train_{stage}_scratch"],
                outputs=None,
                name=f"discard_{stage}_checkpoints",
            ),
        ]
    )
