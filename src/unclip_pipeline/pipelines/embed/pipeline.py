"""From raw shards and the encoder to vectors."""

from kedro.pipeline import Node, Pipeline

from unclip_pipeline.pipelines.embed.nodes import embed


def create_pipeline(**kwargs: object) -> Pipeline:
    """Embed what is not embedded yet."""
    return Pipeline(
        [
            Node(
                embed,
                inputs={
                    "raw_shards": "raw_shards",
                    "clip": "clip_weights",
                    "target": "embeddings_target",
                    "scratch": "embed_scratch",
                    "config": "params:embed",
                    "engine": "params:embed_engine",
                },
                outputs=["embeddings", "embed_metrics"],
                name="embed",
            )
        ]
    )
