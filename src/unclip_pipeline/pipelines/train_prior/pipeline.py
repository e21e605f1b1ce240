"""From the dataset version to the prior."""

from kedro.pipeline import Node, Pipeline

from unclip_pipeline.pipelines.train_prior.nodes import discard_checkpoints, train_prior


def create_pipeline(**kwargs: object) -> Pipeline:
    """Train and validate, then drop the rolling checkpoints."""
    return Pipeline(
        [
            Node(
                train_prior,
                inputs={
                    "dataset": "dataset",
                    "clip": "clip_weights",
                    "scratch": "train_prior_scratch",
                    "architecture": "params:prior",
                    "config": "params:train_prior",
                    "seed": "params:seed",
                },
                outputs=["prior_weights", "train_prior_metrics", "train_prior_history"],
                name="train_prior",
            ),
            Node(
                discard_checkpoints,
                inputs=["prior_weights", "train_prior_scratch"],
                outputs=None,
                name="discard_prior_checkpoints",
            ),
        ]
    )
