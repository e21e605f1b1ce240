"""train_clip: raw shards in, the weights of the encoder out."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from unclip_pipeline.pipelines.train_clip.nodes import train_clip


def create_pipeline(**_: Any) -> Pipeline:
    """List the node."""
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
                    "seed": "params:seed",
                },
                outputs=["clip_weights", "train_clip_metrics", "train_clip_history"],
                name="train_clip",
            )
        ]
    )
