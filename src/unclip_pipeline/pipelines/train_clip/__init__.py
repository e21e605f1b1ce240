"""Train a CLIP from scratch, or load the one that is named."""

from unclip_pipeline.pipelines.train_clip.pipeline import create_pipeline

__all__ = ["create_pipeline"]
