"""From the dataset version to super-resolution."""

from kedro.pipeline import Node, Pipeline

from unclip_pipeline.pipelines.train_upsampler.nodes import discard_checkpoints, train_upsampler


def create_pipeline(**kwargs: object) -> Pipeline:
    """Train and validate, then drop the rolling checkpoints."""
    return Pipeline(
        [
            Node(
                train_upsampler,
                inputs={
                    "dataset": "dataset",
                    "scratch": "train_upsampler_scratch",
                    "architecture": "params:upsampler",
                    "config": "params:train_upsampler",
                    "seed": "params:seed",
                },
                outputs=["upsampler_weights", "train_upsampler_metrics", "train_upsampler_history"],
                name="train_upsampler",
            ),
            Node(
                discard_checkpoints,
                inputs=["upsampler_weights", "train_upsampler_scratch"],
                outputs=None,
                name="discard_upsampler_checkpoints",
            ),
        ]
    )
