"""From raw shards to the weights of the encoder."""

from kedro.pipeline import Node, Pipeline

from unclip_pipeline.pipelines.train_clip.nodes import discard_checkpoints, train_clip


def create_pipeline(**kwargs: object) -> Pipeline:
    """Train or load, then drop the rolling checkpoints."""
    return Pipeline(
        [
            Node(
                train_clip,
                inputs={
                    "raw_shards": "raw_shards",
                    "ledger": "scrape_ledger",
                    "scratch": "train_clip_scratch",
                    "config": "params:clip",
                    "training": "params:train_clip",
                    "zero_shot": "params:zero_shot",
                    "seed": "params:seed",
                },
                outputs=["clip_weights", "train_clip_metrics", "train_clip_history"],
                name="train_clip",
            ),
            Node(
                discard_checkpoints,
                inputs=["clip_weights", "train_clip_scratch"],
                outputs=None,
                name="discard_clip_checkpoints",
            ),
        ]
    )
