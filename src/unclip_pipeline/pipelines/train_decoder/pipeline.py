"""From the dataset version to the decoder."""

from kedro.pipeline import Node, Pipeline

from unclip_pipeline.pipelines.train_decoder.nodes import discard_checkpoints, train_decoder


def create_pipeline(**kwargs: object) -> Pipeline:
    """Train and validate, then drop the rolling checkpoints."""
    return Pipeline(
        [
            Node(
                train_decoder,
                inputs={
                    "dataset": "dataset",
                    "clip": "clip_weights",
                    "scratch": "train_decoder_scratch",
                    "architecture": "params:decoder",
                    "config": "params:train_decoder",
                    "seed": "params:seed",
                },
                outputs=["decoder_weights", "train_decoder_metrics", "train_decoder_history"],
                name="train_decoder",
            ),
            Node(
                discard_checkpoints,
                inputs=["decoder_weights", "train_decoder_scratch"],
                outputs=None,
                name="discard_decoder_checkpoints",
            ),
        ]
    )
